//! The clock of the collector: samples each metrics group when it is due and passes the sample on.
//!
//! Each group has a schedule and a snapshot of its own, so groups can have different intervals and one that fails does
//! not affect the others. Due times lie on an absolute grid, so they do not drift. A due time that is missed is skipped
//! and counted. The sampler never waits for the delivery of a sample.

mod schedule;

use std::collections::BTreeMap;
use std::future::pending;
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
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::HealthReporter;
use crate::interval::Interval;
use crate::models::{TelemetryData, TelemetryMessage, TelemetryMetadata, TelemetryMetrics};

/// Takes samples.
pub struct Sampler {
    collectors: Vec<Box<dyn TelemetryCollector>>,
    recorder: Recorder,
    clock: WallClock,
    health: HealthReporter,
    interval: Arc<watch::Sender<Interval>>,
}

/// Changes the interval of a running sampler.
#[derive(Debug, Clone)]
pub struct SamplerHandle {
    interval: Arc<watch::Sender<Interval>>,
}

/// Reads the latest message of each metrics group.
#[derive(Debug, Clone)]
pub struct SnapshotReader {
    latest: watch::Receiver<BTreeMap<&'static str, Snapshot>>,
}

/// The latest message of one metrics group.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Name of the group as the schema has it ("cpu").
    pub group: &'static str,
    /// The message as it was given to the outbox.
    pub message: Arc<TelemetryMessage>,
    taken: Instant,
}

/// The metrics groups of a running sampler.
struct Groups(Vec<Group>);

/// A metrics group: how it is read, and when.
struct Group {
    collector: Box<dyn TelemetryCollector>,
    schedule: Schedule,
    /// Why the latest sample could not be taken.
    failure: Option<TelemetryError>,
}

/// Turns what collectors return into messages.
struct Recorder {
    /// What is the same in every sample.
    metadata: TelemetryMetadata,
    outbox: Outbox,
    latest: watch::Sender<BTreeMap<&'static str, Snapshot>>,
}

/// When a sample was due, and how often its group is sampled.
#[derive(Clone, Copy)]
struct Tick {
    scheduled_at: SystemTime,
    interval: Duration,
}

impl Sampler {
    /// A sampler that reads each of `collectors` once every `interval` and appends the samples to `outbox`. `metadata`
    /// is what every sample says about its host; the fields that differ from sample to sample are filled in.
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
            collectors,
            recorder: Recorder { metadata, outbox, latest: watch::Sender::default() },
            clock,
            health,
            interval: Arc::new(watch::Sender::new(interval)),
        }
    }

    /// Changes the interval of this sampler.
    #[must_use]
    pub fn handle(&self) -> SamplerHandle {
        SamplerHandle { interval: Arc::clone(&self.interval) }
    }

    /// Reads the latest messages of this sampler.
    #[must_use]
    pub fn snapshots(&self) -> SnapshotReader {
        SnapshotReader { latest: self.recorder.latest.subscribe() }
    }

    /// Samples until `shutdown`. The first sample of each group is taken at once. A sample that is being taken at
    /// shutdown is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { collectors, recorder, clock, health, .. } = self;
        let mut interval = self.interval.subscribe();
        let period = interval.borrow_and_update().as_duration();
        let mut groups = Groups::new(collectors, Schedule::new(Instant::now(), period));
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Ok(()) = interval.changed() => groups.change_period(interval.borrow_and_update().as_duration()),
                () = groups.one_is_due() => {
                    groups.sample_due(&recorder, &clock).await;
                    groups.report_to(&health);
                }
            }
        }
    }
}

impl Groups {
    fn new(collectors: Vec<Box<dyn TelemetryCollector>>, schedule: Schedule) -> Self {
        let group = |collector| Group { collector, schedule: schedule.clone(), failure: None };
        Self(collectors.into_iter().map(group).collect())
    }

    fn change_period(&mut self, period: Duration) {
        let now = Instant::now();
        self.0.iter_mut().for_each(|group| group.schedule.change_period(period, now));
    }

    /// Waits until the next sample of any group is due.
    fn one_is_due(&self) -> impl Future<Output = ()> + use<> {
        let next = self.0.iter().map(|group| group.schedule.next()).min();
        async move {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        }
    }

    async fn sample_due(&mut self, recorder: &Recorder, clock: &WallClock) {
        let now = Instant::now();
        for group in self.0.iter_mut().filter(|group| group.schedule.next() <= now) {
            let tick = group.next_tick(clock);
            group.sample(recorder, tick).await;
        }
    }

    /// Not serving when every group fails, degraded when some do.
    fn report_to(&self, health: &HealthReporter) {
        let failures: Vec<_> = self.0.iter().filter_map(|group| group.failure.as_ref()).collect();
        let all_fail = failures.len() == self.0.len();
        match failures.last() {
            None => health.serving(),
            Some(failure) if all_fail => health.failing(HealthStatus::NotServing, failure),
            Some(failure) => health.failing(HealthStatus::Degraded, failure),
        }
    }
}

impl Group {
    /// The tick that is due; the schedule moves on to the next one.
    fn next_tick(&mut self, clock: &WallClock) -> Tick {
        let due = self.schedule.next();
        let skipped = self.schedule.advance(Instant::now());
        if skipped > 0 {
            events::ticks_skipped(self.collector.name(), skipped);
        }
        Tick { scheduled_at: clock.now() - due.elapsed(), interval: self.schedule.period() }
    }

    async fn sample(&mut self, recorder: &Recorder, tick: Tick) {
        let name = self.collector.name();
        let begun = Instant::now();
        let collected = self.collector.collect().instrument(tracing::info_span!("collect", group = name)).await;
        let took = begun.elapsed();
        let recorded = collected.and_then(|metrics| recorder.record(name, metrics, tick, took));
        match (&recorded, &self.failure) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => events::collection_recovered(name),
            (Err(error), earlier) => events::collection_failed(name, error, earlier.is_none()),
        }
        self.failure = recorded.err();
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
        let snapshot = Snapshot { group, message: Arc::new(message), taken: Instant::now() };
        self.latest.send_modify(|latest| {
            latest.insert(group, snapshot);
        });
        Ok(())
    }
}

impl SamplerHandle {
    /// Changes the interval of every group at once: the next sample is due one `interval` after the last one. Returns the
    /// previous interval.
    pub fn set_interval(&self, interval: Interval) -> Interval {
        let previous = self.interval.send_replace(interval);
        if interval != previous {
            events::interval_changed(previous, interval);
        }
        previous
    }
}

impl SnapshotReader {
    /// The latest message of each group that has been sampled, in ascending order of the group's name.
    #[must_use]
    pub fn latest(&self) -> Vec<Snapshot> {
        self.latest.borrow().values().cloned().collect()
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
