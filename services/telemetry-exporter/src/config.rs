//! The environment, checked and typed. Settings that the collector has too have the same names, so that one environment
//! serves both.

mod variables;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use telemetry_process::exit;
use telemetry_process::logs::LogSettings;
use telemetry_redis::environment::RedisEnvironment;
use telemetry_settings::parse::{duration, from_str};
use telemetry_settings::{InForce, Reader};

use crate::errors::ExporterError;

/// Everything that can be set, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where messages come from.
    pub redis: RedisEnvironment,
    /// What is served, and where.
    pub exporter: ServingConfig,
    /// What is logged, and how.
    pub log: LogSettings,
    in_force: InForce,
}

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct ServingConfig {
    /// Address and port of HTTP.
    pub listen: SocketAddr,
    /// Age at which the latest sample of a host is no longer served.
    pub host_expiry: Duration,
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
        let mut reader = Reader::new(variables::EXPORTER, vars);
        Ok(Self {
            redis: RedisEnvironment::read(&mut reader),
            exporter: ServingConfig {
                listen: reader.read(variables::LISTEN, from_str),
                host_expiry: reader.read(variables::HOST_EXPIRY, duration(variables::HOST_EXPIRY_RANGE)),
            },
            log: LogSettings::read(&mut reader),
            in_force: reader.finish()?,
        })
    }

    /// Variables that begin with `TELEMETRY_`, but are no settings of this program or another one of the monorepo.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        self.in_force.ignored()
    }

    /// Every setting in force and where it comes from, passwords masked; a shell can source it.
    #[must_use]
    pub fn print(&self) -> String {
        self.in_force.print()
    }
}

/// Every variable for `--help`.
#[must_use]
pub fn environment_help() -> String {
    format!(
        "{}\nA stream is read as the consumer group telemetry-exporter.\n\n\
         Variables of the collector are left to it. Other unknown ones are ignored, with one warning, unless they look misspelt.\n\n{}",
        variables::EXPORTER.help(),
        exit::help("the exporter", "the address of /metrics")
    )
}

/// Every variable as a page of Markdown; docs/configuration-exporter.md is this text.
#[must_use]
pub fn markdown_reference() -> String {
    variables::EXPORTER.reference("Configuration of telemetry-exporter")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::variables::VARIABLES;
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
        assert_eq!(config.redis.key, "fleet");
        assert!(config.print().contains("\nTELEMETRY_LOG__FORMAT=json "), "{}", config.print());
    }

    #[test]
    fn ignores_what_kubernetes_adds_and_keeps_its_name() {
        for service in ["TELEMETRY_EXPORTER", "TELEMETRY_COLLECTOR", "TELEMETRY_REDIS"] {
            for suffix in
                ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_9464_TCP", "PORT_9464_TCP_ADDR"]
            {
                let name = format!("{service}_{suffix}");
                assert_eq!(read(&[(&name, "tcp://10.0.0.1:9464")]).unwrap().ignored(), [name]);
            }
        }
    }

    #[test]
    fn refuses_a_misspelt_name_in_its_own_sections_and_in_shared_ones() {
        for (name, meant) in [
            ("TELEMETRY_EXPORTER_LISTEN", "TELEMETRY_EXPORTER__LISTEN"),
            ("TELEMETRY_REDIS__KYE", "TELEMETRY_REDIS__KEY"),
            ("TELEMETRY_LOG__FORMATS", "TELEMETRY_LOG__FORMAT"),
        ] {
            assert_eq!(read(&[(name, "x")]).unwrap_err(), format!("{name}: no such setting; did you mean {meant}?"));
        }
        for name in ["TELEMETRY_LOG__LEVEL", "TELEMETRY_REDIS__SHARD_COUNT"] {
            let mistake = read(&[(name, "x")]).unwrap_err();
            assert!(mistake.starts_with(&format!("{name}: no such setting")), "{mistake}");
        }
    }

    #[test]
    fn passes_over_what_only_the_collector_reads() {
        let of_the_collector = [
            ("TELEMETRY_REDIS__MAX_LENGTH", "0"),
            ("TELEMETRY_REDIS__ENCODING", "protobuf"),
            ("TELEMETRY_SPOOL__DIR", "/var/spool"),
            ("TELEMETRY_PYTHON", "python3"),
            ("TELEMETRY_BAZEL_ROUTE", "open"),
        ];
        assert!(read(&of_the_collector).unwrap().ignored().is_empty());
    }

    #[test]
    fn shows_what_is_in_force_without_passwords() {
        let printed = read(&[("TELEMETRY_REDIS__URL", "redis://me:s3cret@db")]).unwrap().print();
        assert!(printed.contains("TELEMETRY_REDIS__URL=redis://me:***@db"), "{printed}");
        assert!(printed.contains("TELEMETRY_EXPORTER__HOST_EXPIRY=5m"), "{printed}");
    }

    #[test]
    fn shards_are_keys_as_the_collector_names_them() {
        let keys = |vars: &[(&str, &str)]| read(vars).unwrap().redis.keys().unwrap();
        assert_eq!(keys(&[]), ["telemetry:queue"]);
        assert_eq!(keys(&[("TELEMETRY_REDIS__SHARDS", "2")]), ["telemetry:queue:{0}", "telemetry:queue:{1}"]);
        assert!(read(&[("TELEMETRY_REDIS__SHARDS", "0")]).is_err());
    }

    #[test]
    fn accepts_every_form_of_url() {
        for url in ["rediss://host", "unix:///run/redis.sock", "redis+sentinel://a,b/main", "rediss+cluster://a,b"] {
            assert_eq!(read(&[("TELEMETRY_REDIS__URL", url)]).unwrap().redis.url.expose(), url);
        }
    }

    #[test]
    fn every_mistake_has_a_line_and_no_password_is_shown() {
        let mistakes = read(&[
            ("TELEMETRY_EXPORTER__HOST_EXPIRY", "soon"),
            ("TELEMETRY_EXPORTER__NOISE", "1"),
            ("TELEMETRY_REDIS__URL", "amqp://me:s3cret@host"),
        ]);
        let mistakes = mistakes.unwrap_err();
        assert_eq!(mistakes.lines().count(), 3, "{mistakes}");
        assert!(mistakes.contains("TELEMETRY_EXPORTER__NOISE: no such setting"), "{mistakes}");
        assert!(mistakes.contains("\"soon\" is not a duration from 1s to 7days"), "{mistakes}");
        assert!(!mistakes.contains("s3cret"), "{mistakes}");
        assert!(!format!("{:?}", read(&[("TELEMETRY_REDIS__URL", "redis://:s3cret@host")])).contains("s3cret"));
    }

    #[test]
    fn reads_every_variable_of_its_table() {
        let printed = read(&[]).unwrap().print();
        let read: Vec<_> = printed.lines().filter_map(|line| line.split('=').next()).collect();
        assert_eq!(read, VARIABLES.iter().map(|variable| variable.name).collect::<Vec<_>>());
    }
}
