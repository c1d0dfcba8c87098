//! From the queue into the fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use telemetry_client::consumer::Counters;
use telemetry_client::{ConsumerError, Event, QueueConsumer};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::errors::report;
use crate::fleet::Fleet;

/// What the exporter has counted about the queue, beside what the consumer counts itself.
#[derive(Debug, Default)]
pub struct Tally {
    gap_numbers: AtomicU64,
    missing_numbers: AtomicU64,
    instances: AtomicU64,
    other_major: AtomicU64,
}

impl Tally {
    /// Messages that gap records named as lost.
    pub fn gap_numbers(&self) -> u64 {
        self.gap_numbers.load(Ordering::Relaxed)
    }

    /// Messages that neither came nor were named.
    pub fn missing_numbers(&self) -> u64 {
        self.missing_numbers.load(Ordering::Relaxed)
    }

    /// Starts of collectors that were seen.
    pub fn instances(&self) -> u64 {
        self.instances.load(Ordering::Relaxed)
    }

    /// Messages of another major version of the schema.
    pub fn other_major(&self) -> u64 {
        self.other_major.load(Ordering::Relaxed)
    }
}

/// Takes messages until it is told to stop.
#[derive(Debug)]
pub struct Intake {
    consumer: QueueConsumer,
    fleet: Arc<Fleet>,
    tally: Arc<Tally>,
}

impl Intake {
    /// An intake from `consumer` into `fleet`.
    #[must_use]
    pub fn new(consumer: QueueConsumer, fleet: Arc<Fleet>, tally: Arc<Tally>) -> Self {
        Self { consumer, fleet, tally }
    }

    /// What the consumer counts.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.consumer.counters()
    }

    /// Takes messages until `shutdown`, then gives back what it has not seen to.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while let Some(outcome) = shutdown.run_until_cancelled(self.consumer.next()).await {
            match outcome {
                Ok(delivery) => {
                    self.take(delivery.event());
                    // An outage delays the answer; the end must not wait for it.
                    if let Some(Err(error)) = shutdown.run_until_cancelled(delivery.ack()).await {
                        warn!(%error, "a message will come again");
                    }
                }
                Err(ConsumerError::Closed) => break,
                Err(error) => self.tell(&error),
            }
        }
        self.consumer.close().await;
    }

    fn take(&self, event: &Event) {
        match event {
            Event::Sample(sample) => self.fleet.update(sample),
            Event::Gap(gap) => {
                let (reason, instance) = (gap.record.reason().as_str_name(), gap.lost_by);
                warn!(%instance, reason, count = gap.record.count, "a collector lost messages");
                self.tally.gap_numbers.fetch_add(gap.record.count, Ordering::Relaxed);
            }
            Event::MissingNumbers { instance_id, numbers } => {
                let count = numbers.end() - numbers.start() + 1;
                warn!(instance = %instance_id, count, ?numbers, "messages are missing, and nobody says why");
                self.tally.missing_numbers.fetch_add(count, Ordering::Relaxed);
            }
            Event::InstanceStarted { instance_id, first_sequence } => {
                info!(instance = %instance_id, first_sequence, "a collector is new");
                self.tally.instances.fetch_add(1, Ordering::Relaxed);
            }
            other => debug!(?other, "a newer schema's message"),
        }
    }

    fn tell(&self, problem: &ConsumerError) {
        let problem_in_full = report(problem);
        if let ConsumerError::OtherMajor { .. } = problem {
            self.tally.other_major.fetch_add(1, Ordering::Relaxed);
        }
        if problem.is_retryable() {
            warn!(error = problem_in_full, "the queue is not read; trying again");
        } else {
            error!(error = problem_in_full, "the queue wants somebody's attention");
        }
    }
}
