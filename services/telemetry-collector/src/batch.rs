//! Messages in the form in which they travel: what the outbox makes, the spool keeps and a publisher sends.

use bytes::Bytes;
use uuid::Uuid;

use crate::errors::TelemetryResult;
use crate::models::{GapRecord, Payload, TelemetryMessage};

/// Most messages in a batch: beyond it a round trip is no longer what costs.
pub const BATCH_MAX_MESSAGES: usize = 128;
/// Most bytes of a batch, but for its first message: on a slow link, too, a round trip ends within its time limit.
pub const BATCH_MAX_BYTES: usize = 256 << 10;

/// A checked and encoded message. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedMessage {
    /// The message's number among those of its instance.
    pub sequence: u64,
    /// The message as canonical JSON, on one line.
    pub json: Bytes,
    /// Whether it names numbers that are lost: when it is lost itself, they must be named anew.
    pub is_gap_record: bool,
}

/// Messages of one instance on their way, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The start of the collector that made them.
    pub instance_id: Uuid,
    /// The highest number of the instance that the destination acknowledged before; 0 when that is not known.
    pub acknowledged: u64,
    /// The messages, in the order in which they must go.
    pub messages: Vec<EncodedMessage>,
}

impl EncodedMessage {
    /// Checks and encodes `message`.
    ///
    /// # Errors
    /// [`Publishing`](crate::errors::TelemetryError::Publishing), not retryable, when it breaks the schema.
    pub fn encode(message: &TelemetryMessage) -> TelemetryResult<Self> {
        let is_gap_record = matches!(message.payload, Some(Payload::Gap(_)));
        Ok(Self { sequence: message.sequence, json: message.to_json()?.into(), is_gap_record })
    }

    /// What the message says is lost, if it is a gap record.
    pub(crate) fn gap_record(&self) -> Option<GapRecord> {
        if !self.is_gap_record {
            return None;
        }
        match TelemetryMessage::from_json(&self.json).ok()?.payload {
            Some(Payload::Gap(gap)) => Some(gap),
            _ => None,
        }
    }
}

impl Batch {
    /// The highest number in the batch.
    #[must_use]
    pub fn last_sequence(&self) -> Option<u64> {
        self.messages.last().map(|message| message.sequence)
    }
}
