//! Encoded messages, and batches of them.

use bytes::Bytes;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{EncodeError, GapRecord, TelemetryMessage};
use uuid::Uuid;

/// Most messages in a batch. With more, round trips are no longer what takes the time.
pub(crate) const BATCH_MAX_MESSAGES: usize = 256;
/// Most bytes of a batch, so that it is sent within a time limit on a slow link, too. The first message may be larger.
pub(crate) const BATCH_MAX_BYTES: usize = 512 << 10;

/// The encoding of a message. The first byte identifies it: JSON begins with a brace, protobuf never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Canonical ProtoJSON, on one line: for people, `jq` and every language.
    Json,
    /// The protobuf encoding: about a third of the bytes.
    Protobuf,
}

/// A checked and encoded message. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedMessage {
    /// The number of the message within its instance.
    pub sequence: u64,
    /// The message in its [`Encoding`].
    pub body: Bytes,
    /// Whether it names numbers that are lost: when it is lost itself, they must be named anew.
    pub is_gap_record: bool,
    /// Whether it is a sample. Decimation passes over everything else.
    pub is_sample: bool,
}

/// Messages of one instance in flight, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The instance that made them.
    pub instance_id: Uuid,
    /// The highest number of the instance that the destination acknowledged before; 0 when that is not known.
    pub acknowledged: u64,
    /// The messages, in the order in which they must go.
    pub messages: Vec<EncodedMessage>,
}

impl EncodedMessage {
    /// Checks `message` and encodes it.
    ///
    /// # Errors
    /// When it breaks the schema.
    pub fn encode(message: &TelemetryMessage, encoding: Encoding) -> Result<Self, EncodeError> {
        let is_gap_record = matches!(message.payload, Some(Payload::Gap(_)));
        let is_sample = matches!(message.payload, Some(Payload::Data(_)));
        let body = match encoding {
            Encoding::Json => message.to_json()?,
            Encoding::Protobuf => message.to_protobuf()?,
        };
        Ok(Self { sequence: message.sequence, body: body.into(), is_gap_record, is_sample })
    }

    /// What the message says is lost, if it is a gap record.
    pub(crate) fn gap_record(&self) -> Option<GapRecord> {
        if !self.is_gap_record {
            return None;
        }
        match TelemetryMessage::from_either(&self.body).ok()?.payload {
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
