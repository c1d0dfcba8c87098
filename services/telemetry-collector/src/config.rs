//! The environment, checked and typed.
//!
//! All mistakes are reported at once, one line each: the variable, its value unless it is secret, what is allowed.
//! Components never read the environment; they get what they need from here.

mod control;
mod http;
mod otel;
mod parse;
mod steering;
mod variables;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use telemetry_outbox::{Encoding, OnFull, SyncPolicy};
use telemetry_process::exit;
use telemetry_process::logs::LogSettings;
use telemetry_redis::RetrySettings;
use telemetry_redis::environment::RedisEnvironment;
use telemetry_settings::parse::{absolute_path, duration, from_str, number, one_of, size};
use telemetry_settings::{InForce, Reader};

pub use self::control::ControlConfig;
pub use self::http::HttpConfig;
pub use self::otel::{Export, OtelConfig, OtlpProtocol};
use crate::errors::TelemetryResult;
use crate::interval::Interval;
use crate::publishers::DeliveryMode;

/// Everything that can be set, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is sampled, and how often.
    pub collection: CollectionConfig,
    /// Where messages go.
    pub redis: RedisConfig,
    /// When delivery is tried again.
    pub retry: RetrySettings,
    /// How messages are kept in memory.
    pub outbox: OutboxConfig,
    /// How messages are kept on disk.
    pub spool: SpoolConfig,
    /// Where the control API is served, and to whom.
    pub control: ControlConfig,
    /// Where HTTP is served, and what it answers.
    pub http: HttpConfig,
    /// What is logged, and how.
    pub log: LogSettings,
    /// What OpenTelemetry exports.
    pub otel: OtelConfig,
    /// How the process ends.
    pub shutdown: ShutdownConfig,
    in_force: InForce,
}

/// What is sampled, and how often.
#[derive(Debug, Clone)]
pub struct CollectionConfig {
    /// Time from one sample to the next at start; the control API can change it.
    pub interval: Interval,
    /// Labels that every message carries.
    pub labels: BTreeMap<String, String>,
}

/// Where messages go.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where the queue is.
    pub queue: RedisEnvironment,
    /// How messages are written.
    pub encoding: Encoding,
    /// Messages that the queue may hold; 0 = no cap.
    pub max_length: u64,
    /// What happens after a push that was not answered.
    pub delivery: DeliveryMode,
    /// Length of the queue at which consumers count as too slow; 0 = never.
    pub high_water: u64,
    /// Replicas that must have a message before it counts as delivered.
    pub wait_replicas: u32,
    /// Timeout for finding Redis, connecting and logging in.
    pub connect_timeout: Duration,
    /// Timeout for an answer of Redis.
    pub response_timeout: Duration,
}

/// How messages are kept in memory.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Bytes of memory that waiting messages may take.
    pub max_bytes: usize,
    /// What is dropped when there is no room, in memory or on disk.
    pub on_full: OnFull,
}

/// How messages are kept on disk until they are delivered.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// The directory; `None` = no spool.
    pub directory: Option<PathBuf>,
    /// Bytes that all files may take.
    pub max_bytes: u64,
    /// When files are synced to the disk.
    pub sync: SyncPolicy,
    /// How long messages are kept after they were acknowledged.
    pub retain: Duration,
}

/// How the process ends.
#[derive(Debug, Clone)]
pub struct ShutdownConfig {
    /// Time that waiting messages have to go out after the last sample.
    pub grace: Duration,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// [`Configuration`](crate::errors::TelemetryError::Configuration) with one line for each mistake.
    pub fn from_env() -> TelemetryResult<Self> {
        Self::from_vars(env::vars_os())
    }

