//! Environment variables that begin as those of telemetryctl, and that it does not know.

use std::env;

use clap::{Command, CommandFactory};

use crate::cli::Cli;
use crate::session::InvalidSettings;

const PREFIX: &str = "TELEMETRYCTL_";
/// From which similarity, of 1, a name counts as misspelt.
const SIMILAR: f64 = 0.7;

/// Refuses variables that would be ignored. Empty ones count as unset.
pub(crate) fn check() -> Result<(), InvalidSettings> {
    let vars = env::vars_os().filter(|(_, value)| !value.is_empty());
    let problems = problems(&Cli::command(), vars.filter_map(|(name, _)| name.into_string().ok()));
    if problems.is_empty() { Ok(()) } else { Err(InvalidSettings(problems)) }
}

fn problems(command: &Command, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let unknown = names.into_iter().filter(|name| name.starts_with(PREFIX) && !known.contains(&name.as_str()));
    unknown.map(|name| problem(&name, &known)).collect()
}

fn problem(name: &str, known: &[&str]) -> String {
    let own = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let similarity = |candidate: &str| strsim::jaro_winkler(&own(candidate), &own(name));
    let nearest = known.iter().map(|candidate| (similarity(candidate), candidate)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest.filter(|(similarity, _)| *similarity > SIMILAR) {
        Some((_, nearest)) => format!("{name}: no such variable; did you mean {nearest}?"),
        None => format!("{name}: no such variable; --help lists all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_variable_that_is_misspelt() {
        let problems = |name: &str| problems(&Cli::command(), [name.to_owned()]);
        for (name, meant) in [
            ("TELEMETRYCTL_TARGETS", "TELEMETRYCTL_TARGET"),
            ("TELEMETRYCTL_TIMEOT", "TELEMETRYCTL_TIMEOUT"),
            ("TELEMETRYCTL_TOKEN", "TELEMETRYCTL_TOKEN_FILE"),
        ] {
            assert_eq!(problems(name), [format!("{name}: no such variable; did you mean {meant}?")]);
        }
        assert_eq!(problems("TELEMETRYCTL_XYZ"), ["TELEMETRYCTL_XYZ: no such variable; --help lists all"]);
        assert!(problems("TELEMETRYCTL_TARGET").is_empty() && problems("TELEMETRY_REDIS__URL").is_empty());
    }
}
