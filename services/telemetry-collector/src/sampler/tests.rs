#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::time::advance;

use super::*;
use crate::clock::manual::Time;
use crate::collectors::TelemetryCollector;
use crate::health::{Component, HealthBoard, HealthReader};
use crate::models::{CpuMetrics, Payload};
use crate::testing::{self, Scripted, cpu, metadata};

struct Running {
    outbox: Outbox,
    handle: SamplerHandle,
    snapshots: SnapshotReader,
    health: HealthReader,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    wall: Time,
}

/// A sampler that has taken its first sample.
async fn start(interval: &str, collect: impl FnMut() -> Result<CpuMetrics, &'static str> + Send + 'static) -> Running {
    let (clock, wall) = WallClock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let board = HealthBoard::new(clock.clone());
    let outbox = testing::outbox(clock.clone());
    let collectors: Vec<Box<dyn TelemetryCollector>> = vec![Box::new(Scripted(collect))];
    let interval = interval.parse().unwrap();
    let sampler =
        Sampler::new(collectors, metadata(), interval, outbox.clone(), clock, board.reporter(Component::Sampler));
    let (handle, snapshots) = (sampler.handle(), sampler.snapshots());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(sampler.run(shutdown.clone()));
    tokio::task::yield_now().await;
    Running { outbox, handle, snapshots, health: board.reader(), shutdown, task, wall }
}

impl Running {
    /// Lets `span` pass on both clocks, in small steps so that every timer fires in its turn.
    async fn pass(&self, span: Duration) {
        let step = Duration::from_millis(10);
        for _ in 0..span.as_millis() / step.as_millis() {
            self.wall.advance(step);
            advance(step).await;
            tokio::task::yield_now().await;
        }
    }

    fn samples(&self) -> usize {
        self.outbox.status().messages
    }

    fn sampler_status(&self) -> HealthStatus {
        self.health.states()[0].status
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_sample_comes_at_once_and_one_more_each_interval() {
    let running = start("1s", || Ok(cpu())).await;
    assert_eq!(running.samples(), 1);
    running.pass(Duration::from_secs(5)).await;
    assert_eq!(running.samples(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_sample_says_when_it_was_due_and_what_the_interval_was() {
    let running = start("1s", || Ok(cpu())).await;
    running.pass(Duration::from_secs(2)).await;
    let snapshot = running.snapshots.latest().unwrap();
    let Some(Payload::Data(data)) = &snapshot.message.payload else { panic!("{snapshot:?}") };
    let metadata = data.metadata.as_ref().unwrap();
    assert_eq!(metadata.scheduled_at.unwrap().to_string(), "1970-01-01T00:16:42Z");
    assert_eq!(metadata.interval.unwrap().to_string(), "1s");
    assert_eq!(metadata.hostname, "testhost");
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_is_the_latest_message_and_ages() {
    let running = start("1s", || Ok(cpu())).await;
    running.pass(Duration::from_millis(1_400)).await;
    let snapshot = running.snapshots.latest().unwrap();
    assert_eq!(snapshot.message.sequence, 2);
    assert_eq!(snapshot.age(), Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_snapshot_before_the_first_sample() {
    let running = start("1s", || Err("half a file")).await;
    assert!(running.snapshots.latest().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_new_interval_takes_effect_at_once_and_loses_nothing() {
    let running = start("1h", || Ok(cpu())).await;
    let previous = running.handle.set_interval("200ms".parse().unwrap());
    assert_eq!(previous.to_string(), "1h");
    running.pass(Duration::from_secs(1)).await;
    assert_eq!(running.samples(), 6);

    running.handle.set_interval("1s".parse().unwrap());
    running.pass(Duration::from_secs(3)).await;
    assert_eq!(running.samples(), 9);
}

#[tokio::test(start_paused = true)]
async fn ticks_that_pass_while_the_host_is_asleep_are_skipped() {
    let running = start("1s", || Ok(cpu())).await;
    advance(Duration::from_millis(10_500)).await;
    tokio::task::yield_now().await;
    assert_eq!(running.samples(), 2);
    running.pass(Duration::from_millis(600)).await;
    assert_eq!(running.samples(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_fails_takes_no_number_and_is_asked_again() {
    let calls = AtomicU64::new(0);
    let running = start("1s", move || match calls.fetch_add(1, Ordering::Relaxed) {
        1 | 2 => Err("half a file"),
        _ => Ok(cpu()),
    })
    .await;
    running.pass(Duration::from_millis(1_500)).await;
    assert_eq!((running.samples(), running.sampler_status()), (1, HealthStatus::NotServing));
    running.pass(Duration::from_secs(2)).await;
    assert_eq!((running.samples(), running.sampler_status()), (2, HealthStatus::Serving));
    assert_eq!(running.snapshots.latest().unwrap().message.sequence, 2);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_it() {
    let running = start("1s", || Ok(cpu())).await;
    running.shutdown.cancel();
    let samples = running.samples();
    running.task.await.unwrap();
    assert_eq!(samples, 1);
}
