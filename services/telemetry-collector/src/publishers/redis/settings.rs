//! What can be set of the queue.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use redis::Cmd;
use telemetry_redis::{ConnectionSettings, Connector, QueueMode, RedisUrl, TlsFiles};

use crate::errors::{InvalidSetting, InvalidSettings, TelemetryResult};

/// How to reach the queue, and how to use it.
#[derive(Clone)]
pub struct RedisSettings {
    /// Server, Sentinels or Cluster, login and database; see [`RedisUrl`].
    pub url: String,
    /// Certificates for `rediss`.
    pub tls: TlsFiles,
    /// Name of the list or stream.
    pub key: String,
    /// What the key holds.
    pub mode: QueueMode,
    /// What a push that was not answered leads to.
    pub delivery: DeliveryMode,
    /// Messages the queue may hold; the oldest are dropped beyond that. 0: no cap.
    pub max_length: u64,
    /// Messages in the queue from which on consumers count as too slow. 0: none.
    pub high_water: u64,
    /// Replicas that must have a message before it counts as acknowledged.
    pub wait_replicas: u32,
    /// Longest time to get hold of a connection, from name resolution to login.
    pub connect_timeout: Duration,
    /// Longest time to wait for an answer.
    pub response_timeout: Duration,
}

/// What a push that was not answered leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// It is repeated, and a message can be in the queue twice.
    AtLeastOnce,
    /// The server keeps the highest number of each instance beside the queue and takes none twice.
    ExactlyOnce,
}

impl RedisSettings {
    /// A list without a cap, with time limits of two seconds.
    pub fn new(url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: TlsFiles::default(),
            key: key.into(),
            mode: QueueMode::List,
            delivery: DeliveryMode::AtLeastOnce,
            max_length: 0,
            high_water: 0,
            wait_replicas: 0,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
        }
    }

    /// What connects to the server, once the settings are found to go together. `question` asks for the queue's key.
    pub(super) fn connector(&self, question: Cmd) -> TelemetryResult<Connector> {
        let url = self.url.parse().map_err(telemetry_redis::InvalidSetting::from);
        let connector = url.and_then(|url| Connector::new(self.connection(url), question));
        let mut mistakes = self.mistakes();
        match connector {
            Ok(connector) if mistakes.is_empty() => Ok(connector),
            Ok(_) => Err(InvalidSettings(mistakes).into()),
            Err(invalid) => {
                mistakes.insert(0, invalid.into());
                Err(InvalidSettings(mistakes).into())
            }
        }
    }

    fn connection(&self, url: RedisUrl) -> ConnectionSettings {
        ConnectionSettings {
            url,
            tls: self.tls.clone(),
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
        }
    }

    /// What is wrong with how the queue is used.
    fn mistakes(&self) -> Vec<InvalidSetting> {
        let mut mistakes = Vec::new();
        let mut wrong = |name: &str, problem: String| {
            mistakes.push(InvalidSetting { name: format!("TELEMETRY_REDIS__{name}"), problem });
        };
        if self.wait_replicas > 0 && self.delivery == DeliveryMode::AtLeastOnce {
            wrong(
                "WAIT_REPLICAS",
                "needs TELEMETRY_REDIS__DELIVERY=exactly_once: while replicas are missing, each try would leave another copy"
                    .to_owned(),
            );
        }
        if self.max_length > 0 && self.high_water > self.max_length {
            wrong(
                "HIGH_WATER",
                format!(
                    "{} is above TELEMETRY_REDIS__MAX_LENGTH ({}) and would never be reached",
                    self.high_water, self.max_length
                ),
            );
        }
        mistakes
    }

    pub(super) fn cap(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.max_length)
    }
}

impl fmt::Debug for RedisSettings {
    /// Without the URL, which holds the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("tls", &self.tls)
            .field("key", &self.key)
            .field("mode", &self.mode)
            .field("delivery", &self.delivery)
            .field("max_length", &self.max_length)
            .field("high_water", &self.high_water)
            .field("wait_replicas", &self.wait_replicas)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}
