//! The sampling interval: the request for another one, and what became of it.

use std::time::{Duration, SystemTime};

use telemetry_proto::v1::{ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse};

use super::answer::{duration, time};
use super::error::ControlError;

/// A request for another sampling interval. A [`Duration`] alone is one without a ttl or a reason.
///
/// ```
/// use std::time::Duration;
/// use telemetry_client::control::IntervalRequest;
///
/// let for_ten_minutes =
///     IntervalRequest::new(Duration::from_millis(200)).ttl(Duration::from_secs(600)).reason("INC-42: CPU peaks");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntervalRequest {
    interval: Duration,
    ttl: Option<Duration>,
    reason: String,
}

/// The sampling interval before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntervalChange {
    /// The previous interval.
    pub previous: Duration,
    /// The current interval.
    pub current: Duration,
    /// Since when the current interval is in force, by the clock of the collector's host. `None` for a collector of schema
    /// 1.0.0.
    pub effective_since: Option<SystemTime>,
    /// When the interval of the collector's settings returns, by the clock of the collector's host. `None` without a ttl.
    pub reverts_at: Option<SystemTime>,
}

impl IntervalRequest {
    /// A request for `interval`, from 100 ms to 1 h, until the next change.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, ttl: None, reason: String::new() }
    }

    /// How long the interval stays in force, from 1 s to 7 d. Then the interval of the collector's settings returns.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Why, for the audit. At most 256 bytes.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    pub(super) fn has_ttl(&self) -> bool {
        self.ttl.is_some()
    }
}

impl From<Duration> for IntervalRequest {
    fn from(interval: Duration) -> Self {
        Self::new(interval)
    }
}

impl From<IntervalRequest> for SetIntervalRequest {
    fn from(request: IntervalRequest) -> Self {
        Self { interval: Some(request.interval.into()), ttl: request.ttl.map(Into::into), reason: request.reason }
    }
}

impl IntervalChange {
    pub(super) fn of_set(call: &'static str, answer: SetIntervalResponse) -> Result<Self, ControlError> {
        Ok(Self {
            previous: duration(call, answer.previous_interval)?,
            current: duration(call, answer.interval)?,
            effective_since: time(call, answer.effective_since)?,
            reverts_at: time(call, answer.reverts_at)?,
        })
    }

    pub(super) fn of_reset(call: &'static str, answer: ResetIntervalResponse) -> Result<Self, ControlError> {
        Ok(Self {
            previous: duration(call, answer.previous_interval)?,
            current: duration(call, answer.interval)?,
            effective_since: time(call, answer.effective_since)?,
            reverts_at: None,
        })
    }
}
