//! Edge cases: valid messages that readers and writers are likely to get wrong.

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{
    CoreMetrics, CpuFrequencies, CpuStates, GapReason, GapRecord, LoadAverages, TelemetryMessage, TelemetryMetadata,
};
use telemetry_proto::well_known::{Duration, Timestamp};

use super::{bare_sample, cpu_mut, full_sample, stamp};

/// The edge cases, each with a description.
pub(crate) fn hard_messages() -> Vec<(String, TelemetryMessage)> {
    let mut messages = vec![
        ("every field".to_owned(), full_sample()),
        ("no optional field".to_owned(), bare_sample()),
        ("largest numbers".to_owned(), largest_numbers()),
        ("256 cores".to_owned(), many_cores()),
        ("many ranges".to_owned(), many_ranges()),
    ];
    for share in [f64::from_bits(1), f64::MIN_POSITIVE, 0.1 + 0.2, 100.0 / 3.0, 100.0_f64.next_down()] {
        messages.push((format!("a share of {share:?}"), with_share(share)));
    }
    for (seconds, nanos) in [(-62_135_596_800, 0), (-1, 999_999_999), (0, 1), (253_402_300_799, 999_999_999)] {
        let mut message = full_sample();
        message.collected_at = Some(Timestamp { seconds, nanos });
        messages.push((format!("{seconds} s and {nanos} ns after 1970"), message));
    }
    for name in TEXTS {
        messages.push((format!("a host called {name:?}"), called(name)));
    }
    messages
}

const TEXTS: [&str; 11] = [
    "ホスト-1",
    "🦀",
    "e\u{301}",
    "\u{202e}tsoh",
    "a\u{2028}b\u{2029}c",
    "quote \" backslash \\ slash /",
    "nul \0 bell \u{7} delete \u{7f}",
    "line\r\nbreak\ttab",
    "\u{feff}\u{fffe}\u{ffff}",
    "\u{10ffff}",
    "</script>&amp;\u{85}",
];

fn metadata_mut(message: &mut TelemetryMessage) -> &mut TelemetryMetadata {
    let Some(Payload::Data(data)) = &mut message.payload else { panic!("no data") };
    data.metadata.as_mut().unwrap()
}

fn called(name: &str) -> TelemetryMessage {
    let mut message = full_sample();
    let metadata = metadata_mut(&mut message);
    metadata.hostname = name.to_owned();
    metadata.labels = [(name.to_owned(), name.to_owned())].into();
    message
}

fn with_share(share: f64) -> TelemetryMessage {
    let mut message = full_sample();
    let cpu = cpu_mut(&mut message);
    cpu.usage_percent = Some(share);
    cpu.states = Some(CpuStates { user_percent: share, idle_percent: 100.0 - share, ..CpuStates::default() });
    message
}

fn largest_numbers() -> TelemetryMessage {
    let mut message = full_sample();
    let metadata = metadata_mut(&mut message);
    metadata.interval = Some(Duration { seconds: 315_576_000_000, nanos: 999_999_999 });
    let cpu = cpu_mut(&mut message);
    cpu.logical_count = u32::MAX;
    cpu.physical_count = Some(u32::MAX);
    cpu.cores = vec![CoreMetrics::new(u32::MAX)];
    cpu.load_averages = LoadAverages::new(f64::MAX, 1e300, 1e-300).ok();
    cpu.frequencies = CpuFrequencies::new(Some(f64::MAX), Some(f64::from_bits(1)), Some(f64::MAX)).ok();
    cpu.temperature_celsius = Some(f64::MAX);
    message
}

fn many_cores() -> TelemetryMessage {
    let mut message = full_sample();
    let cpu = cpu_mut(&mut message);
    let pattern = cpu.cores[0];
    cpu.logical_count = 256;
    cpu.cores = (0..256).map(|core_id| CoreMetrics { core_id, ..pattern }).collect();
    message
}

fn many_ranges() -> TelemetryMessage {
    let ranges = (1..=10_000).map(|n| n * 3..=n * 3 + n % 2);
    TelemetryMessage::new(stamp(u64::MAX), GapRecord::new(ranges, GapReason::Decimated))
}
