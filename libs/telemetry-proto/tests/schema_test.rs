//! What the schema promises every reader and writer: round trips, the canonical form, compatibility between versions,
//! and that nothing broken passes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::error::Error;

use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use support::strategies::{any_message, valid_message};
use support::{bare_sample, full_sample, gap};
use telemetry_proto::v1::{
    DecodeError, EncodeError, FILE_DESCRIPTOR_SET, GapReason, InvalidMessage, Problem, SCHEMA_VERSION,
    TelemetryMessage, UnavailableReason, telemetry_data, telemetry_message,
};

const NEWER_MINOR: &str = "1.99.0";

fn written(message: &TelemetryMessage) -> Value {
    serde_json::from_slice(&message.to_json().unwrap()).unwrap()
}

fn read(json: &Value) -> Result<TelemetryMessage, DecodeError> {
    TelemetryMessage::from_json(&serde_json::to_vec(json).unwrap())
}

/// Puts `value` where `pointer` (RFC 6901) says; the last name may be new.
fn set(json: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
}

fn remove(json: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let removed = json.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    assert!(removed.is_some(), "nothing at {pointer}");
}

fn invalid(error: DecodeError) -> InvalidMessage {
    match error {
        DecodeError::Invalid(invalid) => invalid,
        other => panic!("refused for another reason: {other:?}"),
    }
}

// Round trips

