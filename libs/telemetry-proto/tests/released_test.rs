//! Compatibility with released schemas: this build reads the messages of every release, and every release reads its
//! messages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, Value as Reflected};
use prost_types::FileDescriptorSet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use support::goldens::{Golden, goldens};
use support::released::{Schema, releases, values};
use support::strategies::valid_message;
use telemetry_proto::v1::{
    FILE_DESCRIPTOR_SET, GetCapabilitiesRequest, GetCapabilitiesResponse, GetConfigRequest, GetConfigResponse,
    GetSnapshotRequest, GetSnapshotResponse, HealthRequest, HealthResponse, ResetIntervalRequest,
    ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse, TelemetryMessage, WatchSnapshotsRequest,
    WatchSnapshotsResponse,
};

fn today() -> Schema {
    Schema::from_image(FILE_DESCRIPTOR_SET)
}

// Reading messages of earlier releases

/// Reads a message from both encodings, checks that they are equal, and writes both again.
fn read_and_rewritten<M>(json: &[u8], protobuf: &[u8]) -> (Vec<u8>, Vec<u8>)
where
    M: Message + Default + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let message: M = serde_json::from_slice(json).unwrap();
    assert_eq!(message, M::decode(protobuf).unwrap());
    (serde_json::to_vec(&message).unwrap(), message.encode_to_vec())
}

fn rewritten(message: &str, json: &[u8], protobuf: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match message {
        "TelemetryMessage" => {
            let read = TelemetryMessage::from_json(json).unwrap();
            assert_eq!(read, TelemetryMessage::from_protobuf(protobuf).unwrap());
            (read.to_json().unwrap(), read.encode_to_vec())
        }
        "GetSnapshotRequest" => read_and_rewritten::<GetSnapshotRequest>(json, protobuf),
        "GetSnapshotResponse" => read_and_rewritten::<GetSnapshotResponse>(json, protobuf),
        "SetIntervalRequest" => read_and_rewritten::<SetIntervalRequest>(json, protobuf),
        "SetIntervalResponse" => read_and_rewritten::<SetIntervalResponse>(json, protobuf),
        "GetCapabilitiesRequest" => read_and_rewritten::<GetCapabilitiesRequest>(json, protobuf),
        "GetCapabilitiesResponse" => read_and_rewritten::<GetCapabilitiesResponse>(json, protobuf),
        "GetConfigRequest" => read_and_rewritten::<GetConfigRequest>(json, protobuf),
        "GetConfigResponse" => read_and_rewritten::<GetConfigResponse>(json, protobuf),
        "ResetIntervalRequest" => read_and_rewritten::<ResetIntervalRequest>(json, protobuf),
        "ResetIntervalResponse" => read_and_rewritten::<ResetIntervalResponse>(json, protobuf),
        "WatchSnapshotsRequest" => read_and_rewritten::<WatchSnapshotsRequest>(json, protobuf),
        "WatchSnapshotsResponse" => read_and_rewritten::<WatchSnapshotsResponse>(json, protobuf),
        "HealthRequest" => read_and_rewritten::<HealthRequest>(json, protobuf),
        "HealthResponse" => read_and_rewritten::<HealthResponse>(json, protobuf),
        other => panic!("add {other} to this test: there is a golden of it"),
    }
}

#[test]
fn reads_messages_of_every_release_and_writes_them_unchanged() {
    for release in releases() {
        assert!(!release.goldens.is_empty(), "{}", release.version);
        for golden in &release.goldens {
            let name = &golden.message;
            let (json, protobuf) = rewritten(name, &golden.json, &golden.protobuf);
            // Compare by the schema of the release: this build also has later fields, as zeros.
            let meant = values(&release.schema.read_protobuf(name, &golden.protobuf).unwrap());
            assert_eq!(values(&release.schema.read_json(name, &golden.json).unwrap()), meant, "{:?}", golden.path);
            assert_eq!(values(&release.schema.read_json(name, &json).unwrap()), meant, "{:?}", golden.path);
            assert_eq!(values(&release.schema.read_protobuf(name, &protobuf).unwrap()), meant, "{:?}", golden.path);
        }
    }
}

// Reading this build's messages with earlier releases

