//! Text and bytes that are not a message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use prost::Message;
use serde_json::json;
use support::json::{read, set, written};
use support::{full_sample, gap};
use telemetry_proto::v1::{DecodeError, TelemetryMessage};

#[test]
fn rejects_values_of_the_wrong_type() {
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
        ("/gap", json!({ "missing": [{ "first": "1", "last": "1" }], "count": "1" })), // two payloads: data and gap
    ] {
        let mut json = written(&full_sample());
        set(&mut json, pointer, value.clone());
        let rejected = read(&json);
        assert!(matches!(rejected, Err(DecodeError::Json(_))), "{pointer} = {value}: {rejected:?}");
    }
}

#[test]
fn rejects_text_that_is_not_a_json_object() {
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
fn rejects_a_message_truncated_anywhere() {
    for message in [full_sample(), gap()] {
        let json = message.to_json().unwrap();
        for end in 0..json.len() {
            let rejected = TelemetryMessage::from_json(&json[..end]);
            assert!(matches!(rejected, Err(DecodeError::Json(_))), "cut at {end}: {rejected:?}");
        }
        // Protobuf has no end marker. Truncated between two fields, it can be parsed but lacks required fields.
        let protobuf = message.encode_to_vec();
        for end in 0..protobuf.len() {
            let rejected = TelemetryMessage::from_protobuf(&protobuf[..end]);
            assert!(rejected.is_err(), "cut at {end}: {rejected:?}");
        }
    }
}

#[test]
fn checks_huge_values_too() {
    const MANY: usize = 1_000_000;
    let digits = "9".repeat(MANY);
    let long = "x".repeat(MANY);
    for (pointer, value, is_read) in [
        ("/sequence", json!(digits), false),
        ("/data/cpu/usage_percent", json!(digits), false),
        ("/schema_version", json!(format!("1.{digits}.0")), false),
        ("/message_id", json!(long), false),
        ("/data/cpu/cores", json!(vec![json!({}); MANY]), false),
        ("/data/metadata/hostname", json!(long), true),
        ("/data/of_the_future", json!(vec![json!({}); MANY]), true),
    ] {
        let mut json = written(&full_sample());
        set(&mut json, pointer, value);
        assert_eq!(read(&json).is_ok(), is_read, "{pointer}");
    }
    let text = String::from_utf8(full_sample().to_json().unwrap()).unwrap();
    let number = text.replacen("52.0", &digits, 1);
    assert!(matches!(TelemetryMessage::from_json(number.as_bytes()), Err(DecodeError::Json(_))));
    // A field that claims to be longer than the input.
    let lengths = [&[0x0a][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert!(matches!(TelemetryMessage::from_protobuf(&lengths), Err(DecodeError::Protobuf(_))));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
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
    // Nested groups without end tags.
    let groups = [0x9b, 0x06].repeat(DEPTH);
    assert!(matches!(TelemetryMessage::from_protobuf(&groups), Err(DecodeError::Protobuf(_))));
}
