//! Generated pages in docs/ are up to date.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::{env, fs};

#[test]
fn configuration_reference_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let reference = telemetry_collector::config::markdown_reference();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &reference).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == reference,
        "docs/configuration.md is stale; run: UPDATE_DOCS=1 cargo test -p telemetry-collector --test documentation_test"
    );
}
