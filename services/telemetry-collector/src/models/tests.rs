//! What a consumer relies on. The schema's own tests are those of `telemetry-proto`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{CpuMetrics, GapReason, GapRecord, LoadAverages, Payload, SCHEMA_VERSION, Stamp, TelemetryMessage};
use crate::testing::{cpu, sample};

fn message(payload: impl Into<Payload>) -> TelemetryMessage {
    let stamp =
        Stamp { message_id: Uuid::now_v7(), instance_id: Uuid::new_v4(), sequence: 7, collected_at: SystemTime::now() };
    TelemetryMessage::new(stamp, payload)
}

fn written(message: &TelemetryMessage) -> Value {
    serde_json::from_slice(&message.to_json().unwrap()).unwrap()
}

fn read(json: &Value) -> Result<TelemetryMessage, String> {
    TelemetryMessage::from_json(json.to_string().as_bytes()).map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    })
}

#[test]
fn sample_survives_both_encodings() {
    let mut data = sample();
    let load_averages = Some(LoadAverages::new(0.0, 1.25, 300.0).unwrap());
    data.metrics = Some(CpuMetrics { usage_percent: Some(67.01), load_averages, ..cpu() }.into());
    let sample = message(data);
    assert_eq!(TelemetryMessage::from_json(&sample.to_json().unwrap()).unwrap(), sample);
    assert_eq!(TelemetryMessage::from_protobuf(&sample.to_protobuf().unwrap()).unwrap(), sample);
}

#[test]
fn gap_record_survives_both_encodings() {
    let gap = message(GapRecord::new([1..=1, 3..=9], GapReason::OutboxFull));
    assert_eq!(written(&gap)["gap"]["count"], "8");
    assert_eq!(TelemetryMessage::from_json(&gap.to_json().unwrap()).unwrap(), gap);
    assert_eq!(TelemetryMessage::from_protobuf(&gap.to_protobuf().unwrap()).unwrap(), gap);
}

#[test]
fn ignores_unknown_fields() {
    let sample = message(sample());
    let mut json = written(&sample);
    for pointer in ["", "/data", "/data/metadata", "/data/cpu", "/data/cpu/cores/0"] {
        json.pointer_mut(pointer).unwrap()["of_the_future"] = json!({ "deep": [1, "x", null] });
    }
    assert_eq!(read(&json).unwrap(), sample);
}

#[test]
fn reads_a_newer_minor_version() {
    let mut json = written(&message(sample()));
    json["schema_version"] = json!(format!("{}.999.0", major()));
    assert!(read(&json).is_ok());
}

#[test]
fn refuses_a_newer_major_version_and_names_it() {
    let newer = format!("{}.0.0", major() + 1);
    let mut json = written(&message(sample()));
    json["schema_version"] = json!(newer);
    let error = read(&json).unwrap_err();
    assert!(error.contains(&newer), "{error}");
}

#[test]
fn reads_every_released_message_and_writes_it_again() {
    let goldens = released_messages();
    assert!(!goldens.is_empty());
    for path in goldens {
        let json = fs::read(&path).unwrap();
        let message = TelemetryMessage::from_json(&json).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        assert_holds(&written(&message), &serde_json::from_slice(&json).unwrap(), &path);

        let protobuf = fs::read(path.with_extension("binpb")).unwrap();
        assert_eq!(TelemetryMessage::from_protobuf(&protobuf).unwrap(), message, "{path:?}");
        assert_eq!(message.to_protobuf().unwrap(), protobuf, "{path:?}");
    }
}

fn major() -> u64 {
    SCHEMA_VERSION.split('.').next().unwrap().parse().unwrap()
}

/// The JSON files of every release, the messages of the control API left out.
fn released_messages() -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/released");
    entries(&released)
        .flat_map(|release| entries(&release.join("golden")).collect::<Vec<_>>())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("TelemetryMessage."))
        .collect()
}

/// Everything in `expected` is in `got`. What was added to the schema since may be there besides.
#[track_caller]
fn assert_holds(got: &Value, expected: &Value, path: &Path) {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            for (name, value) in expected {
                assert_holds(got.get(name).unwrap_or(&Value::Null), value, path);
            }
        }
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            got.iter().zip(expected).for_each(|(got, expected)| assert_holds(got, expected, path));
        }
        _ => assert_eq!(got, expected, "{path:?}"),
    }
}
