//! Messages as JSON values, for tests that inspect or change them.

use serde_json::Value;
use telemetry_proto::v1::{DecodeError, InvalidMessage, TelemetryMessage};

pub(crate) fn written(message: &TelemetryMessage) -> Value {
    serde_json::from_slice(&message.to_json().unwrap()).unwrap()
}

pub(crate) fn read(json: &Value) -> Result<TelemetryMessage, DecodeError> {
    TelemetryMessage::from_json(&serde_json::to_vec(json).unwrap())
}

/// Sets the value at `pointer` (RFC 6901). The last name may be new.
pub(crate) fn set(json: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
}

pub(crate) fn remove(json: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let removed = json.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    assert!(removed.is_some(), "nothing at {pointer}");
}

pub(crate) fn invalid(error: DecodeError) -> InvalidMessage {
    match error {
        DecodeError::Invalid(invalid) => invalid,
        other => panic!("rejected for another reason: {other:?}"),
    }
}
