//! The clock of the collector: takes a sample at every tick and hands it on.
//!
//! Ticks lie on an absolute schedule, so nothing that takes time makes them drift. A tick that could not be kept is
//! skipped and counted; ticks never pile up. What happens to a sample afterwards does not hold the sampler up.

mod schedule;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use telemetry_outbox::Outbox;
use telemetry_proto::v1::HealthStatus;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use schedule::Schedule;

use crate::clock::WallClock;
use crate::collectors::TelemetryCollector;
use crate::errors::TelemetryResult;
use crate::events;
use crate::health::HealthReporter;
use crate::interval::Interval;
use crate::models::{TelemetryData, TelemetryMessage, TelemetryMetadata, TelemetryMetrics};

/// Takes samples.
pub struct Sampler {
    groups: Vec<Group>,
    recorder: Recorder,
    clock: WallClock,
    health: HealthReporter,
    interval: Arc<watch::Sender<Interval>>,
}

/// Steers a sampler.
#[derive(Debug, Clone)]
pub struct SamplerHandle {
    interval: Arc<watch::Sender<Interval>>,
}

/// Sees what a sampler saw last.
#[derive(Debug, Clone)]
pub struct SnapshotReader {
    latest: watch::Receiver<Option<Snapshot>>,
}

/// The latest message of a sampler.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The message as it was given to the outbox.
    pub message: Arc<TelemetryMessage>,
    taken: Instant,
}

struct Group {
    collector: Box<dyn TelemetryCollector>,
    failing: bool,
}

/// Makes messages of what collectors give.
struct Recorder {
    /// What is the same in every sample.
    metadata: TelemetryMetadata,
    outbox: Outbox,
    latest: watch::Sender<Option<Snapshot>>,
}

/// One tick of the schedule.
#[derive(Clone, Copy)]
struct Tick {
    scheduled_at: SystemTime,
    interval: Duration,
}

impl Sampler {
    /// A sampler that asks `collectors` at every `interval` and appends to `outbox`. `metadata` is what every sample
    /// says of its host; the fields that differ from sample to sample are filled in.
    #[must_use]
    pub fn new(
        collectors: Vec<Box<dyn TelemetryCollector>>,
        metadata: TelemetryMetadata,
        interval: Interval,
        outbox: Outbox,
        clock: WallClock,
        health: HealthReporter,
    ) -> Self {
        Self {
            groups: collectors.into_iter().map(|collector| Group { collector, failing: false }).collect(),
            recorder: Recorder { metadata, outbox, latest: watch::Sender::new(None) },
            clock,
            health,
            interval: Arc::new(watch::Sender::new(interval)),
        }
    }

    /// Steers this sampler.
    #[must_use]
    pub fn handle(&self) -> SamplerHandle {
        SamplerHandle { interval: Arc::clone(&self.interval) }
    }

    /// Sees what this sampler sees.
    #[must_use]
    pub fn snapshots(&self) -> SnapshotReader {
        SnapshotReader { latest: self.recorder.latest.subscribe() }
    }

    /// Samples until `shutdown`. The first sample is taken at once; one that is under way is finished.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut interval = self.interval.subscribe();
        let mut schedule = Schedule::new(Instant::now(), interval.borrow_and_update().as_duration());
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Ok(()) = interval.changed() => {
                    schedule.change_period(interval.borrow_and_update().as_duration(), Instant::now());
                }
                () = sleep_until(schedule.next()) => {
                    let due = schedule.next();
                    let skipped = schedule.advance(Instant::now());
                    if skipped > 0 {
                        events::ticks_skipped(skipped);
                    }
                    let scheduled_at = self.clock.now() - due.elapsed();
                    self.tick(Tick { scheduled_at, interval: schedule.period() }).await;
                }
            }
        }
    }

    async fn tick(&mut self, tick: Tick) {
        let mut failure = None;
        for group in &mut self.groups {
            let name = group.collector.name();
            let begun = Instant::now();
            let collected = group.collector.collect().instrument(tracing::info_span!("collect", group = name)).await;
            let took = begun.elapsed();
            match collected.and_then(|metrics| self.recorder.record(name, metrics, tick, took)) {
                Ok(()) => {
                    if std::mem::take(&mut group.failing) {
                        events::collection_recovered(name);
                    }
                }
                Err(error) => {
                    let first = !std::mem::replace(&mut group.failing, true);
                    events::collection_failed(name, &error, first);
                    failure = Some(error);
                }
            }
        }
        match failure {
            None => self.health.serving(),
            Some(error) => self.health.failing(HealthStatus::NotServing, &error),
        }
    }
}

impl Recorder {
    fn record(
        &self,
        group: &'static str,
        metrics: TelemetryMetrics,
        tick: Tick,
        took: Duration,
    ) -> TelemetryResult<()> {
        let metadata = TelemetryMetadata {
            interval: Some(tick.interval.into()),
            scheduled_at: Some(tick.scheduled_at.into()),
            collection_duration: Some(took.into()),
            ..self.metadata.clone()
        };
        let message = self.outbox.append(TelemetryData::new(metadata, metrics))?;
        events::sampled(group, message.sequence, took, self.outbox.status());
        self.latest.send_replace(Some(Snapshot { message: Arc::new(message), taken: Instant::now() }));
        Ok(())
    }
}

impl SamplerHandle {
    /// Puts `interval` in force at once: the next sample comes that long after the last one. Gives back what was in
    /// force.
    pub fn set_interval(&self, interval: Interval) -> Interval {
        let previous = self.interval.send_replace(interval);
        if interval != previous {
            events::interval_changed(previous, interval);
        }
        previous
    }
}

impl SnapshotReader {
    /// The latest message; none before the first sample.
    #[must_use]
    pub fn latest(&self) -> Option<Snapshot> {
        self.latest.borrow().clone()
    }
}

impl Snapshot {
    /// Time since the sample was taken.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.taken.elapsed()
    }
}

#[cfg(test)]
mod tests;
