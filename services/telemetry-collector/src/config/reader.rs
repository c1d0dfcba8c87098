//! Collects the values from the environment and the mistakes in them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use config::builder::DefaultState;
use config::{ConfigBuilder, Environment};

use super::parse::NotAllowed;
use super::variables::{FILE_SUFFIX, OTHER_PROGRAMS, PREFIX, VARIABLES, Variable};
use super::{OtelConfig, Secret};
use crate::errors::{InvalidSetting, TelemetryError, TelemetryResult};

/// A value and where it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) variable: &'static Variable,
    pub(super) value: Secret,
    pub(super) origin: Origin,
}

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    Environment,
    File,
}

/// Reads variable by variable and keeps every mistake for the end.
pub(super) struct Reader {
    values: config::Config,
    origins: BTreeMap<&'static str, Origin>,
    otel: BTreeMap<String, String>,
    found: Vec<Found>,
    ignored: Vec<String>,
    mistakes: Vec<InvalidSetting>,
}

/// What a variable with our prefix and an unknown name is.
enum Unknown {
    Mistake(InvalidSetting),
    OtherProgram,
    Foreign(String),
}

impl Reader {
    pub(super) fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> TelemetryResult<Self> {
        let mut mistakes = Vec::new();
        let (mut ours, otel): (BTreeMap<_, _>, BTreeMap<_, _>) =
            relevant_vars(vars, &mut mistakes).into_iter().partition(|(name, _)| name.starts_with(PREFIX));

        let mut origins = BTreeMap::new();
        let mut known = BTreeMap::new();
        for variable in VARIABLES {
            let in_file = variable.secret.then(|| ours.remove(&file_variable(variable))).flatten();
            match (ours.remove(variable.name), in_file) {
                (Some(_), Some(_)) => mistakes.push(InvalidSetting {
                    name: variable.name.to_owned(),
                    problem: format!("is set, and so is {}; set one of them", file_variable(variable)),
                }),
                (Some(value), None) => {
                    origins.insert(variable.name, Origin::Environment);
                    known.insert(variable.name.to_owned(), value);
                }
                (None, Some(path)) => match fs::read_to_string(&path) {
                    Ok(content) => {
                        origins.insert(variable.name, Origin::File);
                        known.insert(variable.name.to_owned(), content.trim_end().to_owned());
                    }
                    Err(error) => mistakes.push(InvalidSetting {
                        name: file_variable(variable),
                        problem: format!("cannot read {path:?}: {error}"),
                    }),
                },
                (None, None) => {}
            }
        }
        let mut ignored = Vec::new();
        for name in ours.into_keys() {
            match unknown(name) {
                Unknown::Mistake(mistake) => mistakes.push(mistake),
                Unknown::OtherProgram => {}
                Unknown::Foreign(name) => ignored.push(name),
            }
        }

        let values = layered(known).map_err(|error| TelemetryError::setting(PREFIX, error.to_string()))?;
        Ok(Self { values, origins, otel, found: Vec::new(), ignored, mistakes })
    }

    /// The value of `variable`. A mistake is kept for [`finish`](Self::finish), and the default stands in until then.
    pub(super) fn read<T>(&mut self, variable: &'static Variable, parse: fn(&str) -> Result<T, NotAllowed>) -> T {
        let value = self.values.get_string(&path(variable)).unwrap_or_else(|_| variable.default.to_owned());
        let parsed = parse(&value);
        if parsed.is_err() {
            let shown = if variable.secret { "the value".to_owned() } else { format!("{value:?}") };
            self.mistakes.push(InvalidSetting {
                name: variable.name.to_owned(),
                problem: format!("{shown} is not {}", variable.allowed),
            });
        }
        let origin = self.origins.get(variable.name).copied().unwrap_or(Origin::Default);
        self.found.push(Found { variable, value: Secret::new(value), origin });
        #[allow(clippy::expect_used, reason = "a start-up invariant, held by a test")]
        parsed.or_else(|_| parse(variable.default)).expect("every default is allowed")
    }

