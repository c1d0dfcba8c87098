//! What makes a message of a payload: identity, number, time.

use std::time::SystemTime;

use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::WallClock;
use crate::models::{Payload, Stamp, TelemetryMessage};

/// Numbers the messages of one start of the collector.
#[derive(Debug)]
pub struct Stamper {
    instance_id: Uuid,
    last_sequence: u64,
    clock: WallClock,
}

impl Stamper {
    /// A stamper that begins with number 1 of a new instance.
    #[must_use]
    pub fn new(clock: WallClock) -> Self {
        Self { instance_id: Uuid::new_v4(), last_sequence: 0, clock }
    }

    /// Identity of this start of the collector.
    #[must_use]
    pub fn instance_id(&self) -> Uuid {
        self.instance_id
    }

    #[cfg(test)]
    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(super) fn stamp(&mut self, payload: Payload) -> TelemetryMessage {
        let collected_at = self.clock.now();
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

/// A clock before 1970 counts as 1970: the identity stays unique, only its order suffers.
fn uuid_time(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(NoContext, since_epoch.as_secs(), since_epoch.subsec_nanos())
}
