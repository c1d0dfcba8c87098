//! Messages of collectors as lines for people and as JSON.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{
    ControlAction, ControlEvent, CpuMetrics, GapReason, GapRecord, SequenceRange, TelemetryMessage, TelemetryMetadata,
    UnavailableReason,
};

use crate::output::{celsius, clean, number, percent, span, time};

/// The sample in a message, if it holds one of the processors.
pub(crate) fn sample(message: &TelemetryMessage) -> Option<(&TelemetryMetadata, &CpuMetrics)> {
    let Some(Payload::Data(data)) = &message.payload else { return None };
    let Some(Metrics::Cpu(cpu)) = &data.metrics else { return None };
    Some((data.metadata.as_ref()?, cpu))
}

/// The sampling interval that was in force.
pub(crate) fn interval(metadata: &TelemetryMetadata) -> Option<Duration> {
    metadata.interval.and_then(|interval| interval.try_into().ok())
}

/// When the message was complete, by the clock of its host.
pub(crate) fn collected_at(message: &TelemetryMessage) -> Option<SystemTime> {
    message.collected_at.and_then(|time| time.try_into().ok())
}

/// A message in the schema's JSON, as it is in the queue.
pub(crate) fn message_json(message: &TelemetryMessage) -> serde_json::Result<Value> {
    let json = message.to_json().map_err(serde::ser::Error::custom)?;
    serde_json::from_slice(&json)
}

/// The message on one line.
pub(crate) fn line(message: &TelemetryMessage) -> String {
    let content = match &message.payload {
        Some(Payload::Data(_)) => sample(message).map_or_else(
            || "sample of a group that only a newer schema knows".to_owned(),
            |(metadata, cpu)| cpu_line(metadata, cpu),
        ),
        Some(Payload::Gap(gap)) => gap_line(gap),
        Some(Payload::Control(event)) => control_line(event),
        None => "content that only a newer schema knows".to_owned(),
    };
    clean(&format!("{} message {}: {content}", time(collected_at(message)), message.sequence))
}

/// Why messages are missing.
pub(crate) fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Unspecified => "unknown reason",
        GapReason::OutboxFull => "outbox full",
        GapReason::Invalid => "not encodable",
        GapReason::SpoolFull => "spool full",
        GapReason::SpoolDamaged => "spool damaged",
        GapReason::Decimated => "thinned out",
    }
}

/// Why a value is absent.
pub(crate) fn unavailable(reason: UnavailableReason) -> &'static str {
    match reason {
        UnavailableReason::Unspecified => "empty",
        UnavailableReason::FirstSample => "first sample",
        UnavailableReason::NoSensor => "no sensor",
        UnavailableReason::NoPermission => "no permission",
        UnavailableReason::VirtualMachine => "virtual machine",
        UnavailableReason::NotSupported => "not supported",
        UnavailableReason::CounterReset => "counter reset",
        UnavailableReason::NoProgress => "no progress",
        UnavailableReason::Pending => "pending",
        UnavailableReason::ReadFailed => "read failed",
    }
}

/// Numbers as ranges, such as `3-7, 9`.
pub(crate) fn numbers(ranges: impl IntoIterator<Item = (u64, u64)>) -> String {
    let range = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(", ")
}

fn cpu_line(metadata: &TelemetryMetadata, cpu: &CpuMetrics) -> String {
    let load = cpu.load_averages.as_ref().map(|load| load.one);
    let mut line = format!("{} cpu {} load {}", metadata.hostname, percent(cpu.usage_percent), number(load));
    if cpu.temperature_celsius.is_some() {
        line = format!("{line} temp {}", celsius(cpu.temperature_celsius));
    }
    line
}

fn gap_line(gap: &GapRecord) -> String {
    let ranges = gap.missing.iter().map(|SequenceRange { first, last }| (*first, *last));
    let of = gap.instance_id.as_ref().map(|instance| format!(" of instance {instance}")).unwrap_or_default();
    format!("GAP: {} messages lost{of} ({}): {}", gap.count, reason(gap.reason()), numbers(ranges))
}

fn control_line(event: &ControlEvent) -> String {
    let shown = |interval: Option<telemetry_proto::well_known::Duration>| {
        interval.and_then(|interval| Duration::try_from(interval).ok()).map_or_else(|| "-".to_owned(), span)
    };
    let action = match event.action() {
        ControlAction::Unspecified => "changed",
        ControlAction::IntervalSet => "set",
        ControlAction::IntervalReset => "reset",
        ControlAction::IntervalExpired => "expired",
        ControlAction::IntervalRestored => "restored",
    };
    let mut line = format!(
        "{} CONTROL: interval {action}, {} -> {}",
        event.hostname,
        shown(event.previous_interval),
        shown(event.interval)
    );
    if let Some(caller) = &event.caller {
        let name = if caller.name.is_empty() { String::new() } else { format!(" by {}", caller.name) };
        line = format!("{line}{name} from {}", caller.address);
    }
    if event.reason.is_empty() { line } else { format!("{line}: {}", event.reason) }
}

#[cfg(test)]
mod tests {
    use telemetry_proto::v1::{Caller, CoreMetrics, TelemetryData};

    use super::*;

    fn message(payload: impl Into<Payload>) -> TelemetryMessage {
        TelemetryMessage {
            sequence: 7,
            collected_at: Some(SystemTime::UNIX_EPOCH.into()),
            payload: Some(payload.into()),
            ..TelemetryMessage::default()
        }
    }

    #[test]
    fn shows_each_kind_of_message_on_one_line() {
        let metadata = TelemetryMetadata { hostname: "web-7".to_owned(), ..TelemetryMetadata::default() };
        let cpu = CpuMetrics { usage_percent: Some(12.34), ..CpuMetrics::new(vec![CoreMetrics::new(0)]) };
        let control = ControlEvent {
            hostname: "web-7".to_owned(),
            action: ControlAction::IntervalSet.into(),
            caller: Some(Caller { address: "127.0.0.1:9".to_owned(), ..Caller::default() }),
            previous_interval: Some(Duration::from_secs(1).into()),
            interval: Some(Duration::from_millis(200).into()),
            reason: "INC-42\nforged line".to_owned(),
            ..ControlEvent::default()
        };
        for (message, expected) in [
            (message(TelemetryData::new(metadata, cpu)), "web-7 cpu 12.3% load -"),
            (
                message(GapRecord::new([3..=5, 9..=9], GapReason::OutboxFull)),
                "GAP: 4 messages lost (outbox full): 3-5, 9",
            ),
            (message(control), "web-7 CONTROL: interval set, 1s -> 200ms from 127.0.0.1:9: INC-42\u{fffd}forged line"),
        ] {
            assert_eq!(line(&message), format!("1970-01-01T00:00:00Z message 7: {expected}"));
        }
    }
}
