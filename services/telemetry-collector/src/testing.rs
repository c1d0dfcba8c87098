//! What the unit tests of several modules need.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use telemetry_outbox::{Encoding, NoObserver, OnFull, Outbox, OutboxSettings, Stamper};

use crate::clock::WallClock;
use crate::collectors::TelemetryCollector;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::models::{CoreMetrics, CpuMetrics, TelemetryData, TelemetryMetadata, TelemetryMetrics};

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
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::UNIX_EPOCH.into()),
        collection_duration: Some(Duration::ZERO.into()),
        ..metadata()
    };
    TelemetryData::new(metadata, cpu())
}

pub(crate) fn cpu() -> CpuMetrics {
    CpuMetrics::new(vec![CoreMetrics::new(0)])
}

/// An outbox of any size.
pub(crate) fn outbox(clock: WallClock) -> Outbox {
    let settings = OutboxSettings { max_bytes: usize::MAX, on_full: OnFull::DropOldest, encoding: Encoding::Json };
    Outbox::new(settings, Stamper::new(move || clock.now()), Arc::new(NoObserver))
}

/// The collector of a group of this name; each call of `collect` returns what `next` returns.
pub(crate) struct Scripted<F> {
    pub(crate) name: &'static str,
    pub(crate) next: F,
}

#[async_trait]
impl<F> TelemetryCollector for Scripted<F>
where
    F: FnMut() -> Result<CpuMetrics, &'static str> + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics> {
        (self.next)().map(TelemetryMetrics::Cpu).map_err(|cause| TelemetryError::collection(self.name, cause))
    }
}
