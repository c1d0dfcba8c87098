//! Writes the messages of `tests/support/goldens.rs`, in both encodings, into a directory.
//!
//! `scripts/release-schema.sh` runs it. Every later version must be able to read these messages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::{env, fs};

use support::goldens::goldens;

fn main() {
    let directory = PathBuf::from(env::args_os().nth(1).expect("usage: write_goldens DIRECTORY"));
    for golden in goldens() {
        let path = directory.join(format!("{}.{}", golden.message, golden.case));
        fs::write(path.with_added_extension("json"), &golden.json).unwrap();
        fs::write(path.with_added_extension("binpb"), &golden.protobuf).unwrap();
    }
}
