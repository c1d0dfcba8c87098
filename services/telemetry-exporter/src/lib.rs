//! Reads the telemetry queue and serves the latest values of every host to Prometheus.
//!
//! Data flows in one direction: [`intake`] takes messages from the queue and updates the [`fleet`], which holds the
//! latest sample of each metrics group of each host; [`http`] serves the fleet as [`exposition`] text. [`service`]
//! assembles the parts. The message types are those of `telemetry-client`.

pub mod config;
pub mod errors;
pub mod exposition;
pub mod fleet;
pub mod http;
pub mod intake;
pub mod service;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use errors::ExporterError;
pub use service::Service;
