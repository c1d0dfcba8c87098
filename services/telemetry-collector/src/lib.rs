//! Samples the host and delivers every sample to Redis.

pub mod collectors;
pub mod errors;
pub mod models;
pub mod publishers;

/// Version of this collector.
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
