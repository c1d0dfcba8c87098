//! Which queue to look at, and how.

use std::fmt;
use std::time::Duration;

use telemetry_redis::TlsFiles;

use super::MAX_LOOK;
use crate::connection::{QueueAddress, retry};

/// Which queue to look at, and how.
#[derive(Clone)]
pub struct TailSettings {
    pub(super) address: QueueAddress,
    pub(super) last: usize,
    pub(super) follow: bool,
    pub(super) missing_after: Duration,
    pub(super) poll_interval: Duration,
}

impl TailSettings {
    /// The list or stream `key` of the Redis at `url`, which has the forms of
    /// [`ConsumerSettings::new`](crate::ConsumerSettings::new).
    #[must_use]
    pub fn new(url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            address: QueueAddress::new(url.into(), key.into()),
            last: 10,
            follow: true,
            missing_after: Duration::from_secs(5),
            poll_interval: Duration::from_millis(250),
        }
    }

    /// How many of the newest messages in the queue to begin with (10); at most 10 000. They come oldest first.
    #[must_use]
    pub fn last(mut self, messages: usize) -> Self {
        self.last = messages.min(MAX_LOOK);
        self
    }

    /// Whether to wait for new messages after those (yes). Otherwise the tail ends there, and at the first error.
    #[must_use]
    pub fn follow(mut self, follow: bool) -> Self {
        self.follow = follow;
        self
    }

    /// How long a missing number of a new message may still come or be named by a gap record before it is told (5 s).
    #[must_use]
    pub fn missing_after(mut self, patience: Duration) -> Self {
        self.missing_after = patience;
        self
    }

    /// Time between two looks at the queue (250 ms); at least 10 ms.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// The certificates of a `rediss` server, as of [`ConsumerSettings::tls`](crate::ConsumerSettings::tls).
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.address.tls = files;
        self
    }

    /// Longest time to find the server, connect and log in (5 s), and to wait for an answer (5 s).
    #[must_use]
    pub fn timeouts(mut self, connect: Duration, response: Duration) -> Self {
        self.address.connect_timeout = connect;
        self.address.response_timeout = response;
        self
    }

    /// The shortest (100 ms) and the longest (30 s) wait between tries to reach Redis, as of
    /// [`ConsumerSettings::retry`](crate::ConsumerSettings::retry).
    #[must_use]
    pub fn retry(mut self, initial: Duration, max: Duration) -> Self {
        self.address.retry = retry(initial, max);
        self
    }
}

impl fmt::Debug for TailSettings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TailSettings")
            .field("key", &self.address.key)
            .field("last", &self.last)
            .field("follow", &self.follow)
            .field("missing_after", &self.missing_after)
            .field("poll_interval", &self.poll_interval)
            .finish_non_exhaustive()
    }
}
