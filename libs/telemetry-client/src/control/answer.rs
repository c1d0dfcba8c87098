//! What every call does with its answer.

use std::time::Duration;

use telemetry_proto::v1::TelemetryMessage;
use telemetry_proto::well_known;
use tonic::{Response, Status};

use super::ControlError;

pub(super) fn answered<T>(call: &'static str, answer: Result<Response<T>, Status>) -> Result<T, ControlError> {
    answer.map(Response::into_inner).map_err(|status| ControlError::from_status(call, status))
}

pub(super) fn duration(call: &'static str, span: Option<well_known::Duration>) -> Result<Duration, ControlError> {
    let span = span.ok_or_else(|| ControlError::wrong_answer(call, "it lacks a duration"))?;
    Duration::try_from(span).map_err(|error| ControlError::wrong_answer(call, error))
}

/// A message that keeps the promises of the schema.
pub(super) fn message(call: &'static str, message: Option<TelemetryMessage>) -> Result<TelemetryMessage, ControlError> {
    let message = message.ok_or_else(|| ControlError::wrong_answer(call, "it holds no message"))?;
    message.check().map_err(|invalid| ControlError::wrong_answer(call, invalid))?;
    Ok(message)
}
