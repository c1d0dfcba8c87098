//! The interface between the sampler and the collectors.

use async_trait::async_trait;

use crate::errors::TelemetryResult;
use crate::models::{CpuMetrics, LoadAverages, TelemetryMetrics};

/// Collects one metrics group of the host.
///
/// A collector keeps state between samples (open files, the counters of the previous reading). It is used by a single
/// sampler, hence `&mut self`.
#[async_trait]
pub trait TelemetryCollector: Send {
    /// Name of the group, as in the schema ("cpu").
    fn name(&self) -> &'static str;

    /// Reads the host now. Rates and shares cover the time since the previous call.
    ///
    /// A value that the host cannot provide is absent from the result and listed with its reason; it is not an error.
    /// The call must return quickly: slow readings are taken on their own schedule, off the caller's thread.
    ///
    /// # Errors
    /// Returns [`Collection`](crate::errors::TelemetryError::Collection) if the group as a whole cannot be read. The
    /// next call may succeed and then covers the time since the last successful one.
    async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics>;
}

/// Collects the CPU metrics of the host.
#[async_trait]
pub trait CpuCollector: TelemetryCollector {
    /// The same as [`collect`](TelemetryCollector::collect), returned as [`CpuMetrics`].
    ///
    /// # Errors
    /// The same as [`collect`](TelemetryCollector::collect).
    async fn collect_cpu(&mut self) -> TelemetryResult<CpuMetrics>;

    /// Reads the load averages only.
    ///
    /// # Errors
    /// Returns [`Collection`](crate::errors::TelemetryError::Collection) if the host has no load averages or they are
    /// not valid.
    async fn load_averages(&mut self) -> TelemetryResult<LoadAverages>;

    /// Takes the slow readings (frequencies, temperatures) now and waits for them, so that the next sample includes them.
    async fn refresh_slow_readings(&mut self);
}
