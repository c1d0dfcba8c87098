//! Messages of older and newer schema versions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::error::Error;

use prost::Message;
use serde_json::json;
use support::json::{invalid, read, remove, set, written};
use support::{full_sample, gap};
use telemetry_proto::v1::{
    EncodeError, GapReason, Problem, SCHEMA_VERSION, TelemetryMessage, UnavailableReason, telemetry_data,
    telemetry_message,
};

const NEWER_MINOR: &str = "1.99.0";

#[test]
fn reads_an_older_message_without_the_optional_fields() {
    let mut json = written(&full_sample());
    for pointer in [
        "/data/metadata/host_id",
        "/data/metadata/boot_id",
        "/data/metadata/os",
        "/data/metadata/kernel",
        "/data/metadata/arch",
        "/data/metadata/labels",
        "/data/metadata/virtualization",
        "/data/cpu/usage_percent",
        "/data/cpu/states",
        "/data/cpu/physical_count",
        "/data/cpu/vendor",
        "/data/cpu/model",
        "/data/cpu/cores",
        "/data/cpu/load_averages",
        "/data/cpu/frequencies",
        "/data/cpu/temperature_celsius",
        "/data/cpu/unavailable",
    ] {
        remove(&mut json, pointer);
        read(&json).unwrap_or_else(|error| panic!("without {pointer}: {error:?}"));
    }
}

#[test]
fn reads_omitted_zeros_as_zeros() {
    let mut json = written(&full_sample());
    remove(&mut json, "/data/cpu/cores/0/core_id");
    remove(&mut json, "/data/cpu/load_averages/one");
    assert_eq!(read(&json).unwrap(), full_sample());
}

#[test]
fn ignores_unknown_fields_at_every_level() {
    let mut json = written(&full_sample());
    let mut objects = vec![String::new()];
    for pointer in [
        "/data",
        "/data/metadata",
        "/data/cpu",
        "/data/cpu/states",
        "/data/cpu/cores/0",
        "/data/cpu/cores/0/states",
        "/data/cpu/load_averages",
        "/data/cpu/frequencies",
        "/data/cpu/unavailable/0",
    ] {
        objects.push(pointer.to_owned());
    }
    for pointer in objects {
        set(&mut json, &format!("{pointer}/of_the_future"), json!({ "deep": [1, "x", null, { "er": 1e300 }] }));
        set(&mut json, &format!("{pointer}/number_of_the_future"), json!(7));
    }
    json["schema_version"] = json!(NEWER_MINOR);
    let mut expected = full_sample();
    expected.schema_version = NEWER_MINOR.to_owned();
    assert_eq!(read(&json).unwrap(), expected);

    // The same applies to the current version: unknown fields are no reason to lose a message.
    json["schema_version"] = json!(SCHEMA_VERSION);
    assert_eq!(read(&json).unwrap(), full_sample());
}

#[test]
fn ignores_unknown_fields_in_protobuf() {
    let mut bytes = full_sample().encode_to_vec();
    bytes.extend([0x98, 0x06, 0x07]); // field 99, varint
    bytes.extend([0xa2, 0x06, 0x02, b'h', b'i']); // field 100, bytes
    assert_eq!(TelemetryMessage::from_protobuf(&bytes).unwrap(), full_sample());
}

#[test]
fn reads_unknown_enum_values_as_unspecified() {
    for unknown in [json!("GAP_REASON_OF_THE_FUTURE"), json!(99)] {
        let mut json = written(&gap());
        set(&mut json, "/schema_version", json!(NEWER_MINOR));
        set(&mut json, "/gap/reason", unknown);
        let Some(telemetry_message::Payload::Gap(gap)) = read(&json).unwrap().payload else { panic!("no gap") };
        assert_eq!(gap.reason(), GapReason::Unspecified);
    }
    let mut json = written(&full_sample());
    set(&mut json, "/data/cpu/unavailable/0/reason", json!("UNAVAILABLE_REASON_OF_THE_FUTURE"));
    let Some(telemetry_message::Payload::Data(data)) = read(&json).unwrap().payload else { panic!("no data") };
    let Some(telemetry_data::Metrics::Cpu(cpu)) = data.metrics else { panic!("no cpu") };
    assert_eq!(cpu.unavailable[0].reason(), UnavailableReason::Unspecified);
}

#[test]
fn writes_unknown_enum_values_from_protobuf_as_unspecified_in_json() {
    let mut message = gap();
    let Some(telemetry_message::Payload::Gap(record)) = &mut message.payload else { panic!("no gap") };
    record.reason = 99;
    let read = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap();
    assert_eq!(written(&read)["gap"]["reason"], "GAP_REASON_UNSPECIFIED");

    let mut message = full_sample();
    let Some(telemetry_message::Payload::Data(data)) = &mut message.payload else { panic!("no data") };
    let Some(telemetry_data::Metrics::Cpu(cpu)) = &mut data.metrics else { panic!("no cpu") };
    cpu.unavailable[0].reason = -1;
    let read = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap();
    let reason = &written(&read)["data"]["cpu"]["unavailable"][0]["reason"];
    assert_eq!(reason, "UNAVAILABLE_REASON_UNSPECIFIED");
}

#[test]
fn accepts_a_missing_payload_only_from_a_newer_minor_version() {
    for (known, unknown, field) in
        [("/gap", "/verdict", "payload"), ("/data", "/trace", "payload"), ("/data/cpu", "/data/disk", "data.metrics")]
    {
        let mut json = written(&if known == "/gap" { gap() } else { full_sample() });
        remove(&mut json, known);
        set(&mut json, unknown, json!({ "anything": [true] }));

        set(&mut json, "/schema_version", json!(NEWER_MINOR));
        let message = read(&json).unwrap_or_else(|error| panic!("{unknown}: {error:?}"));
        assert_eq!(message.schema_version, NEWER_MINOR);
        assert_eq!(TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap(), message);

        // A writer of this minor version cannot have a payload that this build does not know.
        for version in [SCHEMA_VERSION, "1.0.0-rc.1", "1.0.1", "1.0.0+build.7"] {
            set(&mut json, "/schema_version", json!(version));
            let rejected = invalid(read(&json).unwrap_err());
            assert_eq!((rejected.field.as_str(), &rejected.problem), (field, &Problem::Missing), "{unknown} {version}");
        }
    }
}

#[test]
fn rejects_another_major_version_by_name() {
    for version in ["0.9.0", "2.0.0", "10.0.0"] {
        let mut message = full_sample();
        message.schema_version = version.to_owned();
        let rejected = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap_err();
        let source = rejected.source().unwrap().to_string();
        assert!(source.contains("schema_version") && source.contains(version) && source.contains(SCHEMA_VERSION));
        assert!(matches!(invalid(rejected).problem, Problem::OtherMajor { .. }));
        assert!(matches!(message.to_json(), Err(EncodeError::Invalid(_))));
    }
}
