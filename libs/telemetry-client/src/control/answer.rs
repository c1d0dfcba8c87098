//! What every call does with its answer.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use telemetry_proto::v1::{SequenceRange, TelemetryMessage};
use telemetry_proto::well_known::{self, Timestamp};
use tonic::{Response, Status};

use super::error::ControlError;

pub(super) fn answered<T>(call: &'static str, answer: Result<Response<T>, Status>) -> Result<T, ControlError> {
    answer.map(Response::into_inner).map_err(|status| ControlError::from_status(call, status))
}

pub(super) fn duration(call: &'static str, span: Option<well_known::Duration>) -> Result<Duration, ControlError> {
    let span = span.ok_or_else(|| ControlError::wrong_answer(call, "it lacks a duration"))?;
    Duration::try_from(span).map_err(|error| ControlError::wrong_answer(call, error))
}

/// A time that the collector may leave out.
pub(super) fn time(call: &'static str, time: Option<Timestamp>) -> Result<Option<SystemTime>, ControlError> {
    time.map(SystemTime::try_from).transpose().map_err(|error| ControlError::wrong_answer(call, error))
}

pub(super) fn ranges(call: &'static str, ranges: Vec<SequenceRange>) -> Result<Vec<RangeInclusive<u64>>, ControlError> {
    let checked = |range: SequenceRange| match range.first {
        0 => Err(ControlError::wrong_answer(call, "a range of numbers begins with 0")),
        first if first > range.last => {
            Err(ControlError::wrong_answer(call, "a range of numbers ends before it begins"))
        }
        first => Ok(first..=range.last),
    };
    ranges.into_iter().map(checked).collect()
}

/// A message that keeps the promises of the schema.
pub(super) fn message(call: &'static str, message: Option<TelemetryMessage>) -> Result<TelemetryMessage, ControlError> {
    let message = message.ok_or_else(|| ControlError::wrong_answer(call, "it holds no message"))?;
    message.check().map_err(|invalid| ControlError::wrong_answer(call, invalid))?;
    Ok(message)
}
