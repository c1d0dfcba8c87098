//! Writes the messages of `tests/support/goldens.rs`, in both encodings, into the folder that it is given.
//!
//! `scripts/release-schema.sh` runs it: what it writes today is what later code must read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::{env, fs};

use support::goldens::goldens;

fn main() {
    let folder = PathBuf::from(env::args_os().nth(1).expect("the folder to write into"));
    for golden in goldens() {
        let path = folder.join(format!("{}.{}", golden.message, golden.case));
        fs::write(path.with_added_extension("json"), &golden.json).unwrap();
        fs::write(path.with_added_extension("binpb"), &golden.protobuf).unwrap();
    }
}
