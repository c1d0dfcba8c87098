//! Samples the host and delivers every sample to Redis.

/// Version of this collector.
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
