//! What the unit tests of several modules need.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::collectors::TelemetryCollector;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::models::{CpuMetrics, TelemetryData, TelemetryMetadata, TelemetryMetrics};

/// What a sample says of a host that does not exist.
pub(crate) fn metadata() -> TelemetryMetadata {
    TelemetryMetadata {
        hostname: "testhost".to_owned(),
        collector_version: crate::version().to_owned(),
        ..TelemetryMetadata::default()
    }
}

/// A small valid sample.
pub(crate) fn sample() -> TelemetryData {
    let metadata = TelemetryMetadata {
        interval: Duration::from_secs(1).try_into().ok(),
        scheduled_at: Some(SystemTime::UNIX_EPOCH.into()),
        collection_duration: Duration::ZERO.try_into().ok(),
        ..metadata()
    };
    TelemetryData::new(metadata, cpu())
}

pub(crate) fn cpu() -> CpuMetrics {
    CpuMetrics { logical_count: 1, ..CpuMetrics::default() }
}

/// A collector that does as it is told: each call runs `next`.
pub(crate) struct Scripted<F>(pub(crate) F);

#[async_trait]
impl<F> TelemetryCollector for Scripted<F>
where
    F: FnMut() -> Result<CpuMetrics, &'static str> + Send,
{
    fn name(&self) -> &'static str {
        "cpu"
    }

    async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics> {
        (self.0)().map(TelemetryMetrics::Cpu).map_err(|cause| TelemetryError::collection("cpu", cause))
    }
}
