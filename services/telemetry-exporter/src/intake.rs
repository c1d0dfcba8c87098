//! Takes messages from the queue and updates the fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use telemetry_client::consumer::Counters;
use telemetry_client::{ConsumerError, Event, QueueConsumer};
use telemetry_process::report;
use telemetry_settings::InvalidSetting;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::fleet::Fleet;

/// Counters of events in the queue, in addition to those of the consumer.
#[derive(Debug, Default)]
pub struct Tally {
    gap_numbers: AtomicU64,
    missing_numbers: AtomicU64,
    instances: AtomicU64,
    other_major: AtomicU64,
    control_events: AtomicU64,
}

impl Tally {
    /// Number of lost messages that gap records report.
    pub fn gap_numbers(&self) -> u64 {
        self.gap_numbers.load(Ordering::Relaxed)
    }

    /// Number of messages that did not arrive and that no gap record reports.
    pub fn missing_numbers(&self) -> u64 {
        self.missing_numbers.load(Ordering::Relaxed)
    }

    /// Number of collector instances seen. Each start of a collector is a new instance.
    pub fn instances(&self) -> u64 {
        self.instances.load(Ordering::Relaxed)
    }

    /// Number of messages with another major version of the schema.
    pub fn other_major(&self) -> u64 {
        self.other_major.load(Ordering::Relaxed)
    }

    /// Number of changes of collectors by their control API.
    pub fn control_events(&self) -> u64 {
        self.control_events.load(Ordering::Relaxed)
    }
}

/// Takes messages from one queue.
#[derive(Debug)]
pub struct Intake {
    consumer: QueueConsumer,
    fleet: Arc<Fleet>,
    tally: Arc<Tally>,
}

impl Intake {
    /// Creates an intake from `consumer` into `fleet`.
    #[must_use]
    pub fn new(consumer: QueueConsumer, fleet: Arc<Fleet>, tally: Arc<Tally>) -> Self {
        Self { consumer, fleet, tally }
    }

    /// The counters of the consumer.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.consumer.counters()
    }

    /// Takes messages until `shutdown`, then returns unacknowledged ones to the queue.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while let Some(outcome) = shutdown.run_until_cancelled(self.consumer.next()).await {
            match outcome {
                Ok(delivery) => {
                    self.take(delivery.event());
                    // During an outage the acknowledgement takes long. Shutdown must not wait for it.
                    if let Some(Err(error)) = shutdown.run_until_cancelled(delivery.ack()).await {
                        warn!(%error, "cannot acknowledge a message; it will be delivered again");
                    }
                }
                Err(ConsumerError::Closed) => break,
                Err(error) => self.tell(&error.name_setting(InvalidSetting::from)),
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
            Event::Control(control) => {
                let (host, action) = (&control.change.hostname, control.change.action().as_str_name());
                let by = control.change.caller.as_ref().map_or("", |caller| caller.name.as_str());
                info!(host, action, by, reason = control.change.reason, "a collector was changed");
                self.tally.control_events.fetch_add(1, Ordering::Relaxed);
            }
            Event::MissingNumbers { instance_id, numbers } => {
                let count = numbers.end() - numbers.start() + 1;
                warn!(instance = %instance_id, count, ?numbers, "messages are missing, and no gap record reports them");
                self.tally.missing_numbers.fetch_add(count, Ordering::Relaxed);
            }
            Event::InstanceStarted { instance_id, first_sequence } => {
                info!(instance = %instance_id, first_sequence, "new collector instance");
                self.tally.instances.fetch_add(1, Ordering::Relaxed);
            }
            other => debug!(?other, "ignored a message of a newer schema"),
        }
    }

    fn tell(&self, problem: &ConsumerError) {
        let problem_in_full = report(problem);
        if let ConsumerError::OtherMajor { .. } = problem {
            self.tally.other_major.fetch_add(1, Ordering::Relaxed);
        }
        if problem.is_retryable() {
            warn!(error = problem_in_full, "cannot read the queue; retrying");
        } else {
            error!(error = problem_in_full, "a problem with the queue needs attention");
        }
    }
}