    /// Reads an environment that the caller brings.
    ///
    /// ```
    /// use telemetry_collector::Config;
    ///
    /// let config = Config::from_vars([("TELEMETRY_COLLECTION__INTERVAL".into(), "500ms".into())]).unwrap();
    /// assert_eq!(config.collection.interval.to_string(), "500ms");
    ///
    /// let mistake = Config::from_vars([("TELEMETRY_REDIS__KYE".into(), "queue".into())]).unwrap_err();
    /// assert_eq!(mistake.to_string(), "TELEMETRY_REDIS__KYE: no such setting; did you mean TELEMETRY_REDIS__KEY?");
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::errors::TelemetryError::Configuration) with one line for each mistake.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> TelemetryResult<Self> {
        let mut reader = Reader::new(variables::COLLECTOR, vars);
        let read = &mut reader;
        Ok(Self {
            collection: CollectionConfig {
                interval: read.read(variables::COLLECTION_INTERVAL, from_str),
                labels: read.read(variables::COLLECTION_LABELS, parse::labels),
            },
            redis: RedisConfig {
                queue: RedisEnvironment::read(read),
                encoding: read.read(variables::REDIS_ENCODING, one_of(parse::ENCODINGS)),
                max_length: read.read(variables::REDIS_MAX_LENGTH, from_str),
                delivery: read.read(variables::REDIS_DELIVERY, one_of(parse::DELIVERY_MODES)),
                high_water: read.read(variables::REDIS_HIGH_WATER, from_str),
                wait_replicas: read.read(variables::REDIS_WAIT_REPLICAS, number(parse::REPLICAS)),
                connect_timeout: read.read(variables::REDIS_CONNECT_TIMEOUT, duration(parse::TIMEOUT)),
                response_timeout: read.read(variables::REDIS_RESPONSE_TIMEOUT, duration(parse::TIMEOUT)),
            },
            retry: RetrySettings {
                initial: read.read(variables::RETRY_INITIAL, duration(parse::RETRY)),
                max: read.read(variables::RETRY_MAX, duration(parse::RETRY)),
                rejected: read.read(variables::RETRY_REJECTED, duration(parse::RETRY)),
            },
            outbox: OutboxConfig {
                max_bytes: read.read(variables::OUTBOX_MAX_BYTES, parse::outbox_bytes),
                on_full: read.read(variables::OUTBOX_ON_FULL, one_of(parse::ON_FULL)),
            },
            spool: SpoolConfig {
                directory: read.read(variables::SPOOL_DIR, absolute_path),
                max_bytes: read.read(variables::SPOOL_MAX_BYTES, size(parse::SPOOL_BYTES)),
                sync: read.read(variables::SPOOL_SYNC, parse::sync_policy),
                retain: read.read(variables::SPOOL_RETAIN, duration(parse::RETENTION)),
            },
            control: ControlConfig::read(read),
            http: HttpConfig::read(read),
            log: LogSettings::read(read),
            shutdown: ShutdownConfig { grace: read.read(variables::SHUTDOWN_GRACE, duration(parse::GRACE)) },
            otel: OtelConfig::read(read),
            in_force: reader.finish()?,
        })
    }

    /// Every setting and where it comes from.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Variables that begin with `TELEMETRY_`, but are no settings of this program or another one of the monorepo.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        self.in_force.ignored()
    }

    /// Every setting in force and where it comes from, passwords masked; a shell can source it.
    #[must_use]
    pub fn print(&self) -> String {
        let shown = |export: Option<Export>| {
            export.map_or("off".to_owned(), |export| format!("exported by {}", export.protocol))
        };
        let (traces, metrics) = (shown(self.otel.traces), shown(self.otel.metrics));
        let mut text = format!("{}# OpenTelemetry: traces {traces}, metrics {metrics}\n", self.in_force.print());
        for problem in &self.otel.problems {
            let _ = writeln!(text, "# {problem}");
        }
        text
    }
}

/// Every variable for `--help`.
#[must_use]
pub fn environment_help() -> String {
    format!(
        "{}\n{}",
        variables::COLLECTOR.help(),
        exit::help("the collector", "the address of the control API or of HTTP")
    )
}

/// Every variable as a page of Markdown; docs/configuration.md is this text.
#[must_use]
pub fn markdown_reference() -> String {
    variables::COLLECTOR.reference("Configuration of telemetry-collector")
}

#[cfg(test)]
mod tests;
