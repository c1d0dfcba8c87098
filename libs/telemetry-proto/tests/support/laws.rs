//! Properties that hold for any input. The targets in //fuzz search for inputs that violate them.

use prost::Message;
use telemetry_proto::v1::TelemetryMessage;

/// JSON is either rejected, or decoded as a message that survives both encodings.
pub(crate) fn json(text: &[u8]) {
    let Ok(message) = TelemetryMessage::from_json(text) else { return };
    let json = message.to_json().expect("a decoded message can be encoded");
    assert_eq!(TelemetryMessage::from_json(&json).expect("an encoded message can be decoded"), message);
    let protobuf = message.encode_to_vec();
    assert_eq!(TelemetryMessage::from_protobuf(&protobuf).expect("the same in protobuf"), message);
}

/// Protobuf is either rejected, or decoded as a message that survives protobuf. It also survives JSON, except that
/// unknown enum values become unspecified.
pub(crate) fn protobuf(bytes: &[u8]) {
    let Ok(message) = TelemetryMessage::from_protobuf(bytes) else { return };
    let protobuf = message.encode_to_vec();
    assert_eq!(TelemetryMessage::from_protobuf(&protobuf).expect("an encoded message can be decoded"), message);
    let json = message.to_json().expect("a decoded message can be encoded as JSON");
    let from_json = TelemetryMessage::from_json(&json).expect("encoded JSON can be decoded");
    assert_eq!(from_json.to_json().expect("the JSON can be encoded again"), json);
}
