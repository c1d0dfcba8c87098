//! The released schemas in proto/released, and how a reader with one of them decodes a message.

use std::fs;
use std::path::{Path, PathBuf};

use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
};
use semver::Version;
use serde_json::{Map, Value};

const PACKAGE: &str = "telemetry.v1";

/// The schema of one version.
pub(crate) struct Schema(pub(crate) DescriptorPool);

/// A released schema with its golden messages.
pub(crate) struct Release {
    pub(crate) version: Version,
    pub(crate) schema: Schema,
    pub(crate) goldens: Vec<WrittenGolden>,
}

pub(crate) struct WrittenGolden {
    pub(crate) message: String,
    pub(crate) path: PathBuf,
    pub(crate) json: Vec<u8>,
    pub(crate) protobuf: Vec<u8>,
}

fn released_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/released")
}

/// Every release of this build's major version.
pub(crate) fn releases() -> Vec<Release> {
    let major = Version::parse(telemetry_proto::v1::SCHEMA_VERSION).unwrap().major;
    let mut releases: Vec<_> = files_in(&released_directory())
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|directory| (Version::parse(directory.file_name().unwrap().to_str().unwrap()).unwrap(), directory))
        .filter(|(version, _)| version.major == major)
        .map(|(version, directory)| Release::read(version, &directory))
        .collect();
    releases.sort_by(|a, b| a.version.cmp(&b.version));
    assert!(!releases.is_empty(), "{} holds no release", released_directory().display());
    releases
}

impl Release {
    fn read(version: Version, directory: &Path) -> Self {
        let schema = Schema::from_image(&fs::read(directory.join("image.binpb")).unwrap());
        let goldens = files_in(&directory.join("golden"))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                WrittenGolden {
                    message: name.split('.').next().unwrap().to_owned(),
                    json: fs::read(&path).unwrap(),
                    protobuf: fs::read(path.with_extension("binpb")).unwrap(),
                    path,
                }
            })
            .collect();
        Self { version, schema, goldens }
    }
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

impl Schema {
    pub(crate) fn from_image(image: &[u8]) -> Self {
        Self(DescriptorPool::decode(image).unwrap())
    }

    pub(crate) fn message(&self, name: &str) -> MessageDescriptor {
        self.0.get_message_by_name(&format!("{PACKAGE}.{name}")).unwrap_or_else(|| panic!("no message {name}"))
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.get_message_by_name(&format!("{PACKAGE}.{name}")).is_some()
    }

    /// The messages of the package, without imports.
    pub(crate) fn messages(&self) -> impl Iterator<Item = MessageDescriptor> {
        self.0.all_messages().filter(|message| message.package_name() == PACKAGE && !message.is_map_entry())
    }

    pub(crate) fn read_json(&self, name: &str, json: &[u8]) -> Result<DynamicMessage, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let lenient = DeserializeOptions::new().deny_unknown_fields(false);
        DynamicMessage::deserialize_with_options(self.message(name), &mut deserializer, &lenient)
    }

    pub(crate) fn read_protobuf(&self, name: &str, bytes: &[u8]) -> Result<DynamicMessage, prost::DecodeError> {
        DynamicMessage::decode(self.message(name), bytes)
    }

    /// Checks that a reader with this schema loses only unknown fields and enum values of a message of schema `newer`.
    pub(crate) fn loses_only_the_unknown(
        &self,
        newer: &Self,
        name: &str,
        json: &[u8],
        protobuf: &[u8],
    ) -> Result<(), String> {
        let ours = self.message(name);
        let whole = values(&newer.read_protobuf(name, protobuf).map_err(|error| error.to_string())?);
        let expected = known_to(&ours, &whole);
        for (encoding, read) in [
            ("JSON", self.read_json(name, json).map_err(|error| format!("{name} from JSON: {error}"))?),
            ("protobuf", self.read_protobuf(name, protobuf).map_err(|error| format!("{name} from protobuf: {error}"))?),
        ] {
            let got = known_to(&ours, &values(&read));
            if got != expected {
                return Err(format!("{name} from {encoding}: expected {expected}, got {got}"));
            }
        }
        Ok(())
    }
}

/// The fields that are set in a message, by their names in its schema.
pub(crate) fn values(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

/// `values` without the fields and enum values that `schema` does not have.
fn known_to(schema: &MessageDescriptor, values: &Value) -> Value {
    let Value::Object(values) = values else { return values.clone() };
    let mut known = Map::new();
    for (name, value) in values {
        let Some(field) = schema.get_field_by_name(name) else { continue };
        if let Some(value) = known_of_field(&field, value) {
            known.insert(name.clone(), value);
        }
    }
    Value::Object(known)
}

fn known_of_field(field: &FieldDescriptor, value: &Value) -> Option<Value> {
    match field.kind() {
        Kind::Message(message) if message.is_map_entry() => Some(value.clone()),
        Kind::Message(message) => Some(match value {
            Value::Array(items) => items.iter().map(|item| known_to(&message, item)).collect(),
            single => known_to(&message, single),
        }),
        Kind::Enum(values) => {
            value.as_str().is_some_and(|name| values.get_value_by_name(name).is_some()).then(|| value.clone())
        }
        _ => Some(value.clone()),
    }
}
