//! The loop that carries messages from the outbox to a publisher.
//!
//! It is the only place that tries again. A batch is offered until it is acknowledged, in order, with the same bytes; at
//! a stop the loop ends once the outbox is empty, and whoever stops it bounds the time.

use std::sync::Arc;
use std::time::Duration;

use telemetry_proto::v1::HealthStatus;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::errors::TelemetryError;
use crate::events;
use crate::health::HealthReporter;
use crate::outbox::{Batch, Outbox};
use crate::publishers::{Backoff, TelemetryPublisher};

/// Time between two log lines of one outage.
const OUTAGE_LOG_PERIOD: Duration = Duration::from_secs(60);

/// Carries messages from an outbox to a publisher.
pub struct Delivery {
    outbox: Outbox,
    publisher: Arc<dyn TelemetryPublisher>,
    backoff: Backoff,
    health: HealthReporter,
}

/// A time in which messages cannot be delivered.
struct Outage {
    began: Instant,
    logged: Instant,
}

impl Delivery {
    /// A loop from `outbox` to `publisher` that waits between two attempts as `backoff` says.
    #[must_use]
    pub fn new(
        outbox: Outbox,
        publisher: Arc<dyn TelemetryPublisher>,
        backoff: Backoff,
        health: HealthReporter,
    ) -> Self {
        Self { outbox, publisher, backoff, health }
    }

    /// Delivers until the outbox is closed and empty.
    pub async fn run(mut self) {
        while let Some(batch) = self.outbox.next_batch().await {
            self.deliver(batch).await;
        }
    }

    async fn deliver(&mut self, batch: Batch) {
        let mut outage: Option<Outage> = None;
        loop {
            let attempt = self.publisher.publish_batch(batch.messages());
            match attempt.instrument(tracing::info_span!("publish", messages = batch.messages().len())).await {
                Ok(acknowledgement) => {
                    let count = batch.messages().len();
                    if let Some(outage) = outage {
                        events::outage_ended(
                            self.publisher.destination(),
                            outage.began.elapsed(),
                            self.outbox.status(),
                        );
                    }
                    self.outbox.acknowledge(batch);
                    self.backoff.reset();
                    self.health.serving();
                    events::delivered(count, acknowledgement, self.outbox.status());
                    return;
                }
                Err(error) => {
                    self.note_failure(&mut outage, &error);
                    self.wait_before_next_attempt(&error).await;
                }
            }
        }
    }

    fn note_failure(&self, outage: &mut Option<Outage>, error: &TelemetryError) {
        events::publish_failed(error);
        let status = if error.is_retryable() { HealthStatus::Degraded } else { HealthStatus::NotServing };
        self.health.failing(status, error);

        let now = Instant::now();
        match outage {
            None => {
                events::outage_began(self.publisher.destination(), error);
                *outage = Some(Outage { began: now, logged: now });
            }
            Some(outage) if now - outage.logged >= OUTAGE_LOG_PERIOD => {
                events::outage_goes_on(self.publisher.destination(), error, now - outage.began, self.outbox.status());
                outage.logged = now;
            }
            Some(_) => {}
        }
    }

    /// Waits as long as the backoff says; a stop, which leaves little time, cuts a long wait short once.
    async fn wait_before_next_attempt(&mut self, error: &TelemetryError) {
        let delay = sleep(self.backoff.next_delay(error));
        if self.outbox.is_closed() {
            delay.await;
            return;
        }
        tokio::select! {
            () = delay => {}
            () = self.outbox.closed() => self.backoff.reset(),
        }
    }
}

#[cfg(test)]
mod tests;
