//! Round trips: valid messages survive both encodings, and both reject invalid ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use proptest::prelude::*;
use prost::Message;
use support::hard::hard_messages;
use support::json::invalid;
use support::strategies::{any_message, valid_message};
use support::{bare_sample, full_sample, gap};
use telemetry_proto::v1::{EncodeError, TelemetryMessage};

#[test]
fn every_payload_survives_both_encodings() {
    for message in [full_sample(), bare_sample(), gap()] {
        assert_eq!(TelemetryMessage::from_json(&message.to_json().unwrap()).unwrap(), message);
        assert_eq!(TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap(), message);
    }
}

#[test]
fn edge_cases_survive_both_encodings() {
    for (case, message) in hard_messages() {
        let from_json = TelemetryMessage::from_json(&message.to_json().unwrap());
        assert_eq!(from_json.unwrap_or_else(|error| panic!("{case}: {error:?}")), message, "{case}");
        let from_protobuf = TelemetryMessage::from_protobuf(&message.encode_to_vec());
        assert_eq!(from_protobuf.unwrap_or_else(|error| panic!("{case}: {error:?}")), message, "{case}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_valid_message_survives_both_encodings(message in valid_message()) {
        let json = message.to_json().unwrap();
        prop_assert!(!json.contains(&b'\n'));
        prop_assert_eq!(&TelemetryMessage::from_json(&json).unwrap(), &message);
        prop_assert_eq!(&TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap(), &message);
    }

    #[test]
    fn writers_and_readers_reject_exactly_what_the_check_rejects(message in any_message()) {
        let json = message.to_json();
        let reread = TelemetryMessage::from_protobuf(&message.encode_to_vec());
        match message.check() {
            Ok(()) => {
                TelemetryMessage::from_json(&json.unwrap()).unwrap();
                reread.unwrap().to_json().unwrap();
            }
            Err(broken) => {
                prop_assert!(matches!(json.unwrap_err(), EncodeError::Invalid(found) if found == broken));
                prop_assert_eq!(invalid(reread.unwrap_err()), broken);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = TelemetryMessage::from_json(&bytes);
        let _ = TelemetryMessage::from_protobuf(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(
        message in valid_message(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut json = message.to_json().unwrap();
        prop_assert!(TelemetryMessage::from_json(&json[..cut.index(json.len())]).is_err());
        let position = at.index(json.len());
        json[position] = byte;
        let _ = TelemetryMessage::from_json(&json);

        let mut protobuf = message.encode_to_vec();
        let _ = TelemetryMessage::from_protobuf(&protobuf[..cut.index(protobuf.len())]);
        let position = at.index(protobuf.len());
        protobuf[position] = byte;
        let _ = TelemetryMessage::from_protobuf(&protobuf);
    }
}
