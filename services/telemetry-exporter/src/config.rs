//! The environment, checked and typed. What the collector shares with the exporter has the same name for both, so that one
//! environment serves both.

mod parse;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use self::parse::NotAllowed;
use self::variables::{FILE_SUFFIX, OWN_PREFIX, VARIABLES, Variable};
use crate::errors::ExporterError;

/// Everything that can be set, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where messages come from.
    pub redis: RedisConfig,
    /// What is served, and where.
    pub exporter: ServingConfig,
    /// How the process says what it does.
    pub log: LogConfig,
}

/// Where messages come from.
#[derive(Clone)]
pub struct RedisConfig {
    /// Server, database and login.
    pub url: String,
    /// The list or stream that serves as queue.
    pub key: String,
    /// What the key holds.
    pub mode: QueueMode,
    /// Keys that hosts are spread over.
    pub shards: u32,
}

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueMode {
    /// A list.
    List,
    /// A stream.
    Stream,
}

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct ServingConfig {
    /// Address and port of HTTP.
    pub listen: SocketAddr,
    /// Age at which the latest sample of a host is no longer served.
    pub host_expiry: Duration,
}

/// How the process says what it does.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Form of a line.
    pub format: LogFormat,
    /// Which events are logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Config {
    /// Reads an environment.
    ///
    /// ```
    /// use telemetry_exporter::Config;
    ///
    /// let mistake = Config::from_vars([("TELEMETRY_EXPORTER__LISTN".into(), "[::]:9464".into())]).unwrap_err();
    /// assert_eq!(mistake.to_string(), "TELEMETRY_EXPORTER__LISTN: no such setting; did you mean TELEMETRY_EXPORTER__LISTEN?");
    /// ```
    ///
    /// # Errors
    /// [`ExporterError::Configuration`] with one line for each mistake.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ExporterError> {
        let mut reader = Reader::new(vars);
        let config = Self {
            redis: RedisConfig {
                url: reader.read(variables::REDIS_URL, parse::redis_url),
                key: reader.read(variables::REDIS_KEY, parse::text),
                mode: reader.read(variables::REDIS_MODE, parse::mode),
                shards: reader.read(variables::REDIS_SHARDS, parse::shards),
            },
            exporter: ServingConfig {
                listen: reader.read(variables::LISTEN, parse::address),
                host_expiry: reader.read(variables::HOST_EXPIRY, parse::expiry),
            },
            log: LogConfig {
                format: reader.read(variables::LOG_FORMAT, parse::log_format),
                filter: reader.read(variables::LOG_FILTER, parse::log_filter),
            },
        };
        if reader.mistakes.is_empty() { Ok(config) } else { Err(ExporterError::Configuration(reader.mistakes)) }
    }
}

impl RedisConfig {
    /// Every key that hosts' messages are in.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        (0..self.shards).map(|shard| match self.shards {
            1 => self.key.clone(),
            _ => format!("{}:{{{shard}}}", self.key),
        })
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the URL, which may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisConfig").field("key", &self.key).finish_non_exhaustive()
    }
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
    text.push_str(
        "\nOther TELEMETRY_ variables are the collector's and are left to it.\n\
         \nExit codes: 0 stopped by SIGTERM or SIGINT; 2 a wrong argument; 69 the address cannot be listened on; 70 an error of \
         the exporter itself; 78 a setting is wrong.",
    );
    text
}

/// Reads variable by variable and keeps every mistake.
struct Reader {
    values: BTreeMap<&'static str, String>,
    mistakes: Vec<String>,
}

impl Reader {
    fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reader = Self { values: BTreeMap::new(), mistakes: Vec::new() };
        for (name, value) in vars {
            let Some(name) = name.to_str().filter(|name| name.starts_with("TELEMETRY_")) else { continue };
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                Ok(value) => reader.add(name, value),
                Err(_) => reader.mistakes.push(format!("{name}: is not UTF-8")),
            }
        }
        reader
    }

    fn add(&mut self, name: &str, value: String) {
        let in_file = |variable: &&&Variable| variable.secret && name.strip_suffix(FILE_SUFFIX) == Some(variable.name);
        let (variable, value) = if let Some(variable) = VARIABLES.iter().find(|variable| variable.name == name) {
            (variable, value)
        } else if let Some(variable) = VARIABLES.iter().find(in_file) {
            match fs::read_to_string(&value) {
                Ok(content) => (variable, content.trim_end().to_owned()),
                Err(error) => return self.mistakes.push(format!("{name}: cannot read {value:?}: {error}")),
            }
        } else {
            self.mistakes.extend(no_such_setting(name));
            return;
        };
        if self.values.insert(variable.name, value).is_some() {
            self.mistakes.push(format!("{0}: is set, and so is {0}{FILE_SUFFIX}; set one of them", variable.name));
        }
    }

    /// The value of `variable`. A mistake is kept, and the default stands in until the end.
    fn read<T>(&mut self, variable: &'static Variable, parse: fn(&str) -> Result<T, NotAllowed>) -> T {
        let value = self.values.remove(variable.name).unwrap_or_else(|| variable.default.to_owned());
        let parsed = parse(&value);
        if parsed.is_err() {
            let shown = if variable.secret { "the value".to_owned() } else { format!("{value:?}") };
            self.mistakes.push(format!("{}: {shown} is not {}", variable.name, variable.allowed));
        }
        #[allow(clippy::expect_used, reason = "a start-up invariant, held by a test")]
        parsed.or_else(|_| parse(variable.default)).expect("every default is allowed")
    }
}

