//! Generates Rust code from `//proto/telemetry/v1`: messages, gRPC stubs, JSON and the descriptor set.
//!
//! Cargo and Bazel run the same script. Bazel sets `PROTO_ROOT` to the directory of the protos.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

const PACKAGE_DIR: &str = "telemetry/v1";

fn main() -> Result<(), Box<dyn Error>> {
    let proto_root = env::var_os("PROTO_ROOT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto"), PathBuf::from);
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-env-changed=PROTO_ROOT");
    println!("cargo:rerun-if-changed={}", proto_root.join(PACKAGE_DIR).display());

    let descriptors = protox::compile(protos_in(&proto_root)?, [&proto_root])?;
    let descriptor_bytes = descriptors.encode_to_vec();
    fs::write(out_dir.join("descriptors.bin"), &descriptor_bytes)?;

    tonic_prost_build::configure()
        .extern_path(".google.protobuf.Timestamp", "crate::well_known::Timestamp")
        .extern_path(".google.protobuf.Duration", "crate::well_known::Duration")
        .btree_map(".")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptor_bytes)?
        .extern_path(".google.protobuf.Timestamp", "crate::well_known::Timestamp")
        .extern_path(".google.protobuf.Duration", "crate::well_known::Duration")
        .btree_map(["."])
        .preserve_proto_field_names()
        .emit_fields()
        .ignore_unknown_fields()
        .ignore_unknown_enum_variants()
        .build(&[".telemetry"])?;

    let schema_version = fs::read_to_string(proto_root.join(PACKAGE_DIR).join("SCHEMA_VERSION"))?;
    println!("cargo:rustc-env=TELEMETRY_SCHEMA_VERSION={}", schema_version.trim());
    Ok(())
}

fn protos_in(proto_root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut protos = Vec::new();
    for entry in fs::read_dir(proto_root.join(PACKAGE_DIR))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            protos.push(path);
        }
    }
    protos.sort();
    Ok(protos)
}
