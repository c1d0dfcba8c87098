//! The descriptor set that gRPC reflection serves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use prost::Message;
use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::{CpuMetrics, FILE_DESCRIPTOR_SET};

#[test]
fn contains_the_package_and_its_imports() {
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
    let rpcs: Vec<_> = services[0].method.iter().map(|rpc| (rpc.name(), rpc.server_streaming())).collect();
    assert_eq!(
        rpcs,
        [
            ("GetSnapshot", false),
            ("WatchSnapshots", true),
            ("SetInterval", false),
            ("ResetInterval", false),
            ("GetCapabilities", false),
            ("GetConfig", false),
            ("Health", false),
        ]
    );
    for rpc in &services[0].method {
        assert_eq!(rpc.input_type(), format!(".telemetry.v1.{}Request", rpc.name()));
        assert_eq!(rpc.output_type(), format!(".telemetry.v1.{}Response", rpc.name()));
    }
    let messages: Vec<_> = ours.iter().flat_map(|file| &file.message_type).map(|message| message.name()).collect();
    assert!(messages.contains(&"TelemetryMessage") && messages.contains(&"UnavailableField"), "{messages:?}");
}

#[test]
fn metrics_groups_are_named_after_their_fields_in_the_oneof() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut messages = set.file.iter().flat_map(|file| &file.message_type);
    let data = messages.find(|message| message.name() == "TelemetryData").unwrap();
    let metrics = data.oneof_decl.iter().position(|oneof| oneof.name() == "metrics").unwrap();
    let fields = data
        .field
        .iter()
        .filter(|field| field.oneof_index.and_then(|index| usize::try_from(index).ok()) == Some(metrics));
    let fields: Vec<_> = fields.map(|field| field.name()).collect();

    let groups = [Metrics::Cpu(CpuMetrics::default())].map(|metrics| metrics.group());
    assert_eq!(fields, groups);
}

#[test]
fn every_element_of_the_schema_has_a_comment() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|file| file.package() == "telemetry.v1") {
        // Only present if the build keeps source info in the set.
        let Some(source) = &file.source_code_info else { continue };
        let has_comment =
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
            assert!(has_comment(&path), "{name} in {} has no comment", file.name());
        }
    }
}
