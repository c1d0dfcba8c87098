//! Encoding and decoding of messages as canonical ProtoJSON and protobuf, both with validation.

use std::borrow::Cow;

use prost::Message;
use thiserror::Error;

use super::telemetry_data::Metrics;
use super::telemetry_message::Payload;
use super::{CallerLogin, ControlAction, GapReason, InvalidMessage, TelemetryMessage, UnavailableReason};

/// A message could not be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message violates the schema.
    #[error("message breaks the schema")]
    Invalid(#[from] InvalidMessage),
    /// The message cannot be expressed as JSON.
    #[error("message cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A message could not be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text is not a message in JSON.
    #[error("not a telemetry message in JSON")]
    Json(#[from] serde_json::Error),
    /// The bytes are not a message in protobuf.
    #[error("not a telemetry message in protobuf")]
    Protobuf(#[from] prost::DecodeError),
    /// The message was decoded but violates the schema.
    #[error("message breaks the schema")]
    Invalid(#[from] InvalidMessage),
}

impl TelemetryMessage {
    /// Encodes the message as canonical ProtoJSON, on one line, with the field names of the schema (`snake_case`). Enum
    /// values that this build does not know are written as unspecified.
    ///
    /// # Errors
    /// If the message violates the schema.
    pub fn to_json(&self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        Ok(serde_json::to_vec(self.with_known_enum_values().as_ref())?)
    }

    /// Decodes ProtoJSON. Fields and enum values that this build does not know are ignored.
    ///
    /// # Errors
    /// If the text is not a message, or the message violates the schema or has another major version.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        let message: Self = serde_json::from_slice(json)?;
        message.check()?;
        Ok(message)
    }

    /// Encodes the message as protobuf.
    ///
    /// # Errors
    /// If the message violates the schema.
    pub fn to_protobuf(&self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        Ok(self.encode_to_vec())
    }

    /// Decodes either encoding. JSON starts with `{`, which a protobuf message never does.
    ///
    /// # Errors
    /// The same as [`from_json`](Self::from_json) or [`from_protobuf`](Self::from_protobuf).
    pub fn from_either(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.starts_with(b"{") { Self::from_json(bytes) } else { Self::from_protobuf(bytes) }
    }

    /// Decodes protobuf. Fields that this build does not know are ignored.
    ///
    /// # Errors
    /// If the bytes are not a message, or the message violates the schema or has another major version.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = Self::decode(bytes)?;
        message.check()?;
        Ok(message)
    }

    /// The message with unknown enum values replaced by unspecified. Protobuf keeps values of a newer minor version as
    /// numbers, which the generated JSON code cannot write.
    fn with_known_enum_values(&self) -> Cow<'_, Self> {
        let all_known = match &self.payload {
            Some(Payload::Gap(gap)) => GapReason::try_from(gap.reason).is_ok(),
            Some(Payload::Data(data)) => match &data.metrics {
                Some(Metrics::Cpu(cpu)) => {
                    cpu.unavailable.iter().all(|field| UnavailableReason::try_from(field.reason).is_ok())
                }
                None => true,
            },
            Some(Payload::Control(event)) => {
                let login = event.caller.as_ref().map(|caller| CallerLogin::try_from(caller.login));
                ControlAction::try_from(event.action).is_ok() && login.is_none_or(|login| login.is_ok())
            }
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
            Some(Payload::Control(event)) => {
                event.set_action(event.action());
                if let Some(caller) = &mut event.caller {
                    caller.set_login(caller.login());
                }
            }
            None => {}
        }
        Cow::Owned(known)
    }
}
