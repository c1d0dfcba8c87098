//! Python's protobuf reads what is written here, and what it writes is read here: both mean the same.
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

/// What tests/python/rewrite.py gives for one message.
struct Rewritten {
    json: Vec<Vec<u8>>,
    protobuf: Vec<u8>,
}

/// Has Python read messages, JSON and protobuf of each (no JSON: only the protobuf), and write them again.
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
    // Python's own words are on the standard error, above.
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
fn what_python_makes_of_our_messages_is_what_we_wrote() {
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
fn what_is_no_number_is_refused_as_python_writes_it() {
    let no_numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let encoded: Vec<_> = no_numbers
        .iter()
        .map(|no_number| {
            let mut message = support::full_sample();
            cpu_mut(&mut message).temperature_celsius = Some(*no_number);
            (Vec::new(), message.encode_to_vec())
        })
        .collect();
    for (no_number, python) in no_numbers.iter().zip(rewritten_by_python(&encoded)) {
        for json in &python.json {
            let refused = invalid(TelemetryMessage::from_json(json).unwrap_err());
            assert_eq!(refused.field, "data.cpu.temperature_celsius", "{no_number}");
        }
        assert!(
            matches!(TelemetryMessage::from_protobuf(&python.protobuf), Err(DecodeError::Invalid(_))),
            "{no_number}"
        );
    }
}
