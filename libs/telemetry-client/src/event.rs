//! What a consumer is told.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::{ControlEvent, GapRecord, TelemetryMetadata};
use uuid::Uuid;

/// What a consumer is told.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A sample of a host.
    Sample(Box<Sample>),
    /// A collector says which messages will never come.
    Gap(Gap),
    /// A collector was steered: who changed what, and why.
    Control(Box<Control>),
    /// The next message is the first of this instance that the consumer has seen.
    InstanceStarted {
        /// The instance: one start of one collector.
        instance_id: Uuid,
        /// Number of that message. Above 1 this consumer came later than the instance.
        first_sequence: u64,
    },
    /// These numbers have not come, and no gap record has named them in the time that was allowed
    /// ([`missing_after`](crate::ConsumerSettings::missing_after)): the queue's cap trimmed them, Redis lost them, or
    /// somebody else took them. Should one come later, it is handed out all the same.
    MissingNumbers {
        /// Whose numbers they are.
        instance_id: Uuid,
        /// The numbers.
        numbers: RangeInclusive<u64>,
    },
    /// A message that a newer minor version of the schema added; this program knows nothing of what it says.
    Unknown(Envelope),
}

/// A sample of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What sets the message apart.
    pub envelope: Envelope,
    /// Where, when and by whom the sample was taken.
    pub metadata: TelemetryMetadata,
    /// The metrics; `None` for a group that a newer minor version of the schema added.
    pub metrics: Option<Metrics>,
}

/// Messages that will never come.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// What sets the message apart.
    pub envelope: Envelope,
    /// The instance whose messages they are: that of the message, or an earlier start of the same collector.
    pub lost_by: Uuid,
    /// Which, how many, and why.
    pub record: GapRecord,
}

/// A change of a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// What sets the message apart.
    pub envelope: Envelope,
    /// Who changed what, and why.
    pub change: ControlEvent,
}

/// What sets one message apart from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Version of the schema that the writer knew.
    pub schema_version: String,
    /// UUIDv7 of the message.
    pub message_id: Uuid,
    /// The instance that wrote it: one start of one collector.
    pub instance_id: Uuid,
    /// Its number among all messages of the instance, from 1.
    pub sequence: u64,
    /// When its payload was complete, by the host's clock.
    pub collected_at: SystemTime,
}

impl Event {
    /// The envelope, where the event is a message.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        match self {
            Self::Sample(sample) => Some(&sample.envelope),
            Self::Gap(gap) => Some(&gap.envelope),
            Self::Control(control) => Some(&control.envelope),
            Self::Unknown(envelope) => Some(envelope),
            Self::InstanceStarted { .. } | Self::MissingNumbers { .. } => None,
        }
    }
}
