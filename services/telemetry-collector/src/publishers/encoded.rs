//! A message in the form in which it travels.

use bytes::Bytes;

use crate::errors::TelemetryResult;
use crate::models::TelemetryMessage;

/// A checked and encoded message. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedMessage {
    /// The message's number among those of its instance.
    pub sequence: u64,
    /// The message as canonical JSON, on one line.
    pub json: Bytes,
}

impl EncodedMessage {
    /// Checks and encodes `message`.
    ///
    /// # Errors
    /// [`Publishing`](crate::errors::TelemetryError::Publishing), not retryable, when it breaks the schema.
    pub fn encode(message: &TelemetryMessage) -> TelemetryResult<Self> {
        Ok(Self { sequence: message.sequence, json: message.to_json()?.into() })
    }
}
