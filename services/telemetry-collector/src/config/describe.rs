//! The variables in words: for `--help`, for `--print-config`, for docs/configuration.md.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

use url::Url;

use super::Config;
use super::reader::{Found, Origin};
use super::variables::{FILE_SUFFIX, OTEL_VARIABLES, VARIABLES};

const MASK: &str = "***";

impl Config {
    /// Every setting in force and where it comes from, secrets masked; a shell can source it.
    #[must_use]
    pub fn print(&self) -> String {
        let assignments: Vec<_> = self.found.iter().map(assignment).collect();
        let width = assignments.iter().map(String::len).max().unwrap_or_default();
        let mut text = String::new();
        for (found, assignment) in self.found.iter().zip(&assignments) {
            let origin = match found.origin {
                Origin::Default => "default".to_owned(),
                Origin::Environment => "environment".to_owned(),
                Origin::File => format!("{}{FILE_SUFFIX}", found.variable.name),
            };
            let _ = writeln!(text, "{assignment:width$}  # {origin}");
        }
        let exported = |on| if on { "exported" } else { "off" };
        let _ = writeln!(
            text,
            "# OpenTelemetry: traces {}, metrics {}",
            exported(self.otel.traces),
            exported(self.otel.metrics)
        );
        text
    }
}

fn assignment(found: &Found) -> String {
    let value = found.value.expose();
    let value = if found.variable.secret { mask_password(value) } else { value.to_owned() };
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,=@[]*+".contains(c));
    let quoted = if plain { value } else { format!("'{}'", value.replace('\'', r"'\''")) };
    format!("{}={quoted}", found.variable.name)
}

/// The URL with its passwords hidden, wherever they stand.
pub(super) fn mask_password(text: &str) -> String {
    let Some(hosts) = hosts(text) else { return MASK.to_owned() };
    // `Url` knows one host; several are put back behind it.
    let several = &text[hosts.clone()];
    let mut one = text.to_owned();
    one.replace_range(hosts, several.split(',').next().unwrap_or_default());
    let mut masked = mask_password_of_one(&one);
    if several.contains(',') {
        match self::hosts(&masked) {
            Some(hosts) => masked.replace_range(hosts, several),
            None => return MASK.to_owned(),
        }
    }
    masked
}

/// Where the hosts of a URL stand, behind the login.
fn hosts(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + "://".len();
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |length| start + length);
    let login = text[start..end].rfind('@').map_or(0, |at| at + 1);
    Some(start + login..end)
}

fn mask_password_of_one(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    let is_password = |name: &str| matches!(name, "pass" | "sentinel_password");
    if url.query_pairs().any(|(name, _)| is_password(&name)) {
        let masked = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
            let value = if is_password(&name) { MASK.to_owned() } else { value.into_owned() };
            (name.into_owned(), value)
        };
        let pairs: Vec<_> = url.query_pairs().map(masked).collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string()
}

/// Every variable for `--help`.
#[must_use]
pub fn environment_help() -> String {
    let mut text = String::from("Environment (an empty value counts as unset):\n");
    for variable in VARIABLES {
        let _ = write!(text, "\n  {}={}\n", variable.name, variable.default);
        let _ = writeln!(text, "      {}", variable.meaning);
        let _ = writeln!(text, "      Must be {}.", variable.allowed);
        if variable.secret {
            let _ = writeln!(text, "      Or {}{FILE_SUFFIX}: the file that holds it.", variable.name);
        }
    }
    text.push_str("\nOpenTelemetry, as its specification says; the most used:\n");
    for (name, meaning) in OTEL_VARIABLES {
        let _ = write!(text, "\n  {name}\n      {meaning}\n");
    }
    text.push_str(
        "\nExit codes: 0 stopped by SIGTERM or SIGINT; 2 a wrong argument; 69 the address of the control API cannot be listened on; \
         70 an error\nof the collector itself; 78 a setting is wrong; 130 or 143 ended at once by a second signal.",
    );
    text
}

/// Every variable as a page of Markdown; docs/configuration.md is this text.
#[must_use]
pub fn markdown_reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Generated: UPDATE_DOCS=1 cargo test -p telemetry-collector --test documentation_test -->\n\n\
         Everything comes from the environment. An empty value counts as unset. A wrong value, or a `TELEMETRY_` name \
         that does not exist, stops the start with one line for each mistake and exit code 78.\n\n\
         `telemetry-collector --print-config` shows what is in force and where it comes from.\n\n\
         | variable | default | allowed | meaning |\n| --- | --- | --- | --- |\n",
    );
    for variable in VARIABLES {
        let default = if variable.default.is_empty() { String::new() } else { format!("`{}`", variable.default) };
        let file = if variable.secret {
            format!(" `{}{FILE_SUFFIX}` names a file that holds it instead.", variable.name)
        } else {
            String::new()
        };
        let _ =
            writeln!(text, "| `{}` | {default} | {} | {}{file} |", variable.name, variable.allowed, variable.meaning);
    }
    text.push_str(
        "\n## OpenTelemetry\n\n\
         The variables of the OpenTelemetry specification; nothing is exported unless an endpoint is set. \
         The most used:\n\n| variable | meaning |\n| --- | --- |\n",
    );
    for (name, meaning) in OTEL_VARIABLES {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text
}
