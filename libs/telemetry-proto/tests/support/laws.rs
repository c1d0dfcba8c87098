//! What holds for whatever bytes come in as a message; the targets in //fuzz look for bytes for which it does not.

use prost::Message;
use telemetry_proto::v1::TelemetryMessage;

/// Text is refused, or read as a message that both encodings carry unchanged.
pub(crate) fn json(text: &[u8]) {
    let Ok(message) = TelemetryMessage::from_json(text) else { return };
    let json = message.to_json().expect("what was read can be written");
    assert_eq!(TelemetryMessage::from_json(&json).expect("what was written can be read"), message);
    let protobuf = message.encode_to_vec();
    assert_eq!(TelemetryMessage::from_protobuf(&protobuf).expect("in protobuf too"), message);
}

/// Bytes are refused, or read as a message that protobuf carries unchanged, and JSON but for enum values of a newer minor
/// version: these are unspecified there.
pub(crate) fn protobuf(bytes: &[u8]) {
    let Ok(message) = TelemetryMessage::from_protobuf(bytes) else { return };
    let protobuf = message.encode_to_vec();
    assert_eq!(TelemetryMessage::from_protobuf(&protobuf).expect("what was written can be read"), message);
    let json = message.to_json().expect("what was read can be written as JSON");
    let from_json = TelemetryMessage::from_json(&json).expect("what was written as JSON can be read");
    assert_eq!(from_json.to_json().expect("and written again"), json);
}
