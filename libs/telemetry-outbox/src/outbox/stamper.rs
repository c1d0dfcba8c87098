//! Makes a message of a payload: identity, number, time.

use std::fmt;
use std::time::SystemTime;

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{Stamp, TelemetryMessage};
use uuid::{NoContext, Timestamp, Uuid};

/// Numbers the messages of one instance, which is one start of a program.
pub struct Stamper {
    instance_id: Uuid,
    last_sequence: u64,
    now: Box<dyn Fn() -> SystemTime + Send>,
}

impl Stamper {
    /// A stamper that begins with number 1 of a new instance and asks `now` for the time of each message.
    pub fn new(now: impl Fn() -> SystemTime + Send + 'static) -> Self {
        Self::of_instance(Uuid::new_v4(), now)
    }

    /// The same for an instance whose identity the caller has made. It must be a new one.
    pub fn of_instance(instance_id: Uuid, now: impl Fn() -> SystemTime + Send + 'static) -> Self {
        Self { instance_id, last_sequence: 0, now: Box::new(now) }
    }

    /// The identity of this instance.
    #[must_use]
    pub fn instance_id(&self) -> Uuid {
        self.instance_id
    }

    #[cfg(test)]
    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(super) fn stamp(&mut self, payload: Payload) -> TelemetryMessage {
        let collected_at = (self.now)();
        self.last_sequence += 1;
        let stamp = Stamp {
            message_id: Uuid::new_v7(uuid_time(collected_at)),
            instance_id: self.instance_id,
            sequence: self.last_sequence,
            collected_at,
        };
        TelemetryMessage::new(stamp, payload)
    }
}

impl fmt::Debug for Stamper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance_id, last_sequence, now: _ } = self;
        formatter
            .debug_struct("Stamper")
            .field("instance_id", instance_id)
            .field("last_sequence", last_sequence)
            .finish_non_exhaustive()
    }
}

/// A clock before 1970 counts as 1970: the identity stays unique, only its order suffers.
fn uuid_time(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(NoContext, since_epoch.as_secs(), since_epoch.subsec_nanos())
}
