//! Canonical ProtoJSON, and the protobuf encoding with the same checks.

use prost::Message;
use thiserror::Error;

use super::{InvalidMessage, TelemetryMessage};

/// A message could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It breaks a promise of the schema.
    #[error("message breaks the schema")]
    Invalid(#[from] InvalidMessage),
    /// JSON cannot express it.
    #[error("message cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A message could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text is not the JSON of a message.
    #[error("not a telemetry message in JSON")]
    Json(#[from] serde_json::Error),
    /// The bytes are not the protobuf encoding of a message.
    #[error("not a telemetry message in protobuf")]
    Protobuf(#[from] prost::DecodeError),
    /// It was read, and breaks a promise of the schema.
    #[error("message breaks the schema")]
    Invalid(#[from] InvalidMessage),
}

impl TelemetryMessage {
    /// The message as canonical ProtoJSON with the schema's own field names, on one line.
    ///
    /// # Errors
    /// When the message breaks a promise of the schema.
    pub fn to_json(&self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads canonical ProtoJSON. Fields and enum values that this build does not know are ignored.
    ///
    /// # Errors
    /// When the text is no message, breaks a promise of the schema, or is of another major version.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        let message: Self = serde_json::from_slice(json)?;
        message.check()?;
        Ok(message)
    }

    /// Reads the protobuf encoding. Fields that this build does not know are ignored.
    ///
    /// # Errors
    /// When the bytes are no message, break a promise of the schema, or are of another major version.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = Self::decode(bytes)?;
        message.check()?;
        Ok(message)
    }
}