#[test]
fn every_payload_survives_json_and_protobuf() {
    for message in [full_sample(), bare_sample(), gap()] {
        assert_eq!(TelemetryMessage::from_json(&message.to_json().unwrap()).unwrap(), message);
        assert_eq!(TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap(), message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_valid_message_survives_json_and_protobuf(message in valid_message()) {
        let json = message.to_json().unwrap();
        prop_assert!(!json.contains(&b'\n'));
        prop_assert_eq!(&TelemetryMessage::from_json(&json).unwrap(), &message);
        prop_assert_eq!(&TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap(), &message);
    }

    #[test]
    fn writers_and_readers_refuse_what_the_check_refuses_and_nothing_else(message in any_message()) {
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
    fn bytes_from_anywhere_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = TelemetryMessage::from_json(&bytes);
        let _ = TelemetryMessage::from_protobuf(&bytes);
    }

    #[test]
    fn damaged_messages_are_read_or_refused(
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

// The canonical form

#[test]
fn a_full_sample_is_written_in_the_canonical_form() {
    let states = json!({
        "user_percent": 40.0, "nice_percent": 2.5, "system_percent": 7.0, "idle_percent": 45.0, "iowait_percent": 3.0,
        "irq_percent": 0.5, "softirq_percent": 1.5, "steal_percent": 0.5, "guest_percent": 10.0,
        "guest_nice_percent": 0.25,
    });
    let expected = json!({
        "schema_version": SCHEMA_VERSION,
        "message_id": "019c13f6-3c00-7abc-8def-0123456789ab",
        "instance_id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "sequence": "18446744073709551615",
        "collected_at": "2026-01-31T12:00:00.250Z",
        "data": {
            "metadata": {
                "hostname": "edge-1",
                "host_id": "b08dfa6083e7567a1921a715000001fb",
                "boot_id": "6c1e8b8e-0f5b-4b8e-9d0a-2f6f3f0d7a11",
                "os": "Debian GNU/Linux 12",
                "kernel": "6.1.0-31-amd64",
                "arch": "x86_64",
                "collector_version": "0.1.0",
                "interval": "0.200s",
                "scheduled_at": "2026-01-31T12:00:00Z",
                "collection_duration": "0.000158001s",
                "labels": { "rack": "ü7", "site": "" },
                "virtualization": "kvm",
            },
            "cpu": {
                "usage_percent": 52.0,
                "states": states,
                "logical_count": 2,
                "physical_count": 1,
                "vendor": "AuthenticAMD",
                "model": "AMD EPYC 7B13",
                "cores": [
                    {
                        "core_id": 0,
                        "usage_percent": 52.0,
                        "states": states,
                        "frequency_mhz": 2450.5,
                        "temperature_celsius": -3.5,
                    },
                    { "core_id": 2 },
                ],
                "load_averages": { "one": 0.0, "five": 1.25, "fifteen": 300.0 },
                "frequencies": { "current_mhz": 2450.5, "min_mhz": 1500.0, "max_mhz": 3500.0 },
                "temperature_celsius": 61.875,
                "unavailable": [{ "field": "cores.usage_percent", "reason": "UNAVAILABLE_REASON_FIRST_SAMPLE" }],
            },
        },
    });
    assert_eq!(written(&full_sample()), expected);
    assert_eq!(read(&expected).unwrap(), full_sample());
}

#[test]
fn zeros_are_written_out_and_absent_values_are_not() {
    let sample = written(&bare_sample());
    let metadata = json!({
        "hostname": "edge-1", "host_id": "", "boot_id": "", "os": "", "kernel": "", "arch": "",
        "collector_version": "0.1.0", "interval": "1s", "scheduled_at": "2026-01-31T12:00:00Z",
        "collection_duration": "0s", "labels": {},
    });
    assert_eq!(sample["data"]["metadata"], metadata);
    let cpu = json!({ "logical_count": 1, "vendor": "", "model": "", "cores": [], "unavailable": [] });
    assert_eq!(sample["data"]["cpu"], cpu);
}

#[test]
fn a_gap_is_one_line_in_the_order_of_the_schema() {
    let expected = concat!(
        r#"{"schema_version":"1.0.0","message_id":"019c13f6-3c00-7abc-8def-0123456789ab","#,
        r#""instance_id":"3f2504e0-4f89-41d3-9a0c-0305e82c3301","sequence":"10","#,
        r#""collected_at":"2026-01-31T12:00:00.250Z","gap":{"missing":[{"first":"1","last":"1"},"#,
        r#"{"first":"3","last":"9"}],"reason":"GAP_REASON_OUTBOX_FULL","count":"8"}}"#,
    );
    let expected = expected.replace("1.0.0", SCHEMA_VERSION);
    assert_eq!(String::from_utf8(gap().to_json().unwrap()).unwrap(), expected);
}

#[test]
fn what_other_protobuf_runtimes_may_write_is_read() {
    type Rewrite = fn(&mut Value);
    let rewrites: [(&str, Rewrite); 5] = [
        ("lowerCamelCase names", |json| {
            let cpu = json["data"]["cpu"].as_object_mut().unwrap();
            for (proto_name, json_name) in [("usage_percent", "usagePercent"), ("load_averages", "loadAverages")] {
                let value = cpu.remove(proto_name).unwrap();
                cpu.insert(json_name.to_owned(), value);
            }
        }),
        ("another time zone", |json| json["collected_at"] = json!("2026-01-31T13:00:00.25+01:00")),
        ("enum by number", |json| json["data"]["cpu"]["unavailable"][0]["reason"] = json!(1)),
        ("double without fraction, or as text", |json| {
            json["data"]["cpu"]["usage_percent"] = json!(52);
            json["data"]["cpu"]["temperature_celsius"] = json!("61.875");
        }),
        ("32-bit number as text", |json| json["data"]["cpu"]["logical_count"] = json!("2")),
    ];
    for (name, rewrite) in rewrites {
        let mut json = written(&full_sample());
        rewrite(&mut json);
        assert_eq!(read(&json).unwrap_or_else(|error| panic!("{name}: {error:?}")), full_sample(), "{name}");
    }
    let mut json = written(&gap());
    json["sequence"] = json!(10);
    assert_eq!(read(&json).unwrap(), gap());
}

// Compatibility

#[test]
fn an_older_message_without_the_optional_fields_is_read() {
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
fn zeros_left_out_are_zeros() {
    let mut json = written(&full_sample());
    remove(&mut json, "/data/cpu/cores/0/core_id");
    remove(&mut json, "/data/cpu/load_averages/one");
    assert_eq!(read(&json).unwrap(), full_sample());
}

#[test]
fn fields_of_a_newer_minor_are_ignored_at_every_level() {
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

    // Within the version that this build knows, too: a writer's additions are no reason to lose a message.
    json["schema_version"] = json!(SCHEMA_VERSION);
    assert_eq!(read(&json).unwrap(), full_sample());
}

#[test]
fn fields_of_a_newer_minor_are_ignored_in_protobuf() {
    let mut bytes = full_sample().encode_to_vec();
    bytes.extend([0x98, 0x06, 0x07]); // field 99, varint
    bytes.extend([0xa2, 0x06, 0x02, b'h', b'i']); // field 100, bytes
    assert_eq!(TelemetryMessage::from_protobuf(&bytes).unwrap(), full_sample());
}

#[test]
fn enum_values_of_a_newer_minor_are_unspecified() {
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
fn enum_values_of_a_newer_minor_pass_from_protobuf_to_json() {
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
fn a_kind_that_only_a_newer_minor_knows_is_read_as_none() {
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

        // Whoever writes no newer minor has nothing that this build could not know.
        for version in [SCHEMA_VERSION, "1.0.0-rc.1", "1.0.1", "1.0.0+build.7"] {
            set(&mut json, "/schema_version", json!(version));
            let refused = invalid(read(&json).unwrap_err());
            assert_eq!((refused.field.as_str(), &refused.problem), (field, &Problem::Missing), "{unknown} {version}");
        }
    }
}

#[test]
fn another_major_is_refused_by_name() {
    for version in ["0.9.0", "2.0.0", "10.0.0"] {
        let mut message = full_sample();
        message.schema_version = version.to_owned();
        let refused = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap_err();
        let source = refused.source().unwrap().to_string();
        assert!(source.contains("schema_version") && source.contains(version) && source.contains(SCHEMA_VERSION));
        assert!(matches!(invalid(refused).problem, Problem::OtherMajor { .. }));
        assert!(matches!(message.to_json(), Err(EncodeError::Invalid(_))));
    }
}

// What is refused

/// Where a valid message is changed, to what, and the field that the error must name.
fn broken_promises() -> Vec<(TelemetryMessage, &'static str, Value, &'static str)> {
    let mut cases = Vec::new();
    let mut sample = |pointer, value: Value, field| cases.push((full_sample(), pointer, value, field));
    let nil = "00000000-0000-0000-0000-000000000000";

    sample("/schema_version", json!(""), "schema_version");
    sample("/schema_version", json!("1"), "schema_version");
    sample("/message_id", json!(""), "message_id");
    sample("/message_id", json!("7"), "message_id");
    sample("/message_id", json!(nil), "message_id");
    sample("/message_id", json!("0198F1C2-0000-7000-8000-00000000000A"), "message_id");
    sample("/message_id", json!("0198f1c200007000800000000000000a"), "message_id");
    sample("/instance_id", json!(""), "instance_id");
    sample("/instance_id", json!(nil), "instance_id");
    sample("/sequence", json!("0"), "sequence");
    sample("/collected_at", json!(null), "collected_at");
    sample("/data/metadata", json!(null), "data.metadata");
    sample("/data/metadata/hostname", json!(""), "data.metadata.hostname");
    sample("/data/metadata/collector_version", json!(""), "data.metadata.collector_version");
    sample("/data/metadata/interval", json!(null), "data.metadata.interval");
    sample("/data/metadata/interval", json!("0s"), "data.metadata.interval");
    sample("/data/metadata/interval", json!("-1s"), "data.metadata.interval");
    sample("/data/metadata/scheduled_at", json!(null), "data.metadata.scheduled_at");
    sample("/data/metadata/collection_duration", json!(null), "data.metadata.collection_duration");
    sample("/data/metadata/collection_duration", json!("-0.001s"), "data.metadata.collection_duration");
    sample("/data/metadata/labels", json!({ "": "x" }), "data.metadata.labels");
    for not_a_share in [json!(100.1), json!(-0.1), json!("NaN"), json!("Infinity"), json!("-Infinity")] {
        sample("/data/cpu/usage_percent", not_a_share.clone(), "data.cpu.usage_percent");
        sample("/data/cpu/cores/1/usage_percent", not_a_share.clone(), "data.cpu.cores[1].usage_percent");
        for (pointer, field) in [
            ("/data/cpu/states/user_percent", "data.cpu.states.user_percent"),
            ("/data/cpu/states/nice_percent", "data.cpu.states.nice_percent"),
            ("/data/cpu/states/system_percent", "data.cpu.states.system_percent"),
            ("/data/cpu/states/idle_percent", "data.cpu.states.idle_percent"),
            ("/data/cpu/states/iowait_percent", "data.cpu.states.iowait_percent"),
            ("/data/cpu/states/irq_percent", "data.cpu.states.irq_percent"),
            ("/data/cpu/states/softirq_percent", "data.cpu.states.softirq_percent"),
            ("/data/cpu/states/steal_percent", "data.cpu.states.steal_percent"),
            ("/data/cpu/states/guest_percent", "data.cpu.states.guest_percent"),
            ("/data/cpu/states/guest_nice_percent", "data.cpu.states.guest_nice_percent"),
            ("/data/cpu/cores/0/states/idle_percent", "data.cpu.cores[0].states.idle_percent"),
        ] {
            sample(pointer, not_a_share.clone(), field);
        }
    }
    sample("/data/cpu/states/idle_percent", json!(44.0), "data.cpu.states.total");
    sample("/data/cpu/cores/0/states/idle_percent", json!(46.0), "data.cpu.cores[0].states.total");
    sample("/data/cpu/logical_count", json!(0), "data.cpu.logical_count");
    sample("/data/cpu/physical_count", json!(0), "data.cpu.physical_count");
    sample("/data/cpu/cores/1/core_id", json!(0), "data.cpu.cores[1].core_id");
    for not_a_load in [json!(-0.1), json!("NaN"), json!("Infinity")] {
        sample("/data/cpu/load_averages/one", not_a_load.clone(), "data.cpu.load_averages.one");
        sample("/data/cpu/load_averages/five", not_a_load.clone(), "data.cpu.load_averages.five");
        sample("/data/cpu/load_averages/fifteen", not_a_load, "data.cpu.load_averages.fifteen");
    }
    for not_a_frequency in [json!(0), json!(-1), json!("NaN"), json!("Infinity")] {
        sample("/data/cpu/cores/0/frequency_mhz", not_a_frequency.clone(), "data.cpu.cores[0].frequency_mhz");
        sample("/data/cpu/frequencies/current_mhz", not_a_frequency.clone(), "data.cpu.frequencies.current_mhz");
        sample("/data/cpu/frequencies/min_mhz", not_a_frequency.clone(), "data.cpu.frequencies.min_mhz");
        sample("/data/cpu/frequencies/max_mhz", not_a_frequency, "data.cpu.frequencies.max_mhz");
    }
    sample("/data/cpu/frequencies/min_mhz", json!(3500.5), "data.cpu.frequencies.min_mhz");
    for not_a_temperature in [json!(-273.16), json!("NaN"), json!("Infinity")] {
        sample("/data/cpu/temperature_celsius", not_a_temperature.clone(), "data.cpu.temperature_celsius");
        let of_core = "data.cpu.cores[0].temperature_celsius";
        sample("/data/cpu/cores/0/temperature_celsius", not_a_temperature, of_core);
    }
    sample("/data/cpu/unavailable/0/field", json!(""), "data.cpu.unavailable[0].field");

    let mut gap_record = |pointer, value: Value, field| cases.push((gap(), pointer, value, field));
    let range = |first: &str, last: &str| json!({ "first": first, "last": last });
    gap_record("/gap/missing/0", range("0", "1"), "gap.missing[0]");
    gap_record("/gap/missing/1", range("1", "9"), "gap.missing[1]");
    gap_record("/gap/missing/1", range("9", "3"), "gap.missing[1]");
    gap_record("/gap/missing/1", range("3", "18446744073709551615"), "gap.missing[1]");
    gap_record("/gap/missing", json!([range("3", "9"), range("1", "1")]), "gap.missing[1]");
    gap_record("/gap/count", json!("7"), "gap.count");
    gap_record("/gap/count", json!("0"), "gap.count");
    gap_record("/gap", json!({ "missing": [], "count": "0" }), "gap.count");
    gap_record("/gap/instance_id", json!("of another"), "gap.instance_id");
    cases
}

#[test]
fn a_broken_promise_is_refused_at_both_ends_and_its_field_named() {
    for (valid, pointer, value, field) in broken_promises() {
        let case = format!("{pointer} = {value}");
        let mut json = written(&valid);
        set(&mut json, pointer, value);
        let refused = invalid(read(&json).expect_err(&case));
        assert_eq!(refused.field, field, "{case}");
        assert!(refused.to_string().starts_with(field), "{case}: {refused}");

        let unchecked: TelemetryMessage = serde_json::from_value(json).unwrap();
        assert_eq!(unchecked.check().as_ref(), Err(&refused), "{case}");
        match unchecked.to_json() {
            Err(EncodeError::Invalid(found)) => assert_eq!(found, refused, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
        let from_protobuf = TelemetryMessage::from_protobuf(&unchecked.encode_to_vec());
        assert_eq!(invalid(from_protobuf.expect_err(&case)), refused, "{case}");
    }
}

#[test]
fn limits_belong_to_what_is_allowed() {
    for (pointer, value) in [
        ("/sequence", json!("1")),
        ("/data/cpu/usage_percent", json!(0)),
        ("/data/cpu/usage_percent", json!(100)),
        ("/data/cpu/states/idle_percent", json!(45.5)),
        ("/data/cpu/temperature_celsius", json!(-273.15)),
        ("/data/cpu/frequencies/min_mhz", json!(3500)),
        ("/data/metadata/interval", json!("0.000000001s")),
        ("/data/metadata/collection_duration", json!("0s")),
        ("/collected_at", json!("0001-01-01T00:00:00Z")),
        ("/collected_at", json!("9999-12-31T23:59:59.999999999Z")),
    ] {
        let mut json = written(&full_sample());
        set(&mut json, pointer, value.clone());
        let message = read(&json).unwrap_or_else(|error| panic!("{pointer} = {value}: {error:?}"));
        assert_eq!(TelemetryMessage::from_json(&message.to_json().unwrap()).unwrap(), message);
    }
}

#[test]
fn times_that_canonical_json_cannot_write_are_refused_from_protobuf() {
    use telemetry_proto::well_known::{Duration, Timestamp};
    for (seconds, nanos) in [(i64::MIN, 0), (i64::MIN, i32::MIN), (i64::MAX, i32::MAX), (1, -1), (0, i32::MAX)] {
        let mut message = full_sample();
        message.collected_at = Some(Timestamp { seconds, nanos });
        let refused = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap_err();
        assert_eq!(invalid(refused).field, "collected_at");

        for field in ["data.metadata.interval", "data.metadata.collection_duration"] {
            let mut message = full_sample();
            let Some(telemetry_message::Payload::Data(data)) = &mut message.payload else { panic!("no data") };
            let metadata = data.metadata.as_mut().unwrap();
            let span = Some(Duration { seconds, nanos });
            match field {
                "data.metadata.interval" => metadata.interval = span,
                _ => metadata.collection_duration = span,
            }
            let refused = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap_err();
            assert_eq!(invalid(refused).field, field);
        }
    }
}

#[test]
fn values_of_the_wrong_type_are_no_message() {
    for (pointer, value) in [
        ("/schema_version", json!(1)),
        ("/message_id", json!({})),
        ("/sequence", json!("-1")),
        ("/sequence", json!(-1)),
        ("/sequence", json!("18446744073709551616")),
        ("/sequence", json!("")),
        ("/sequence", json!("one")),
        ("/sequence", json!(1.5)),
        ("/sequence", json!(true)),
        ("/collected_at", json!("yesterday")),
        ("/collected_at", json!("10000-01-01T00:00:00Z")),
        ("/collected_at", json!("2026-02-30T00:00:00Z")),
        ("/collected_at", json!(1_769_860_800)),
        ("/data", json!([])),
        ("/data", json!("cpu")),
        ("/data/metadata/interval", json!(1)),
        ("/data/metadata/interval", json!("1")),
        ("/data/metadata/interval", json!("NaNs")),
        ("/data/metadata/interval", json!("315576000001s")),
        ("/data/metadata/labels", json!([["a", "b"]])),
        ("/data/metadata/labels", json!({ "a": 1 })),
        ("/data/cpu/usage_percent", json!("52%")),
        ("/data/cpu/usage_percent", json!([52.0])),
        ("/data/cpu/logical_count", json!(-1)),
        ("/data/cpu/logical_count", json!(4_294_967_296u64)),
        ("/data/cpu/cores", json!({})),
        ("/data/cpu/cores/0", json!(0)),
        ("/data/cpu/unavailable/0/reason", json!(["UNAVAILABLE_REASON_NO_SENSOR"])),
        ("/gap", json!({ "missing": [{ "first": "1", "last": "1" }], "count": "1" })), // beside data: two payloads
    ] {
        let mut json = written(&full_sample());
        set(&mut json, pointer, value.clone());
        let refused = read(&json);
        assert!(matches!(refused, Err(DecodeError::Json(_))), "{pointer} = {value}: {refused:?}");
    }
}

#[test]
fn text_that_is_no_json_object_is_no_message() {
    let json = String::from_utf8(full_sample().to_json().unwrap()).unwrap();
    let cases = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        json[..json.len() - 1].to_owned(),
        format!("{json}{json}"),
        format!("\u{feff}{json}"),
        json.replacen("52.0", "NaN", 1),
        json.replacen("52.0", "1e999", 1),
        json.replacen("edge-1", "\\ud800", 1),
        json.replacen("{\"schema_version\"", "{\"sequence\":\"1\",\"schema_version\"", 1),
    ];
    for text in cases {
        assert!(matches!(TelemetryMessage::from_json(text.as_bytes()), Err(DecodeError::Json(_))), "{text}");
    }
    let not_utf8 = json.replacen("edge-1", "edge-\u{1}", 1).into_bytes();
    assert!(TelemetryMessage::from_json(&not_utf8).is_err());
    let not_utf8: Vec<u8> = json.bytes().map(|byte| if byte == b'B' { 0xff } else { byte }).collect();
    assert!(TelemetryMessage::from_json(&not_utf8).is_err());
}

#[test]
fn depth_does_not_exhaust_the_stack() {
    const DEPTH: usize = 1_000_000;
    let json = String::from_utf8(gap().to_json().unwrap()).unwrap();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
        assert!(TelemetryMessage::from_json(nested.as_bytes()).is_err());
        for field in ["data", "gap", "labels", "of_the_future"] {
            let nested = json.replacen('{', &format!("{{\"{field}\":{nested},"), 1);
            let _ = TelemetryMessage::from_json(nested.as_bytes());
        }
    }
    // Groups that no end tag closes, one inside the other.
    let groups = [0x9b, 0x06].repeat(DEPTH);
    assert!(matches!(TelemetryMessage::from_protobuf(&groups), Err(DecodeError::Protobuf(_))));
}

// The descriptor set

#[test]
fn the_descriptor_set_holds_the_package_and_all_it_imports() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
    for file in &set.file {
        for import in &file.dependency {
            assert!(names.contains(&import.as_str()), "{} imports {import}, which is not in {names:?}", file.name());
        }
    }
    let ours: Vec<_> = set.file.iter().filter(|file| file.package() == "telemetry.v1").collect();
    let services: Vec<_> = ours.iter().flat_map(|file| &file.service).collect();
    assert_eq!(services.iter().map(|service| service.name()).collect::<Vec<_>>(), ["ControlService"]);
    let rpcs: Vec<_> = services[0].method.iter().map(|rpc| (rpc.name(), rpc.input_type(), rpc.output_type())).collect();
    assert_eq!(
        rpcs,
        [
            ("GetSnapshot", ".telemetry.v1.GetSnapshotRequest", ".telemetry.v1.GetSnapshotResponse"),
            ("SetInterval", ".telemetry.v1.SetIntervalRequest", ".telemetry.v1.SetIntervalResponse"),
            ("Health", ".telemetry.v1.HealthRequest", ".telemetry.v1.HealthResponse"),
        ]
    );
    let messages: Vec<_> = ours.iter().flat_map(|file| &file.message_type).map(|message| message.name()).collect();
    assert!(messages.contains(&"TelemetryMessage") && messages.contains(&"UnavailableField"), "{messages:?}");
}

#[test]
fn every_element_of_the_schema_is_explained() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|file| file.package() == "telemetry.v1") {
        // Present only while the build keeps source info in the set.
        let Some(source) = &file.source_code_info else { continue };
        let explained =
            |path: &[i32]| source.location.iter().any(|at| at.path == path && !at.leading_comments().trim().is_empty());
        let mut elements = Vec::new();
        for (m, message) in (0..).zip(&file.message_type) {
            elements.push((vec![4, m], message.name().to_owned()));
            for (f, field) in (0..).zip(&message.field) {
                elements.push((vec![4, m, 2, f], format!("{}.{}", message.name(), field.name())));
            }
        }
        for (e, enumeration) in (0..).zip(&file.enum_type) {
            elements.push((vec![5, e], enumeration.name().to_owned()));
            for (v, value) in (0..).zip(&enumeration.value) {
                elements.push((vec![5, e, 2, v], value.name().to_owned()));
            }
        }
        for (s, service) in (0..).zip(&file.service) {
            elements.push((vec![6, s], service.name().to_owned()));
            for (r, rpc) in (0..).zip(&service.method) {
                elements.push((vec![6, s, 2, r], format!("{}.{}", service.name(), rpc.name())));
            }
        }
        for (path, name) in elements {
            assert!(explained(&path), "{name} in {} has no comment", file.name());
        }
    }
}
