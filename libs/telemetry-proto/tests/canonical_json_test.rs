//! The canonical JSON that is written, and the other forms that are accepted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::json::{read, written};
use support::{bare_sample, full_sample, gap};
use telemetry_proto::v1::SCHEMA_VERSION;

#[test]
fn writes_a_full_sample_as_canonical_json() {
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
fn writes_zeros_but_not_absent_values() {
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
fn writes_a_gap_record_as_one_line_in_schema_order() {
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
fn reads_json_forms_of_other_protobuf_runtimes() {
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
        ("double without fraction, or as a string", |json| {
            json["data"]["cpu"]["usage_percent"] = json!(52);
            json["data"]["cpu"]["temperature_celsius"] = json!("61.875");
        }),
        ("32-bit number as a string", |json| json["data"]["cpu"]["logical_count"] = json!("2")),
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
