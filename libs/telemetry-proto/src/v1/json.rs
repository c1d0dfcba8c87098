//! Canonical ProtoJSON, and the protobuf encoding with the same checks.

use std::borrow::Cow;

use prost::Message;
use thiserror::Error;

use super::telemetry_data::Metrics;
use super::telemetry_message::Payload;
use super::{GapReason, InvalidMessage, TelemetryMessage, UnavailableReason};

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
    /// The message as canonical ProtoJSON with the schema's own field names, on one line. Enum values that this build
    /// does not know have no name here and are written as unspecified.
    ///
    /// # Errors
    /// When the message breaks a promise of the schema.
    pub fn to_json(&self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        Ok(serde_json::to_vec(self.with_known_enum_values().as_ref())?)
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

    /// The message in the protobuf encoding.
    ///
    /// # Errors
    /// When the message breaks a promise of the schema.
    pub fn to_protobuf(&self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        Ok(self.encode_to_vec())
    }

    /// Reads a message in either encoding: JSON begins with a brace, and protobuf never does.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json) or [`from_protobuf`](Self::from_protobuf).
    pub fn from_either(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.starts_with(b"{") { Self::from_json(bytes) } else { Self::from_protobuf(bytes) }
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

    /// The protobuf encoding keeps enum values of a newer minor version as numbers; the generated JSON refuses them.
    fn with_known_enum_values(&self) -> Cow<'_, Self> {
        let all_known = match &self.payload {
            Some(Payload::Gap(gap)) => GapReason::try_from(gap.reason).is_ok(),
            Some(Payload::Data(data)) => match &data.metrics {
                Some(Metrics::Cpu(cpu)) => {
                    cpu.unavailable.iter().all(|field| UnavailableReason::try_from(field.reason).is_ok())
                }
                None => true,
            },
            None => true,
        };
        if all_known {
            return Cow::Borrowed(self);
        }
        let mut known = self.clone();
        match &mut known.payload {
            Some(Payload::Gap(gap)) => gap.set_reason(gap.reason()),
            Some(Payload::Data(data)) => {
                if let Some(Metrics::Cpu(cpu)) = &mut data.metrics {
                    cpu.unavailable.iter_mut().for_each(|field| field.set_reason(field.reason()));
                }
            }
            None => {}
        }
        Cow::Owned(known)
    }
}
