//! Messages that can be parsed but violate the schema.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use prost::Message;
use serde_json::{Value, json};
use support::json::{invalid, read, set, written};
use support::{full_sample, gap};
use telemetry_proto::v1::{EncodeError, TelemetryMessage, telemetry_message};

/// A valid message, the place and value to change in it, and the field that the error must name.
fn violations() -> Vec<(TelemetryMessage, &'static str, Value, &'static str)> {
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
fn writers_and_readers_reject_violations_by_field_name() {
    for (valid, pointer, value, field) in violations() {
        let case = format!("{pointer} = {value}");
        let mut json = written(&valid);
        set(&mut json, pointer, value);
        let rejected = invalid(read(&json).expect_err(&case));
        assert_eq!(rejected.field, field, "{case}");
        assert!(rejected.to_string().starts_with(field), "{case}: {rejected}");

        let unchecked: TelemetryMessage = serde_json::from_value(json).unwrap();
        assert_eq!(unchecked.check().as_ref(), Err(&rejected), "{case}");
        match unchecked.to_json() {
            Err(EncodeError::Invalid(found)) => assert_eq!(found, rejected, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
        let from_protobuf = TelemetryMessage::from_protobuf(&unchecked.encode_to_vec());
        assert_eq!(invalid(from_protobuf.expect_err(&case)), rejected, "{case}");
    }
}

#[test]
fn accepts_the_limits_of_each_range() {
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
fn rejects_times_from_protobuf_that_canonical_json_cannot_express() {
    use telemetry_proto::well_known::{Duration, Timestamp};
    for (seconds, nanos) in [(i64::MIN, 0), (i64::MIN, i32::MIN), (i64::MAX, i32::MAX), (1, -1), (0, i32::MAX)] {
        let mut message = full_sample();
        message.collected_at = Some(Timestamp { seconds, nanos });
        let rejected = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap_err();
        assert_eq!(invalid(rejected).field, "collected_at");

        for field in ["data.metadata.interval", "data.metadata.collection_duration"] {
            let mut message = full_sample();
            let Some(telemetry_message::Payload::Data(data)) = &mut message.payload else { panic!("no data") };
            let metadata = data.metadata.as_mut().unwrap();
            let span = Some(Duration { seconds, nanos });
            match field {
                "data.metadata.interval" => metadata.interval = span,
                _ => metadata.collection_duration = span,
            }
            let rejected = TelemetryMessage::from_protobuf(&message.encode_to_vec()).unwrap_err();
            assert_eq!(invalid(rejected).field, field);
        }
    }
}
