//! Replays the fuzzing corpus: the properties of `laws.rs` hold for every input in it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/laws.rs"]
mod laws;

use std::fs;
use std::path::Path;

fn replay(target: &str, law: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        law(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", corpus.display());
}

#[test]
fn messages_in_json() {
    replay("message_json", laws::json);
}

#[test]
fn messages_in_protobuf() {
    replay("message_protobuf", laws::protobuf);
}
