//! Where the queue is: by the variables that every service reads, by the settings of a collector, and by flags.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;

use telemetry_client::control::Config;
use telemetry_redis::environment::{self, RedisEnvironment};
use telemetry_settings::{Program, Reader};

use crate::cli::QueueArgs;
use crate::session::InvalidSettings;

const PROGRAM: &Program = &Program {
    name: "telemetryctl",
    prefix: "TELEMETRY_",
    variables: environment::VARIABLES,
    other_programs: &[],
    standards: &[],
};

/// Values of the variables that name the queue. Those of other settings are left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueueVariables(BTreeMap<String, OsString>);

impl QueueVariables {
    /// Of these, the variables that name the queue.
    pub(crate) fn of(vars: impl IntoIterator<Item = (String, OsString)>) -> Self {
        let is_known = |name: &str| environment::VARIABLES.iter().any(|variable| stem(name) == variable.name);
        Self(vars.into_iter().filter(|(name, value)| is_known(name) && !value.is_empty()).collect())
    }

    /// The environment, then the flags.
    pub(crate) fn here(args: &QueueArgs) -> Self {
        let vars = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let flags = [(environment::URL.name, &args.redis_url), (environment::KEY.name, &args.key)];
        let flags = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())));
        Self::of(vars).overlaid_by(Self(flags.collect()))
    }

    /// These values, where `over` has none. A variable and the one that names its file are the same setting.
    pub(crate) fn overlaid_by(mut self, over: Self) -> Self {
        self.0.retain(|name, _| over.0.keys().all(|other| stem(name) != stem(other)));
        self.0.extend(over.0);
        self
    }

    /// The settings of a collector. Its files are on its host, and its passwords are masked.
    pub(crate) fn of_collector(config: &Config) -> Self {
        Self::of(config.settings.iter().map(|setting| (setting.name.clone(), setting.value.clone().into())))
    }

    /// Whether the URL of Redis is among them.
    pub(crate) fn has_url(&self) -> bool {
        self.0.keys().any(|name| stem(name) == environment::URL.name)
    }

    /// The queue that they name.
    pub(crate) fn read(self) -> Result<RedisEnvironment, InvalidSettings> {
        let mut reader = Reader::new(PROGRAM, self.0.into_iter().map(|(name, value)| (name.into(), value)));
        let queue = RedisEnvironment::read(&mut reader);
        reader.finish().map_err(|invalid| InvalidSettings(invalid.to_string().lines().map(str::to_owned).collect()))?;
        Ok(queue)
    }
}

/// Whether a collector has hidden the password of this URL.
pub(crate) fn is_masked(url: &str) -> bool {
    url.contains("***")
}

fn stem(name: &str) -> &str {
    name.strip_suffix("_FILE").unwrap_or(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn vars(vars: &[(&str, &str)]) -> QueueVariables {
        QueueVariables::of(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())))
    }

    #[test]
    fn passes_over_what_does_not_name_the_queue() {
        let queue = vars(&[
            ("TELEMETRY_REDIS__KEY", "queue"),
            ("TELEMETRY_REDIS__MAX_LENGTH", "7"),
            ("TELEMETRY_REDIS__KYE", "x"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(queue.read().unwrap().key, "queue");
    }

    #[test]
    fn what_is_given_here_replaces_the_same_setting_of_the_collector() {
        let collector = vars(&[("TELEMETRY_REDIS__URL", "redis://there"), ("TELEMETRY_REDIS__KEY", "queue")]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("url");
        std::fs::write(&file, "redis://here").unwrap();
        let here = vars(&[("TELEMETRY_REDIS__URL_FILE", file.to_str().unwrap())]);
        assert!(here.has_url());
        let queue = collector.overlaid_by(here).read().unwrap();
        assert_eq!((queue.url.expose(), queue.key.as_str()), ("redis://here", "queue"));
    }

    #[test]
    fn reports_a_wrong_value_without_showing_it() {
        let error = vars(&[("TELEMETRY_REDIS__URL", "http://user:hunter2@host")]).read().unwrap_err().to_string();
        assert!(error.starts_with("TELEMETRY_REDIS__URL: ") && !error.contains("hunter2"), "{error}");
    }
}
