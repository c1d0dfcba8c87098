//! The loop that delivers messages from the backlog to a publisher.
//!
//! It is the only place with retries. Batches are delivered in order; each is retried with the same bytes until it is
//! acknowledged. After a shutdown the loop ends once the backlog is empty; the caller limits how long it waits for that.

use std::sync::Arc;
use std::time::Duration;

use telemetry_outbox::{Backlog, Batch};
use telemetry_proto::v1::HealthStatus;
use telemetry_redis::Backoff;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::errors::TelemetryError;
use crate::events::{self, Reasons};
use crate::health::HealthReporter;
use crate::publishers::{Acknowledgement, Receipt, TelemetryPublisher};

/// How often an outage that continues is logged.
const OUTAGE_LOG_PERIOD: Duration = Duration::from_secs(60);
/// How long no message is sent before the destination is checked with a health check.
const HEALTH_CHECK_PERIOD: Duration = Duration::from_secs(10);
/// Longest wait between two attempts during shutdown, when little time is left.
const LAST_ATTEMPTS_PERIOD: Duration = Duration::from_millis(200);

/// Delivers messages from a backlog to a publisher.
pub struct Delivery {
    backlog: Backlog,
    publisher: Arc<dyn TelemetryPublisher>,
    backoff: Backoff,
    health: HealthReporter,
    delivered_any: bool,
    outage: Option<Outage>,
    /// Messages that the cap of the queue has trimmed; `None` while the queue is below its cap.
    trimmed: Option<u64>,
}

/// A period in which messages cannot be delivered.
struct Outage {
    began: Instant,
    logged: Instant,
    reasons: Reasons,
}

impl Outage {
    fn began(now: Instant, error: &TelemetryError) -> Self {
        let mut reasons = Reasons::default();
        reasons.is_new(error);
        Self { began: now, logged: now, reasons }
    }
}

impl Delivery {
    /// A loop from `backlog` to `publisher` that waits for `backoff` between two attempts.
    #[must_use]
    pub fn new(
        backlog: Backlog,
        publisher: Arc<dyn TelemetryPublisher>,
        backoff: Backoff,
        health: HealthReporter,
    ) -> Self {
        Self { backlog, publisher, backoff, health, delivered_any: false, outage: None, trimmed: None }
    }

    /// Delivers until the backlog is empty and closed.
    pub async fn run(mut self) {
        let arrivals = self.backlog.arrivals();
        loop {
            let (more, have_ended) = (arrivals.next(), arrivals.have_ended());
            if let Some(batch) = self.backlog.next_batch().await {
                self.deliver(batch).await;
            } else if have_ended {
                return;
            } else {
                tokio::select! {
                    () = more => {}
                    () = sleep(HEALTH_CHECK_PERIOD) => self.check_health().await,
                }
            }
        }
    }

    async fn check_health(&self) {
        match self.publisher.health_check().await {
            Ok(()) => self.health.serving(),
            Err(error) => self.health.failing(status_for(&error), &error),
        }
    }

    async fn deliver(&mut self, batch: Batch) {
        loop {
            let began = Instant::now();
            let attempt = self.publisher.publish_batch(&batch);
            match attempt.instrument(tracing::info_span!("publish", messages = batch.messages.len())).await {
                Ok(Receipt::Behind { newest }) => {
                    let acknowledged = batch.acknowledged;
                    let lost = self.backlog.rewind(batch, newest).await;
                    events::destination_behind(self.publisher.destination(), acknowledged, newest, lost);
                    return;
                }
                Ok(Receipt::Taken(acknowledgement)) => {
                    let took = began.elapsed();
                    let count = batch.messages.len();
                    if !std::mem::replace(&mut self.delivered_any, true) {
                        let first = batch.messages.first().map_or(0, |message| message.sequence);
                        events::first_delivered(self.publisher.destination(), first);
                    }
                    if let Some(outage) = self.outage.take() {
                        events::outage_ended(
                            self.publisher.destination(),
                            outage.began.elapsed(),
                            self.backlog.status(),
                        );
                    }
                    self.backlog.acknowledge(batch);
                    self.backoff.reset();
                    match acknowledgement.pressure() {
                        Some(error) => self.health.failing(status_for(&error), &error),
                        None => self.health.serving(),
                    }
                    self.watch_cap(acknowledgement);
                    events::delivered(count, took, acknowledgement, self.backlog.status());
                    return;
                }
                Err(error) => {
                    self.note_failure(&error);
                    self.wait_before_next_attempt(&error).await;
                }
            }
        }
    }

    fn note_failure(&mut self, error: &TelemetryError) {
        events::publish_failed(error, self.backlog.status());
        self.health.failing(status_for(error), error);

        let now = Instant::now();
        match &mut self.outage {
            None => {
                events::outage_began(self.publisher.destination(), error);
                self.outage = Some(Outage::began(now, error));
            }
            Some(outage) if now - outage.logged >= OUTAGE_LOG_PERIOD => {
                events::outage_goes_on(self.publisher.destination(), error, now - outage.began, self.backlog.status());
                outage.logged = now;
            }
            Some(outage) => {
                if outage.reasons.is_new(error) {
                    events::outage_reason_changed(self.publisher.destination(), error);
                }
            }
        }
    }

    /// Logs when the cap of the queue begins to trim messages and when it stops.
    fn watch_cap(&mut self, acknowledgement: Acknowledgement) {
        match (self.trimmed, acknowledgement.trimmed) {
            (None, 0) => {}
            (None, first) => {
                events::trimming_began(acknowledgement.queue_length);
                self.trimmed = Some(first);
            }
            (Some(trimmed), 0) => {
                events::trimming_ended(trimmed);
                self.trimmed = None;
            }
            (Some(trimmed), more) => self.trimmed = Some(trimmed + more),
        }
    }

    /// Waits for the backoff. A shutdown ends this wait and shortens the following ones.
    async fn wait_before_next_attempt(&mut self, error: &TelemetryError) {
        let delay = self.backoff.next_delay(error.is_retryable());
        if self.backlog.is_closed() {
            sleep(delay.min(LAST_ATTEMPTS_PERIOD)).await;
            return;
        }
        tokio::select! {
            () = sleep(delay) => {}
            () = self.backlog.closed() => {}
        }
    }
}

/// The status of the sink after this error of the destination.
fn status_for(error: &TelemetryError) -> HealthStatus {
    if error.is_retryable() { HealthStatus::Degraded } else { HealthStatus::NotServing }
}

#[cfg(test)]
mod tests;
