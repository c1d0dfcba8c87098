#![allow(clippy::unwrap_used)]

mod fresh;

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

/// A group that is sampled by calling `next`.
fn group(
    name: &'static str,
    next: impl FnMut() -> Result<CpuMetrics, &'static str> + Send + 'static,
) -> Box<dyn TelemetryCollector> {
    Box::new(Scripted { name, next })
}

/// A sampler of the group "cpu" that has taken its first sample.
async fn start(interval: &str, next: impl FnMut() -> Result<CpuMetrics, &'static str> + Send + 'static) -> Running {
    start_groups(interval, vec![group("cpu", next)]).await
}

/// A sampler of these groups that has taken its first samples.
async fn start_groups(interval: &str, collectors: Vec<Box<dyn TelemetryCollector>>) -> Running {
    let (clock, wall) = WallClock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let board = HealthBoard::new(clock.clone());
    let outbox = testing::outbox(clock.clone());
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

    /// The only snapshot.
    fn snapshot(&self) -> Snapshot {
        let mut latest = self.snapshots.latest();
        assert_eq!(latest.len(), 1, "{latest:?}");
        latest.remove(0)
    }

    /// Group, sequence number and age in milliseconds of each snapshot.
    fn snapshots(&self) -> Vec<(&'static str, u64, u128)> {
        let shown = |snapshot: Snapshot| (snapshot.group, snapshot.message.sequence, snapshot.age().as_millis());
        self.snapshots.latest().into_iter().map(shown).collect()
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
async fn a_sample_has_its_due_time_and_interval() {
    let running = start("1s", || Ok(cpu())).await;
    running.pass(Duration::from_secs(2)).await;
    let snapshot = running.snapshot();
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
    let snapshot = running.snapshot();
    assert_eq!(snapshot.message.sequence, 2);
    assert_eq!(snapshot.age(), Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_snapshot_before_the_first_sample() {
    let running = start("1s", || Err("half a file")).await;
    assert!(running.snapshots.latest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_interval_takes_effect_at_once_and_skips_no_sample() {
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
async fn a_group_that_fails_takes_no_number_and_is_sampled_again() {
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
    assert_eq!(running.snapshot().message.sequence, 2);
}

/// Fails at the calls in `failing`, counted from 0.
fn failing_at(failing: std::ops::Range<u64>) -> impl FnMut() -> Result<CpuMetrics, &'static str> + Send {
    let mut calls = 0..;
    move || match calls.next() {
        Some(call) if failing.contains(&call) => Err("half a file"),
        _ => Ok(cpu()),
    }
}

#[tokio::test(start_paused = true)]
async fn each_group_has_a_snapshot_of_its_own_in_the_order_of_their_names() {
    let running = start_groups("1s", vec![group("disk", || Ok(cpu())), group("cpu", || Ok(cpu()))]).await;
    assert_eq!(running.snapshots(), [("cpu", 2, 0), ("disk", 1, 0)]);
    running.pass(Duration::from_millis(1_300)).await;
    assert_eq!(running.snapshots(), [("cpu", 4, 300), ("disk", 3, 300)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_fails_keeps_its_last_snapshot_while_the_others_go_on() {
    let running = start_groups("1s", vec![group("cpu", failing_at(1..3)), group("disk", || Ok(cpu()))]).await;
    running.pass(Duration::from_millis(2_400)).await;
    assert_eq!(running.snapshots(), [("cpu", 1, 2_400), ("disk", 4, 400)]);
    assert_eq!(running.sampler_status(), HealthStatus::Degraded);
    assert!(running.health.is_live(), "a restart would lose the groups that work");

    running.pass(Duration::from_secs(1)).await;
    assert_eq!(running.snapshots(), [("cpu", 5, 400), ("disk", 6, 400)]);
    assert_eq!(running.sampler_status(), HealthStatus::Serving);
}

#[tokio::test(start_paused = true)]
async fn the_sampler_is_not_serving_when_every_group_fails() {
    let running = start_groups("1s", vec![group("cpu", failing_at(0..2)), group("disk", failing_at(0..1))]).await;
    assert_eq!(running.sampler_status(), HealthStatus::NotServing);
    running.pass(Duration::from_secs(1)).await;
    assert_eq!(running.sampler_status(), HealthStatus::Degraded);
    running.pass(Duration::from_secs(1)).await;
    assert_eq!(running.sampler_status(), HealthStatus::Serving);
}

#[tokio::test(start_paused = true)]
async fn a_new_interval_applies_to_every_group() {
    let running = start_groups("1h", vec![group("cpu", || Ok(cpu())), group("disk", || Ok(cpu()))]).await;
    running.handle.set_interval("200ms".parse().unwrap());
    running.pass(Duration::from_secs(1)).await;
    assert_eq!(running.samples(), 12);
}

#[tokio::test(start_paused = true)]
async fn groups_with_different_periods_are_each_sampled_when_due() {
    let (clock, _time) = WallClock::manual(SystemTime::UNIX_EPOCH);
    let (board, outbox) = (HealthBoard::new(clock.clone()), testing::outbox(clock.clone()));
    let recorder = Recorder { metadata: metadata(), outbox, board: watch::Sender::default() };
    let start = Instant::now();
    let every = |seconds, name, next| Group::new(group(name, next), Schedule::new(start, Duration::from_secs(seconds)));
    let mut groups = Groups(vec![every(1, "cpu", failing_at(0..0)), every(3, "disk", failing_at(1..2))]);
    let mut rounds = Vec::new();
    for _ in 0..7 {
        groups.one_is_due().await;
        groups.sample_due(&recorder, &clock).await;
        groups.report_to(&board.reporter(Component::Sampler));
        let due = |group: &Group| group.schedule.next() - group.schedule.period() == Instant::now();
        let sampled: Vec<_> = groups.0.iter().filter(|group| due(group)).map(|group| group.collector.name()).collect();
        rounds.push((start.elapsed().as_secs(), sampled, board.reader().states()[0].status));
    }
    let (cpu, both) = (vec!["cpu"], vec!["cpu", "disk"]);
    let (serving, degraded) = (HealthStatus::Serving, HealthStatus::Degraded);
    let expected = [
        (0, both.clone(), serving),
        (1, cpu.clone(), serving),
        (2, cpu.clone(), serving),
        (3, both.clone(), degraded),
        // The group that fails is not due, and the others do not hide its failure.
        (4, cpu.clone(), degraded),
        (5, cpu, degraded),
        (6, both, serving),
    ];
    assert_eq!(rounds, expected);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_it() {
    let running = start("1s", || Ok(cpu())).await;
    running.shutdown.cancel();
    let samples = running.samples();
    running.task.await.unwrap();
    assert_eq!(samples, 1);
}
