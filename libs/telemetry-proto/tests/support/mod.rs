//! Messages for tests: examples, and proptest strategies.

// Each test file is a separate crate and uses only a part of this module.
#![allow(dead_code)]

pub(crate) mod goldens;
pub(crate) mod hard;
pub(crate) mod json;
pub(crate) mod released;
pub(crate) mod strategies;

use std::time::{Duration, SystemTime};

use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{
    CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, GapReason, GapRecord, LoadAverages, Stamp, TelemetryData,
    TelemetryMessage, TelemetryMetadata, UnavailableField, UnavailableReason,
};
use telemetry_proto::well_known;
use uuid::{Uuid, uuid};

const MESSAGE_ID: Uuid = uuid!("019c13f6-3c00-7abc-8def-0123456789ab");
const INSTANCE_ID: Uuid = uuid!("3f2504e0-4f89-41d3-9a0c-0305e82c3301");

/// 2026-01-31T12:00:00Z.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800)
}

fn stamp(sequence: u64) -> Stamp {
    let collected_at = noon() + Duration::from_millis(250);
    Stamp { message_id: MESSAGE_ID, instance_id: INSTANCE_ID, sequence, collected_at }
}

fn span(nanos: u64) -> Option<well_known::Duration> {
    Some(Duration::from_nanos(nanos).into())
}

/// Metadata with only the required fields.
fn bare_metadata() -> TelemetryMetadata {
    TelemetryMetadata {
        hostname: "edge-1".to_owned(),
        collector_version: "0.1.0".to_owned(),
        interval: span(1_000_000_000),
        scheduled_at: Some(noon().into()),
        collection_duration: span(0),
        ..TelemetryMetadata::default()
    }
}

/// A sample in which every field is set.
pub(crate) fn full_sample() -> TelemetryMessage {
    let metadata = TelemetryMetadata {
        host_id: "b08dfa6083e7567a1921a715000001fb".to_owned(),
        boot_id: "6c1e8b8e-0f5b-4b8e-9d0a-2f6f3f0d7a11".to_owned(),
        os: "Debian GNU/Linux 12".to_owned(),
        kernel: "6.1.0-31-amd64".to_owned(),
        arch: "x86_64".to_owned(),
        interval: span(200_000_000),
        collection_duration: span(158_001),
        labels: [("rack".to_owned(), "ü7".to_owned()), ("site".to_owned(), String::new())].into(),
        virtualization: Some("kvm".to_owned()),
        ..bare_metadata()
    };
    let states = CpuStates {
        user_percent: 40.0,
        nice_percent: 2.5,
        system_percent: 7.0,
        idle_percent: 45.0,
        iowait_percent: 3.0,
        irq_percent: 0.5,
        softirq_percent: 1.5,
        steal_percent: 0.5,
        guest_percent: 10.0,
        guest_nice_percent: 0.25,
    };
    let cpu = CpuMetrics {
        usage_percent: Some(52.0),
        states: Some(states),
        logical_count: 2,
        physical_count: Some(1),
        vendor: "AuthenticAMD".to_owned(),
        model: "AMD EPYC 7B13".to_owned(),
        cores: vec![
            CoreMetrics {
                core_id: 0,
                usage_percent: Some(52.0),
                states: Some(states),
                frequency_mhz: Some(2450.5),
                temperature_celsius: Some(-3.5),
            },
            CoreMetrics::new(2),
        ],
        load_averages: Some(LoadAverages::new(0.0, 1.25, 300.0).unwrap()),
        frequencies: Some(CpuFrequencies::new(Some(2450.5), Some(1500.0), Some(3500.0)).unwrap()),
        temperature_celsius: Some(61.875),
        unavailable: vec![UnavailableField::new("cores.usage_percent", UnavailableReason::FirstSample)],
    };
    TelemetryMessage::new(stamp(u64::MAX), TelemetryData::new(metadata, cpu))
}

/// The CPU metrics of a sample.
pub(crate) fn cpu_mut(message: &mut TelemetryMessage) -> &mut CpuMetrics {
    let Some(Payload::Data(data)) = &mut message.payload else { panic!("no data") };
    let Some(Metrics::Cpu(cpu)) = &mut data.metrics else { panic!("no cpu") };
    cpu
}

/// A sample with only the required fields.
pub(crate) fn bare_sample() -> TelemetryMessage {
    let cpu = CpuMetrics { logical_count: 1, ..CpuMetrics::default() };
    TelemetryMessage::new(stamp(1), TelemetryData::new(bare_metadata(), cpu))
}

/// A gap record of two ranges.
pub(crate) fn gap() -> TelemetryMessage {
    TelemetryMessage::new(stamp(10), GapRecord::new([1..=1, 3..=9], GapReason::OutboxFull))
}
