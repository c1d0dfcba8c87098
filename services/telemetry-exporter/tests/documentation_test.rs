//! Generated pages in docs/ are up to date.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::{env, fs};

use telemetry_exporter::Config;

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

#[test]
fn configuration_reference_is_up_to_date() {
    let page = page("configuration-exporter.md");
    let reference = telemetry_exporter::config::markdown_reference();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &reference).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == reference,
        "docs/configuration-exporter.md is stale; run: UPDATE_DOCS=1 cargo test -p telemetry-exporter --test documentation_test"
    );
}

/// One environment serves both programs.
#[test]
fn accepts_every_variable_of_the_collector() {
    let reference = fs::read_to_string(page("configuration.md")).unwrap();
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `TELEMETRY_")?.split_once("` | "));
    let vars: Vec<_> = rows
        .map(|(name, rest)| {
            let default = rest.split(" | ").next().unwrap_or_default().trim_matches('`');
            let value = if default.is_empty() { "anything" } else { default };
            (format!("TELEMETRY_{name}").into(), value.into())
        })
        .collect();
    assert!(vars.len() > 20, "{reference}");
    let config = Config::from_vars(vars).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(config.ignored().is_empty(), "{:?}", config.ignored());
}
