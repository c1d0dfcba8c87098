//! Constructors of messages and their payloads.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use uuid::Uuid;

use super::telemetry_data::Metrics;
use super::telemetry_message::Payload;
use super::{
    ControlEvent, CpuMetrics, GapReason, GapRecord, SCHEMA_VERSION, SequenceRange, TelemetryData, TelemetryMessage,
    TelemetryMetadata, UnavailableField, UnavailableReason,
};

/// Identity and time of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// UUIDv7 of the message. A message that is delivered twice has the same ID.
    pub message_id: Uuid,
    /// UUID of the collector process that created it.
    pub instance_id: Uuid,
    /// Sequence number: counts the messages of that process, from 1.
    pub sequence: u64,
    /// When its payload was complete, by the host's clock.
    pub collected_at: SystemTime,
}

impl TelemetryMessage {
    /// A message of the current [`SCHEMA_VERSION`].
    #[must_use]
    pub fn new(stamp: Stamp, payload: impl Into<Payload>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            message_id: stamp.message_id.to_string(),
            instance_id: stamp.instance_id.to_string(),
            sequence: stamp.sequence,
            collected_at: Some(stamp.collected_at.into()),
            payload: Some(payload.into()),
        }
    }
}

impl TelemetryData {
    /// A sample of one metrics group.
    #[must_use]
    pub fn new(metadata: TelemetryMetadata, metrics: impl Into<Metrics>) -> Self {
        Self { metadata: Some(metadata), metrics: Some(metrics.into()) }
    }
}

impl Metrics {
    /// Name of the metrics group, as the schema has it: the name of its field in the oneof ("cpu").
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self {
            Self::Cpu(_) => CpuMetrics::GROUP,
        }
    }
}

impl GapRecord {
    /// A record that the sequence numbers in `missing` will never be delivered, and why. The ranges must ascend and not
    /// overlap.
    #[must_use]
    pub fn new(missing: impl IntoIterator<Item = RangeInclusive<u64>>, reason: GapReason) -> Self {
        let missing: Vec<_> = missing.into_iter().map(SequenceRange::from).collect();
        let count = missing.iter().map(SequenceRange::count).fold(0, u64::saturating_add);
        Self { missing, reason: reason.into(), count, instance_id: None }
    }

    /// Marks the sequence numbers as those of another instance than the sender's.
    #[must_use]
    pub fn of_instance(self, instance_id: Uuid) -> Self {
        Self { instance_id: Some(instance_id.to_string()), ..self }
    }
}

impl SequenceRange {
    /// Number of sequence numbers in the range.
    #[must_use]
    pub fn count(&self) -> u64 {
        if self.first > self.last { 0 } else { (self.last - self.first).saturating_add(1) }
    }
}

impl UnavailableField {
    /// A record that `field`, a path within the metrics group, is absent, and why.
    #[must_use]
    pub fn new(field: impl Into<String>, reason: UnavailableReason) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl From<RangeInclusive<u64>> for SequenceRange {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self { first: *range.start(), last: *range.end() }
    }
}

impl From<TelemetryData> for Payload {
    fn from(data: TelemetryData) -> Self {
        Self::Data(data)
    }
}

impl From<GapRecord> for Payload {
    fn from(gap: GapRecord) -> Self {
        Self::Gap(gap)
    }
}

impl From<ControlEvent> for Payload {
    fn from(event: ControlEvent) -> Self {
        Self::Control(event)
    }
}

impl From<CpuMetrics> for Metrics {
    fn from(cpu: CpuMetrics) -> Self {
        Self::Cpu(cpu)
    }
}
