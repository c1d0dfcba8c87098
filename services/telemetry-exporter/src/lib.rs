//! Reads the telemetry queue and serves the latest values of every host to Prometheus.
//!
//! The data goes one way: [`intake`] takes messages from the queue and puts each sample into the [`fleet`], which keeps the
//! latest one of each host; a scrape over [`http`] writes the fleet as [`exposition`] text. [`service`] alone knows every
//! part. The messages are those of `telemetry-client`; no shape is written here.

pub mod config;
pub mod errors;
pub mod exposition;
pub mod fleet;
pub mod http;
pub mod intake;
pub mod observability;
pub mod service;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use errors::ExporterError;
pub use service::Service;
