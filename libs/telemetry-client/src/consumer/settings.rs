//! How to reach and read the queue.

use std::fmt;
use std::time::Duration;

use telemetry_redis::TlsFiles;

use crate::connection::{QueueAddress, retry};

/// How to reach and read the queue.
#[derive(Clone)]
pub struct ConsumerSettings {
    pub(super) address: QueueAddress,
    pub(super) source: Source,
    pub(super) max_in_flight: usize,
    pub(super) dead_after: Duration,
    pub(super) missing_after: Option<Duration>,
}

/// What the key holds.
#[derive(Debug, Clone)]
pub(super) enum Source {
    List,
    Stream { group: String },
}

impl ConsumerSettings {
    /// The list `key` of the Redis at `url`: one server, the master that Sentinels name, or a Cluster.
    ///
    /// | URL | |
    /// | --- | --- |
    /// | `redis[s]://[user][:password]@host[:port][/database]` | one server |
    /// | `unix:///path` | one server, by its Unix socket |
    /// | `redis[s]+sentinel://[user:password@]host[:port],…/master-name[/database]` | the master, through every failover; the login of the Sentinels is `?sentinel_username=…&sentinel_password=…` |
    /// | `redis[s]+cluster://[user:password@]host[:port],…` | the node of a Cluster that holds the key, through every move of its slot |
    ///
    /// `rediss` is encrypted; see [`tls`](Self::tls).
    #[must_use]
    pub fn new(url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            address: QueueAddress::new(url.into(), key.into()),
            source: Source::List,
            max_in_flight: 1000,
            dead_after: Duration::from_secs(30),
            missing_after: Some(Duration::from_secs(60)),
        }
    }

    /// CA certificates that a `rediss` server is checked against, and the client certificate that it may ask for, as PEM
    /// files. Without them the system's CA certificates are used, and no client certificate. The files are read for each
    /// connection, so a renewed certificate needs no restart.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.address.tls = files;
        self
    }

    /// The key holds a stream and not a list (the collector's `TELEMETRY_REDIS__MODE=stream`); it is read as `group`. Each
    /// group sees every message; the consumers of one group share them.
    #[must_use]
    pub fn stream(mut self, group: impl Into<String>) -> Self {
        self.source = Source::Stream { group: group.into() };
        self
    }

    /// Messages that may be taken and not acknowledged (1000); at least 1. With that many, no more are taken.
    #[must_use]
    pub fn max_in_flight(mut self, messages: usize) -> Self {
        self.max_in_flight = messages.max(1);
        self
    }

    /// Time without a sign of life after which a consumer counts as dead, and what it had taken goes back to the queue
    /// (30 s); at least 1 s. A sign is given three times in it, however long the service works on a message.
    #[must_use]
    pub fn dead_after(mut self, silence: Duration) -> Self {
        self.dead_after = silence.max(Duration::from_secs(1));
        self
    }

    /// How long a missing number may still come or be named by a gap record before it is reported (60 s). `None` where
    /// several consumers share the queue: each sees only some numbers, and none can say what is missing.
    #[must_use]
    pub fn missing_after(mut self, patience: Option<Duration>) -> Self {
        self.missing_after = patience;
        self
    }

    /// Longest time to find the server, connect and log in (5 s), and to wait for an answer (5 s).
    #[must_use]
    pub fn timeouts(mut self, connect: Duration, response: Duration) -> Self {
        self.address.connect_timeout = connect;
        self.address.response_timeout = response;
        self
    }

    /// The shortest (100 ms) and the longest (30 s) wait between tries to reach Redis. Waits grow from one to the other, at
    /// random, and start over after a success. After an error that is not
    /// [retryable](crate::ConsumerError::is_retryable) the wait is between half of the longest and all of it.
    #[must_use]
    pub fn retry(mut self, initial: Duration, max: Duration) -> Self {
        self.address.retry = retry(initial, max);
        self
    }
}

impl fmt::Debug for ConsumerSettings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConsumerSettings")
            .field("key", &self.address.key)
            .field("max_in_flight", &self.max_in_flight)
            .field("dead_after", &self.dead_after)
            .field("missing_after", &self.missing_after)
            .finish_non_exhaustive()
    }
}
