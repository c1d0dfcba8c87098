//! Samples the host and delivers every sample to a Redis list, losing none silently.
//!
//! The data goes one way: [`collectors`] read the host, the [`sampler`] stamps what they give into messages, the
//! [outbox](telemetry_outbox) keeps each until the [`delivery`] loop has had it acknowledged by a [publisher](publishers). The
//! [`control`] API reads and steers that same state through handles. [`service`] alone knows every part.
//!
//! Another service of the monorepo that wants the message types depends on `telemetry-proto`; this crate is for running
//! the collector, whole or with parts of one's own:
//!
//! ```
//! use telemetry_collector::collectors::{self, CpuCollector};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> telemetry_collector::TelemetryResult<()> {
//! let cpu = collectors::cpu().collect_cpu().await?;
//! println!("{} with {} logical processors", cpu.model, cpu.logical_count);
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod collectors;
pub mod config;
pub mod control;
pub mod delivery;
pub mod errors;
mod events;
pub mod health;
mod host_metrics;
pub mod http;
pub mod instruments;
mod interval;
pub mod models;
pub mod observability;
pub mod publishers;
pub mod sampler;
pub mod service;
pub mod steering;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use errors::{TelemetryError, TelemetryResult};
pub use interval::Interval;
pub use service::Service;

/// Version of this collector, the same for everything in the monorepo.
///
/// ```
/// assert_eq!(telemetry_collector::version().split('.').count(), 3);
/// ```
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
