//! What the sampler asks of a metrics group.

use async_trait::async_trait;

use crate::errors::TelemetryResult;
use crate::models::{CpuMetrics, LoadAverages, TelemetryMetrics};

/// One group of metrics of the host.
///
/// A collector keeps what it needs between two samples (open files, the counters of the last reading) and is asked by
/// one sampler alone, hence `&mut self`.
#[async_trait]
pub trait TelemetryCollector: Send {
    /// Name of the group as the schema has it ("cpu").
    fn name(&self) -> &'static str;

    /// Reads the host now. Rates and shares are over the time since the previous call.
    ///
    /// A value that the host does not have is absent from the result, with its reason; it is not an error. The call
    /// must return quickly: what is slow to read has a pace of its own, off the caller's thread.
    ///
    /// # Errors
    /// [`Collection`](crate::errors::TelemetryError::Collection) when the group as a whole cannot be read. The next
    /// call may succeed; no counter is lost in between.
    async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics>;
}

/// The processors of the host.
#[async_trait]
pub trait CpuCollector: TelemetryCollector {
    /// The whole group, as [`collect`](TelemetryCollector::collect) gives it, under its own type.
    ///
    /// # Errors
    /// As [`collect`](TelemetryCollector::collect).
    async fn collect_cpu(&mut self) -> TelemetryResult<CpuMetrics>;

    /// The run-queue averages alone.
    ///
    /// # Errors
    /// [`Collection`](crate::errors::TelemetryError::Collection) when the host has none or they make no sense.
    async fn load_averages(&mut self) -> TelemetryResult<LoadAverages>;

    /// Reads what is slow (frequencies, temperatures) now and waits for it, so that the next sample carries it.
    async fn refresh_slow_readings(&mut self);
}
