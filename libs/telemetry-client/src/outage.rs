//! While Redis does not serve: when to try again, and what to tell.

use std::time::Duration;

use telemetry_redis::{Backoff, RetrySettings};

/// Why and how long Redis has not served.
#[derive(Debug)]
pub(crate) struct Outage {
    backoff: Backoff,
    /// Whether the failure that the caller was told last is retryable.
    told: Option<bool>,
}

impl Outage {
    pub(crate) fn new(retry: RetrySettings) -> Self {
        Self { backoff: Backoff::new(retry), told: None }
    }

    /// How long to wait before the next try.
    pub(crate) fn pause(&mut self, retryable: bool) -> Duration {
        self.backoff.next_delay(retryable)
    }

    /// Whether the caller has not been told yet: once an outage, and once that somebody must act.
    pub(crate) fn is_news(&mut self, retryable: bool) -> bool {
        self.told.replace(retryable) != Some(retryable)
    }

    /// Redis serves.
    pub(crate) fn over(&mut self) {
        self.told = None;
        self.backoff.reset();
    }
}
