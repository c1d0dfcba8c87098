#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use telemetry_outbox::Outbox;
use telemetry_redis::RetrySettings;

use super::*;
use crate::clock::WallClock;
use crate::errors::{PublishingErrorKind, TelemetryResult};
use crate::health::{Component, HealthBoard, HealthReader};
use crate::publishers::Acknowledgement;
use crate::testing::{self, sample};

/// Fails as it is told, then takes everything.
#[derive(Default)]
struct FlakyPublisher {
    failures: Mutex<VecDeque<PublishingErrorKind>>,
    attempts: Mutex<Vec<Vec<u64>>>,
}

impl FlakyPublisher {
    fn failing(failures: impl IntoIterator<Item = PublishingErrorKind>) -> Arc<Self> {
        Arc::new(Self { failures: Mutex::new(failures.into_iter().collect()), attempts: Mutex::default() })
    }

    fn attempts(&self) -> Vec<Vec<u64>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl TelemetryPublisher for FlakyPublisher {
    fn destination(&self) -> &str {
        "flaky"
    }

    async fn publish_batch(&self, batch: &Batch) -> TelemetryResult<Receipt> {
        self.attempts.lock().unwrap().push(batch.messages.iter().map(|message| message.sequence).collect());
        match self.failures.lock().unwrap().pop_front() {
            Some(kind) => Err(TelemetryError::publishing("push", kind, "told to fail")),
            None => Ok(Receipt::Taken(Acknowledgement::default())),
        }
    }

    async fn health_check(&self) -> TelemetryResult<()> {
        match self.failures.lock().unwrap().pop_front() {
            Some(kind) => Err(TelemetryError::publishing("ping", kind, "told to fail")),
            None => Ok(()),
        }
    }

    async fn close(&self) {}
}

fn outbox() -> Outbox {
    testing::outbox(WallClock::system())
}

fn delivery(outbox: &Outbox, publisher: &Arc<FlakyPublisher>) -> (Delivery, HealthReader) {
    let board = HealthBoard::new(WallClock::system());
    let retry = RetrySettings {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(5),
        rejected: Duration::from_secs(30),
    };
    let backoff = Backoff::new(retry);
    let publisher: Arc<dyn TelemetryPublisher> = Arc::<FlakyPublisher>::clone(publisher);
    let backlog = Backlog::new(outbox.clone(), None);
    (Delivery::new(backlog, publisher, backoff, board.reporter(Component::Sink)), board.reader())
}

fn sink_status(health: &HealthReader) -> HealthStatus {
    health.states()[1].status
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_offered_until_it_is_acknowledged_and_nothing_overtakes_it() {
    let publisher = FlakyPublisher::failing([PublishingErrorKind::Unreachable, PublishingErrorKind::TimedOut]);
    let outbox = outbox();
    let (delivery, health) = delivery(&outbox, &publisher);
    outbox.append(sample()).unwrap();
    outbox.append(sample()).unwrap();
    outbox.close();
    delivery.run().await;
    assert_eq!(publisher.attempts(), [[1, 2], [1, 2], [1, 2]]);
    assert_eq!(outbox.status().messages, 0);
    assert_eq!(sink_status(&health), HealthStatus::Serving);
}

#[tokio::test(start_paused = true)]
async fn the_sink_is_degraded_by_what_mends_itself_and_down_by_what_does_not() {
    for (kind, status) in [
        (PublishingErrorKind::Refused, HealthStatus::Degraded),
        (PublishingErrorKind::Rejected, HealthStatus::NotServing),
    ] {
        let publisher = FlakyPublisher::failing([kind]);
        let outbox = outbox();
        let (delivery, mut health) = delivery(&outbox, &publisher);
        outbox.append(sample()).unwrap();
        let running = tokio::spawn(delivery.run());
        assert!(health.changed().await);
        assert_eq!(sink_status(&health), status);
        assert_eq!(health.states()[1].last_error.as_deref(), Some(&*format!("cannot push: {kind}: told to fail")));
        outbox.close();
        running.await.unwrap();
        assert_eq!(sink_status(&health), HealthStatus::Serving);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_a_long_wait_short() {
    let publisher = FlakyPublisher::failing([PublishingErrorKind::Rejected]);
    let outbox = outbox();
    let (delivery, mut health) = delivery(&outbox, &publisher);
    outbox.append(sample()).unwrap();
    let running = tokio::spawn(delivery.run());
    assert!(health.changed().await);
    let stopped = Instant::now();
    outbox.close();
    running.await.unwrap();
    assert_eq!(stopped.elapsed(), Duration::ZERO);
    assert_eq!(publisher.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_an_attempt_still_leaves_time_for_the_next() {
    let publisher = FlakyPublisher::failing([PublishingErrorKind::Rejected; 3]);
    let outbox = outbox();
    let (delivery, _health) = delivery(&outbox, &publisher);
    outbox.append(sample()).unwrap();
    outbox.close();
    let stopped = Instant::now();
    delivery.run().await;
    assert!(stopped.elapsed() <= 3 * LAST_ATTEMPTS_PERIOD, "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_has_nothing_to_do_is_asked_whether_it_is_there() {
    let publisher = FlakyPublisher::failing([PublishingErrorKind::Unreachable]);
    let outbox = outbox();
    let (delivery, mut health) = delivery(&outbox, &publisher);
    tokio::spawn(delivery.run());
    assert!(health.changed().await);
    assert_eq!(sink_status(&health), HealthStatus::Degraded);
    assert!(health.changed().await);
    assert_eq!(sink_status(&health), HealthStatus::Serving);
    assert!(publisher.attempts().is_empty());
}
