//! Compatibility with Python's protobuf: each side reads the messages of the other, with the same meaning.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, thread};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use prost::Message;
use support::cpu_mut;
use support::goldens::goldens;
use support::hard::hard_messages;
use support::json::invalid;
use support::strategies::valid_message;
use telemetry_proto::v1::{DecodeError, FILE_DESCRIPTOR_SET, TelemetryMessage};

/// Output of tests/python/rewrite.py for one message.
struct Rewritten {
    json: Vec<Vec<u8>>,
    protobuf: Vec<u8>,
}

/// Has Python read messages, each as JSON and protobuf, and write them again. An empty JSON is not read.
fn rewritten_by_python(messages: &[(Vec<u8>, Vec<u8>)]) -> Vec<Rewritten> {
    let python =
        env::var_os("TELEMETRY_PYTHON").expect("TELEMETRY_PYTHON is not set; run: eval \"$(scripts/setup.sh)\"");
    let mut script = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/rewrite.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BASE64.encode(FILE_DESCRIPTOR_SET) + "\n";
    for (json, protobuf) in messages {
        input += &format!("{} {}\n", BASE64.encode(json), BASE64.encode(protobuf));
    }
    let mut stdin = script.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = script.wait_with_output().unwrap();
    // Python's error message is on standard error, above.
    assert!(output.status.success(), "{}", output.status);
    writer.join().unwrap().unwrap();

    let rewritten: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let mut encodings: Vec<_> = line.split(' ').map(|encoding| BASE64.decode(encoding).unwrap()).collect();
            Rewritten { protobuf: encodings.pop().unwrap(), json: encodings }
        })
        .collect();
    assert_eq!(rewritten.len(), messages.len());
    rewritten
}

#[test]
fn messages_are_unchanged_after_python_rewrites_them() {
    let mut messages = hard_messages();
    for golden in goldens().into_iter().filter(|golden| golden.message == "TelemetryMessage") {
        messages.push((golden.case, TelemetryMessage::from_json(&golden.json).unwrap()));
    }
    let (mut runner, strategy) = (TestRunner::deterministic(), valid_message());
    for number in 0..300 {
        messages.push((format!("valid message {number}"), strategy.new_tree(&mut runner).unwrap().current()));
    }
    let encoded: Vec<_> =
        messages.iter().map(|(_, message)| (message.to_json().unwrap(), message.encode_to_vec())).collect();
    for ((case, message), python) in messages.iter().zip(rewritten_by_python(&encoded)) {
        assert_eq!(python.json.len(), 4, "{case}");
        for json in &python.json {
            let read = TelemetryMessage::from_json(json);
            assert_eq!(&read.unwrap_or_else(|error| panic!("{case}: {error:?}")), message, "{case}");
        }
        assert_eq!(&TelemetryMessage::from_protobuf(&python.protobuf).unwrap(), message, "{case}");
    }
}

#[test]
fn rejects_nan_and_infinity_as_python_writes_them() {
    let non_finite = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let encoded: Vec<_> = non_finite
        .iter()
        .map(|value| {
            let mut message = support::full_sample();
            cpu_mut(&mut message).temperature_celsius = Some(*value);
            (Vec::new(), message.encode_to_vec())
        })
        .collect();
    for (value, python) in non_finite.iter().zip(rewritten_by_python(&encoded)) {
        for json in &python.json {
            let rejected = invalid(TelemetryMessage::from_json(json).unwrap_err());
            assert_eq!(rejected.field, "data.cpu.temperature_celsius", "{value}");
        }
        assert!(matches!(TelemetryMessage::from_protobuf(&python.protobuf), Err(DecodeError::Invalid(_))), "{value}");
    }
}
