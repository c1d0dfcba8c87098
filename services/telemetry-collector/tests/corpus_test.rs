//! Replays the fuzzing corpus: the property in `environment_law.rs` holds for every environment in it.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "support/environment_law.rs"]
mod environment_law;

use std::fs;
use std::path::Path;

#[test]
fn environments() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/environment");
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        environment_law::environment(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", corpus.display());
}