/// What is wrong with `name`, if it is meant for the exporter: Kubernetes, for one, puts `TELEMETRY_EXPORTER_SERVICE_HOST`
/// into each pod beside a Service named `telemetry-exporter`.
fn no_such_setting(name: &str) -> Option<String> {
    let nearest = VARIABLES
        .iter()
        .map(|variable| (strsim::normalized_damerau_levenshtein(variable.name, name), variable.name))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, nearest)| *similarity > 0.8 && nearest.starts_with(OWN_PREFIX));
    match nearest {
        Some((_, nearest)) => Some(format!("{name}: no such setting; did you mean {nearest}?")),
        None if name.starts_with(OWN_PREFIX) => Some(format!("{name}: no such setting; --help lists all")),
        None => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, String> {
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
        Config::from_vars(vars).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_environment_is_enough() {
        let config = read(&[]).unwrap();
        assert_eq!(config.redis.key, "telemetry:queue");
        assert_eq!(config.exporter.listen.port(), 9464);
        assert_eq!(config.exporter.host_expiry, Duration::from_secs(300));
    }

    #[test]
    fn the_collectors_settings_are_left_to_it_and_those_of_both_are_read() {
        let config = read(&[
            ("TELEMETRY_COLLECTION__INTERVAL", "2s"),
            ("TELEMETRY_REDIS__KEY", "fleet"),
            ("TELEMETRY_LOG__FORMAT", "json"),
            ("TELEMETRY_EXPORTER__LISTEN", ""),
        ]);
        let config = config.unwrap();
        assert_eq!((config.redis.key.as_str(), config.log.format), ("fleet", LogFormat::Json));
    }

    #[test]
    fn what_kubernetes_tells_of_a_service_is_no_mistake_but_a_missing_underscore_is() {
        for service in ["TELEMETRY_EXPORTER", "TELEMETRY_COLLECTOR", "TELEMETRY_REDIS"] {
            for suffix in
                ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_9464_TCP", "PORT_9464_TCP_ADDR"]
            {
                read(&[(&format!("{service}_{suffix}"), "tcp://10.0.0.1:9464")]).unwrap();
            }
        }
        let mistake = read(&[("TELEMETRY_EXPORTER_LISTEN", "[::]:9464")]).unwrap_err();
        assert!(mistake.ends_with("did you mean TELEMETRY_EXPORTER__LISTEN?"), "{mistake}");
    }

    #[test]
    fn shards_are_keys_as_the_collector_names_them() {
        let keys = |vars: &[(&str, &str)]| read(vars).unwrap().redis.keys().collect::<Vec<_>>();
        assert_eq!(keys(&[]), ["telemetry:queue"]);
        assert_eq!(keys(&[("TELEMETRY_REDIS__SHARDS", "2")]), ["telemetry:queue:{0}", "telemetry:queue:{1}"]);
        assert!(read(&[("TELEMETRY_REDIS__SHARDS", "0")]).is_err());
    }

    #[test]
    fn every_mistake_has_a_line_and_no_password_is_shown() {
        let mistakes = read(&[
            ("TELEMETRY_EXPORTER__HOST_EXPIRY", "soon"),
            ("TELEMETRY_EXPORTER__NOISE", "1"),
            ("TELEMETRY_REDIS__URL", "amqp://me:s3cret@host"),
            ("TELEMETRY_REDIS__URL_FILE", "/nowhere"),
        ]);
        let mistakes = mistakes.unwrap_err();
        assert_eq!(mistakes.lines().count(), 4, "{mistakes}");
        assert!(mistakes.contains("TELEMETRY_EXPORTER__NOISE: no such setting"), "{mistakes}");
        assert!(mistakes.contains("\"soon\" is not a duration from 1s to 7days"), "{mistakes}");
        assert!(!mistakes.contains("s3cret"), "{mistakes}");
        assert!(!format!("{:?}", read(&[("TELEMETRY_REDIS__URL", "redis://:s3cret@host")])).contains("s3cret"));
    }

    #[test]
    fn a_secret_can_be_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "redis://:s3cret@host:7000\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(read(&[("TELEMETRY_REDIS__URL_FILE", path)]).unwrap().redis.url, "redis://:s3cret@host:7000");
        let both = read(&[("TELEMETRY_REDIS__URL_FILE", path), ("TELEMETRY_REDIS__URL", "redis://host")]);
        assert!(both.unwrap_err().contains("set one of them"));
    }

    #[test]
    fn help_names_every_variable() {
        let help = environment_help();
        assert!(VARIABLES.iter().all(|variable| help.contains(variable.name)), "{help}");
    }
}
