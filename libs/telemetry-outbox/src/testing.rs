//! What the unit tests of several modules need.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use telemetry_proto::v1::{CoreMetrics, CpuMetrics, TelemetryData, TelemetryMetadata};

use crate::batch::Encoding;
use crate::observer::NoObserver;
use crate::outbox::{Outbox, Stamper};
use crate::settings::{OnFull, OutboxSettings};

/// A small valid sample.
pub(crate) fn sample() -> TelemetryData {
    let metadata = TelemetryMetadata {
        hostname: "testhost".to_owned(),
        collector_version: env!("CARGO_PKG_VERSION").to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::UNIX_EPOCH.into()),
        collection_duration: Some(Duration::ZERO.into()),
        ..TelemetryMetadata::default()
    };
    TelemetryData::new(metadata, CpuMetrics::new(vec![CoreMetrics::new(0)]))
}

/// An outbox of any size.
pub(crate) fn outbox() -> Outbox {
    outbox_with(OutboxSettings { max_bytes: usize::MAX, on_full: OnFull::DropOldest, encoding: Encoding::Json })
}

pub(crate) fn outbox_with(settings: OutboxSettings) -> Outbox {
    Outbox::new(settings, Stamper::new(SystemTime::now), Arc::new(NoObserver))
}