#[test]
fn every_release_reads_the_goldens_and_loses_only_unknown_fields() {
    for release in releases() {
        // The messages of a later call never reach a reader that does not know the call.
        let known = goldens().into_iter().filter(|golden| release.schema.knows(golden.message));
        for Golden { message, case, json, protobuf } in known {
            release
                .schema
                .loses_only_the_unknown(&today(), message, &json, &protobuf)
                .unwrap_or_else(|loss| panic!("{} reads {case}: {loss}", release.version));
        }
    }
}

#[test]
fn every_release_reads_any_valid_message() {
    let (today, releases) = (today(), releases());
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(message in valid_message())| {
        let (json, protobuf) = (message.to_json().unwrap(), message.encode_to_vec());
        for release in &releases {
            let read = release.schema.loses_only_the_unknown(&today, "TelemetryMessage", &json, &protobuf);
            prop_assert_eq!(read, Ok(()), "{}", release.version);
        }
    });
}

/// Today's schema with `change` applied.
fn changed(change: impl FnOnce(&mut FileDescriptorSet)) -> Schema {
    let mut set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    change(&mut set);
    Schema::from_image(&set.encode_to_vec())
}

fn fields_of<'a>(set: &'a mut FileDescriptorSet, message: &str) -> &'a mut Vec<prost_types::FieldDescriptorProto> {
    let mut messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    &mut messages.find(|found| found.name() == message).unwrap().field
}

fn is_read_by(older: &Schema) -> Result<(), String> {
    goldens()
        .iter()
        .try_for_each(|golden| older.loses_only_the_unknown(&today(), golden.message, &golden.json, &golden.protobuf))
}

#[test]
fn an_older_schema_loses_only_later_additions() {
    let older = changed(|set| {
        fields_of(set, "CpuMetrics").retain(|field| field.name() != "temperature_celsius");
        fields_of(set, "TelemetryMetadata").retain(|field| field.name() != "labels");
        fields_of(set, "GapRecord").retain(|field| field.name() != "instance_id");
        for values in set.file.iter_mut().flat_map(|file| &mut file.enum_type) {
            values.value.truncate(2);
        }
    });
    assert_eq!(is_read_by(&older), Ok(()));
}

#[test]
fn detects_a_renamed_renumbered_or_retyped_field() {
    let renamed = changed(|set| fields_of(set, "CpuMetrics")[0].name = Some("busy_percent".to_owned()));
    let loss = is_read_by(&renamed).unwrap_err();
    assert!(loss.contains("TelemetryMessage") && loss.contains("busy_percent"), "{loss}");

    let renumbered = changed(|set| fields_of(set, "LoadAverages")[1].number = Some(60));
    let loss = is_read_by(&renumbered).unwrap_err();
    assert!(loss.contains("from protobuf"), "{loss}");

    let retyped =
        changed(|set| fields_of(set, "CpuMetrics")[2].set_type(prost_types::field_descriptor_proto::Type::String));
    is_read_by(&retyped).unwrap_err();
}

// Coverage of the goldens

/// Collects the names of all fields and enum values that are set in a message, including nested ones.
fn used(message: &DynamicMessage, names: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        names.insert(field.full_name().to_owned());
        let values: Vec<&Reflected> = match value {
            Reflected::List(items) => items.iter().collect(),
            Reflected::Map(entries) => entries.values().collect(),
            single => vec![single],
        };
        for value in values {
            match (value, field.kind()) {
                (Reflected::Message(message), _) => used(message, names),
                (Reflected::EnumNumber(number), Kind::Enum(kind)) => {
                    names.insert(kind.get_value(*number).unwrap().full_name().to_owned());
                }
                _ => {}
            }
        }
    }
}

#[test]
fn goldens_use_every_field_and_every_enum_value() {
    let today = today();
    let mut found = BTreeSet::new();
    for golden in goldens() {
        used(&today.read_protobuf(golden.message, &golden.protobuf).unwrap(), &mut found);
    }
    let mut all = BTreeSet::new();
    for field in today.messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        all.insert(field.full_name().to_owned());
        if let Kind::Enum(kind) = field.kind() {
            let named = kind.values().filter(|value| value.number() != 0);
            all.extend(named.map(|value| value.full_name().to_owned()));
        }
    }
    let missing: Vec<_> = all.difference(&found).collect();
    assert!(missing.is_empty(), "no golden in tests/support/goldens.rs has {missing:?}");
}
