//! The environment, checked and typed.
//!
//! Every mistake is found in one pass and told in one line: the variable, its value unless it is secret, what is
//! allowed. Components never read the environment; they are given what they need from here.

mod describe;
mod parse;
mod reader;
mod secret;
mod variables;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use telemetry_outbox::{Encoding, OnFull, SyncPolicy};

pub use describe::{environment_help, markdown_reference};
use reader::{Found, Reader};
pub use secret::Secret;

use crate::errors::TelemetryResult;
use crate::interval::Interval;
use crate::publishers::{DeliveryMode, QueueMode, RetrySettings, TlsFiles};

/// Everything that can be set, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is sampled, and how often.
    pub collection: CollectionConfig,
    /// Where messages go.
    pub redis: RedisConfig,
    /// When what was not taken is offered again.
    pub retry: RetrySettings,
    /// What keeps messages while they cannot go there.
    pub outbox: OutboxConfig,
    /// What keeps them on disk as well.
    pub spool: SpoolConfig,
    /// Where the control API listens.
    pub control: ControlConfig,
    /// How the process says what it does.
    pub log: LogConfig,
    /// What OpenTelemetry exports.
    pub otel: OtelConfig,
    /// How the process ends.
    pub shutdown: ShutdownConfig,
    /// Variables that begin with `TELEMETRY_`, but are no settings of this program or another one of the monorepo.
    pub ignored: Vec<String>,
    found: Vec<Found>,
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
    /// Server, Sentinels or Cluster, database and login.
    pub url: Secret,
    /// Certificates of an encrypted connection.
    pub tls: TlsFiles,
    /// The list or stream that serves as queue.
    pub key: String,
    /// How messages are written.
    pub encoding: Encoding,
    /// Messages the queue may hold before the oldest go; 0 = no cap.
    pub max_length: u64,
    /// What the key holds.
    pub mode: QueueMode,
    /// What becomes of a push that was not answered.
    pub delivery: DeliveryMode,
    /// Messages in the queue from which on consumers count as too slow; 0 = never.
    pub high_water: u64,
    /// Replicas that must have a message before it counts as delivered.
    pub wait_replicas: u32,
    /// Keys that hosts are spread over.
    pub shards: u32,
    /// Time to find Redis, connect and log in.
    pub connect_timeout: Duration,
    /// Time that Redis has to answer.
    pub response_timeout: Duration,
}

/// What keeps messages while they cannot go out.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Bytes of memory that waiting messages may take.
    pub max_bytes: usize,
    /// What is given up when there is no room, in memory or on disk.
    pub on_full: OnFull,
}

/// What keeps messages on disk until they are delivered.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// Where; `None` = nowhere.
    pub directory: Option<PathBuf>,
    /// Bytes that all files may take.
    pub max_bytes: u64,
    /// When what was written is made to outlast a loss of power.
    pub sync: SyncPolicy,
    /// How long messages are kept after they were acknowledged.
    pub retain: Duration,
}

/// Where the control API listens.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Address and port of gRPC.
    pub listen: SocketAddr,
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

/// What OpenTelemetry exports; where to, the exporter reads from `OTEL_*` itself, as the specification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtelConfig {
    /// Spans are exported.
    pub traces: bool,
    /// Metrics are exported.
    pub metrics: bool,
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
        let mut reader = Reader::new(vars)?;
        let config = Self {
            collection: CollectionConfig {
                interval: reader.read(variables::COLLECTION_INTERVAL, parse::interval),
                labels: reader.read(variables::COLLECTION_LABELS, parse::labels),
            },
            redis: RedisConfig {
                url: reader.read(variables::REDIS_URL, parse::redis_url),
                tls: TlsFiles {
                    ca: reader.read(variables::REDIS_TLS_CA, parse::file),
                    cert: reader.read(variables::REDIS_TLS_CERT, parse::file),
                    key: reader.read(variables::REDIS_TLS_KEY, parse::file),
                },
                key: reader.read(variables::REDIS_KEY, parse::text),
                encoding: reader.read(variables::REDIS_ENCODING, parse::encoding),
                max_length: reader.read(variables::REDIS_MAX_LENGTH, parse::number),
                mode: reader.read(variables::REDIS_MODE, parse::queue_mode),
                delivery: reader.read(variables::REDIS_DELIVERY, parse::delivery_mode),
                high_water: reader.read(variables::REDIS_HIGH_WATER, parse::number),
                wait_replicas: reader.read(variables::REDIS_WAIT_REPLICAS, parse::replicas),
                shards: reader.read(variables::REDIS_SHARDS, parse::shards),
                connect_timeout: reader.read(variables::REDIS_CONNECT_TIMEOUT, parse::timeout),
                response_timeout: reader.read(variables::REDIS_RESPONSE_TIMEOUT, parse::timeout),
            },
            retry: RetrySettings {
                initial: reader.read(variables::RETRY_INITIAL, parse::wait),
                max: reader.read(variables::RETRY_MAX, parse::wait),
                rejected: reader.read(variables::RETRY_REJECTED, parse::wait),
            },
            outbox: OutboxConfig {
                max_bytes: reader.read(variables::OUTBOX_MAX_BYTES, parse::outbox_bytes),
                on_full: reader.read(variables::OUTBOX_ON_FULL, parse::on_full),
            },
            spool: SpoolConfig {
                directory: reader.read(variables::SPOOL_DIR, parse::directory),
                max_bytes: reader.read(variables::SPOOL_MAX_BYTES, parse::spool_bytes),
                sync: reader.read(variables::SPOOL_SYNC, parse::sync_policy),
                retain: reader.read(variables::SPOOL_RETAIN, parse::retain),
            },
            control: ControlConfig { listen: reader.read(variables::CONTROL_LISTEN, parse::address) },
            log: LogConfig {
                format: reader.read(variables::LOG_FORMAT, parse::log_format),
                filter: reader.read(variables::LOG_FILTER, parse::log_filter),
            },
            otel: reader.otel(),
            shutdown: ShutdownConfig { grace: reader.read(variables::SHUTDOWN_GRACE, parse::grace) },
            ignored: Vec::new(),
            found: Vec::new(),
        };
        let (found, ignored) = reader.finish()?;
        Ok(Self { found, ignored, ..config })
    }
}

#[cfg(test)]
mod tests;
