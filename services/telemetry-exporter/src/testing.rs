//! Samples for unit tests.

use std::time::{Duration, SystemTime};

use telemetry_client::consumer::{Envelope, Sample};
use telemetry_client::proto::{
    CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, LoadAverages, SCHEMA_VERSION, TelemetryMetadata,
};
use uuid::Uuid;

pub(crate) fn sample(host: &str, collected_at: SystemTime, interval: Duration) -> Sample {
    Sample {
        envelope: Envelope {
            schema_version: SCHEMA_VERSION.to_owned(),
            message_id: Uuid::now_v7(),
            instance_id: Uuid::new_v4(),
            sequence: 1,
            collected_at,
        },
        metadata: TelemetryMetadata {
            hostname: host.to_owned(),
            interval: Some(interval.into()),
            labels: [("rack".to_owned(), "a1".to_owned())].into(),
            ..TelemetryMetadata::default()
        },
        metrics: None,
    }
}

/// Metrics whose values are exact as binary fractions.
pub(crate) fn cpu() -> CpuMetrics {
    CpuMetrics {
        usage_percent: Some(12.5),
        states: Some(CpuStates { user_percent: 12.5, idle_percent: 87.5, ..CpuStates::default() }),
        logical_count: 1,
        cores: vec![CoreMetrics {
            core_id: 3,
            usage_percent: Some(50.0),
            frequency_mhz: Some(2500.0),
            ..CoreMetrics::default()
        }],
        load_averages: Some(LoadAverages { one: 1.0, five: 2.0, fifteen: 3.0 }),
        frequencies: Some(CpuFrequencies { current_mhz: Some(2500.0), ..CpuFrequencies::default() }),
        temperature_celsius: Some(55.5),
        ..CpuMetrics::default()
    }
}