    /// What OpenTelemetry is to export, by its own variables.
    pub(super) fn otel(&mut self) -> OtelConfig {
        let set = |name: &str| self.otel.get(name).filter(|value| !value.is_empty());
        let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let everywhere = set("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
        let exports = |signal: &str| {
            let to_nobody = set(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none");
            let endpoint = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
            !disabled && !to_nobody && (everywhere || set(&endpoint).is_some())
        };
        let config = OtelConfig { traces: exports("TRACES"), metrics: exports("METRICS") };

        let exported =
            [("TRACES_", config.traces), ("METRICS_", config.metrics), ("", config.traces || config.metrics)];
        for (signal, _) in exported.into_iter().filter(|(_, exported)| *exported) {
            let protocol = format!("OTEL_EXPORTER_OTLP_{signal}PROTOCOL");
            if let Some(value) = set(&protocol).filter(|value| *value != "grpc") {
                let problem = format!("{value:?} is not built in; use grpc (port 4317 of most receivers)");
                self.mistakes.push(InvalidSetting { name: protocol, problem });
            }
            let endpoint = format!("OTEL_EXPORTER_OTLP_{signal}ENDPOINT");
            if set(&endpoint).is_some_and(|value| value.starts_with("https:")) {
                let problem = "https is not built in; send to a receiver on this host by http://".to_owned();
                self.mistakes.push(InvalidSetting { name: endpoint, problem });
            }
        }
        config
    }

    /// The values as they were found and the names that were ignored, or every mistake.
    pub(super) fn finish(self) -> TelemetryResult<(Vec<Found>, Vec<String>)> {
        if !self.mistakes.is_empty() {
            return Err(TelemetryError::Configuration(self.mistakes));
        }
        Ok((self.found, self.ignored))
    }
}

/// Those variables that the collector has to do with, as text; an empty one counts as unset.
fn relevant_vars(
    vars: impl IntoIterator<Item = (OsString, OsString)>,
    mistakes: &mut Vec<InvalidSetting>,
) -> BTreeMap<String, String> {
    let mut relevant = BTreeMap::new();
    for (name, value) in vars {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX) || name.starts_with("OTEL_")) else {
            continue;
        };
        match value.into_string() {
            Ok(value) if value.is_empty() => {}
            Ok(value) => {
                relevant.insert(name.to_owned(), value);
            }
            Err(_) => mistakes.push(InvalidSetting { name: name.to_owned(), problem: "is not UTF-8".to_owned() }),
        }
    }
    relevant
}

/// The defaults, and above them what was set.
fn layered(set: BTreeMap<String, String>) -> Result<config::Config, config::ConfigError> {
    let mut builder = ConfigBuilder::<DefaultState>::default();
    for variable in VARIABLES {
        builder = builder.set_default(path(variable), variable.default)?;
    }
    let environment = Environment::with_prefix(PREFIX.trim_end_matches('_'))
        .prefix_separator("_")
        .separator("__")
        .source(Some(set.into_iter().collect()));
    builder.add_source(environment).build()
}

/// Where the value of `TELEMETRY_REDIS__MAX_LENGTH` is: `redis.max_length`.
fn path(variable: &Variable) -> String {
    variable.name.trim_start_matches(PREFIX).to_lowercase().replace("__", ".")
}

fn file_variable(variable: &Variable) -> String {
    format!("{}{FILE_SUFFIX}", variable.name)
}

/// Tells a misspelt setting from a variable that somebody else set: Kubernetes, for one, puts
/// `TELEMETRY_COLLECTOR_SERVICE_HOST` into each pod beside a Service named `telemetry-collector`.
fn unknown(name: String) -> Unknown {
    if OTHER_PROGRAMS.iter().any(|prefix| name.starts_with(prefix)) {
        return Unknown::OtherProgram;
    }
    let section = name.split_once("__").map(|(section, _)| section);
    let is_section =
        |section| VARIABLES.iter().any(|variable| variable.name.split_once("__").unwrap_or_default().0 == section);
    // No variable of a Service has two underscores in a row, but TELEMETRY_REDIS_PORT is like TELEMETRY_REDIS__MODE.
    let similar = if section.is_some() { 0.8 } else { 0.9 };
    let nearest = VARIABLES
        .iter()
        .map(|variable| (strsim::normalized_damerau_levenshtein(variable.name, &name), variable.name))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, _)| *similarity > similar);
    let problem = match nearest {
        Some((_, nearest)) => format!("no such setting; did you mean {nearest}?"),
        None if section.is_some_and(is_section) => "no such setting; --help lists all".to_owned(),
        None => return Unknown::Foreign(name),
    };
    Unknown::Mistake(InvalidSetting { name, problem })
}
