//! The latest messages of a collector, read from the answer of `GetSnapshot`.

use std::time::Duration;

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{self as proto, GetSnapshotResponse, TelemetryMessage};

use super::answer::{duration, message};
use super::error::ControlError;

/// The latest messages of a collector.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The latest message of the group "cpu". Until that group has been sampled: the newest message of any group.
    pub message: TelemetryMessage,
    /// Time since `message` was collected.
    pub age: Duration,
    /// The latest message of each metrics group that has been sampled, in ascending order of the group's name. A collector
    /// of schema 1.0.0 has one group, that of `message`.
    pub groups: Vec<GroupSnapshot>,
}

/// The latest message of one metrics group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupSnapshot {
    /// Name of the group as the schema has it ("cpu"). It is known for groups of newer schemas, too.
    pub group: String,
    /// The message as it was, or will be, written to the queue; checked.
    pub message: TelemetryMessage,
    /// Time since the message was collected. It exceeds the sampling interval while the group cannot be read.
    pub age: Duration,
}

impl Snapshot {
    /// The latest message of the group of this name; `None` until it has been sampled.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupSnapshot> {
        self.groups.iter().find(|snapshot| snapshot.group == name)
    }

    pub(super) fn from_answer(call: &'static str, answer: GetSnapshotResponse) -> Result<Self, ControlError> {
        let (message, age) = (message(call, answer.message)?, duration(call, answer.age)?);
        let groups: Result<Vec<_>, _> =
            answer.snapshots.into_iter().map(|snapshot| GroupSnapshot::from_answer(call, snapshot)).collect();
        let mut groups = groups?;
        if groups.is_empty() {
            groups.extend(GroupSnapshot::of_older_answer(&message, age));
        }
        Ok(Self { message, age, groups })
    }
}

impl GroupSnapshot {
    fn from_answer(call: &'static str, snapshot: proto::GroupSnapshot) -> Result<Self, ControlError> {
        let (message, age) = (message(call, snapshot.message)?, duration(call, snapshot.age)?);
        Ok(Self { group: snapshot.group, message, age })
    }

    /// A collector of schema 1.0.0 sends one message and does not name its group.
    fn of_older_answer(message: &TelemetryMessage, age: Duration) -> Option<Self> {
        let Some(Payload::Data(data)) = &message.payload else { return None };
        let group = data.metrics.as_ref()?.group().to_owned();
        Some(Self { group, message: message.clone(), age })
    }
}
