//! The clock of the collector: samples each metrics group when it is due and passes the sample on.
//!
//! Each group has a schedule and a snapshot of its own, so groups can have different intervals and one that fails does
//! not affect the others. Due times lie on an absolute grid, so they do not drift. A due time that is missed is skipped
//! and counted. A sample that somebody asks for comes in between and leaves the grid alone. The sampler never waits for
//! the delivery of a sample.

mod schedule;
mod snapshots;

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
use snapshots::{Board, FLOOR, GroupFailure, GroupState};
pub use snapshots::{GroupReport, Snapshot, SnapshotReader};

use crate::clock::WallClock;
use crate::collectors::TelemetryCollector;
use crate::errors::{TelemetryError, TelemetryResult, report};
use crate::events;
use crate::health::HealthReporter;
use crate::interval::Interval;
use crate::models::{TelemetryData, TelemetryMetadata, TelemetryMetrics};

/// Takes samples.
pub struct Sampler {
    collectors: Vec<Box<dyn TelemetryCollector>>,
    recorder: Recorder,
    clock: WallClock,
    health: HealthReporter,
    interval: Arc<watch::Sender<Interval>>,
    /// Groups without a sample from this time on are to be sampled.
    wanted_since: Arc<watch::Sender<Instant>>,
}

/// Changes the interval of a running sampler.
#[derive(Debug, Clone)]
pub struct SamplerHandle {
    interval: Arc<watch::Sender<Interval>>,
}

/// The metrics groups of a running sampler.
struct Groups(Vec<Group>);

/// A metrics group: how it is read, and when.
struct Group {
    collector: Box<dyn TelemetryCollector>,
    schedule: Schedule,
    /// Since when somebody waits for a sample.
    wanted: Option<Instant>,
    /// When the latest sample beside the schedule was taken.
    extra: Option<Instant>,
    /// Why the latest sample could not be taken.
    failure: Option<TelemetryError>,
}

/// Turns what collectors return into messages.
struct Recorder {
    /// What is the same in every sample.
    metadata: TelemetryMetadata,
    outbox: Outbox,
    board: watch::Sender<Board>,
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
        let board = collectors.iter().map(|collector| (collector.name(), GroupState::default())).collect();
        Self {
            collectors,
            recorder: Recorder { metadata, outbox, board: watch::Sender::new(board) },
            clock,
            health,
            interval: Arc::new(watch::Sender::new(interval)),
            wanted_since: Arc::new(watch::Sender::new(Instant::now())),
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
        SnapshotReader::new(self.recorder.board.subscribe(), Arc::clone(&self.wanted_since))
    }

    /// Samples until `shutdown`. The first sample of each group is taken at once. A sample that is being taken at
    /// shutdown is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { collectors, recorder, clock, health, .. } = self;
        let mut interval = self.interval.subscribe();
        let mut wanted_since = self.wanted_since.subscribe();
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
                Ok(()) = wanted_since.changed() => groups.want(*wanted_since.borrow_and_update(), &recorder.board.borrow()),
            }
        }
    }
}

impl Groups {
    fn new(collectors: Vec<Box<dyn TelemetryCollector>>, schedule: Schedule) -> Self {
        let group = |collector: Box<dyn TelemetryCollector>| {
            events::sampling_began(collector.name());
            Group::new(collector, schedule.clone())
        };
        Self(collectors.into_iter().map(group).collect())
    }

    fn change_period(&mut self, period: Duration) {
        let now = Instant::now();
        for group in &mut self.0 {
            let earliest = group.extra.map_or(now, |extra| now.max(extra + FLOOR));
            group.schedule.change_period(period, earliest);
        }
    }

    /// Somebody waits for samples from `since` on.
    fn want(&mut self, since: Instant, board: &Board) {
        let now = Instant::now();
        for group in &mut self.0 {
            if board.get(group.collector.name()).is_some_and(|state| state.is_wanted(since, now)) {
                group.wanted.get_or_insert(now);
            }
        }
    }

    /// Waits until the next sample of any group is due.
    fn one_is_due(&self) -> impl Future<Output = ()> + use<> {
        let next = self.0.iter().map(Group::due).min();
        async move {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        }
    }

    async fn sample_due(&mut self, recorder: &Recorder, clock: &WallClock) {
        let now = Instant::now();
        for group in self.0.iter_mut().filter(|group| group.due() <= now) {
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
    fn new(collector: Box<dyn TelemetryCollector>, schedule: Schedule) -> Self {
        Self { collector, schedule, wanted: None, extra: None, failure: None }
    }

    /// When the next sample is due. Whoever waits gets the regular one if it comes soon.
    fn due(&self) -> Instant {
        let next = self.schedule.next();
        self.wanted.filter(|wanted| *wanted + FLOOR < next).unwrap_or(next)
    }

    /// The tick that is due; the schedule moves on to the next one, unless the tick is one that somebody asked for.
    fn next_tick(&mut self, clock: &WallClock) -> Tick {
        let due = self.due();
        self.wanted = None;
        if due < self.schedule.next() {
            self.extra = Some(Instant::now());
            return Tick { scheduled_at: clock.now() - due.elapsed(), interval: self.schedule.period() };
        }
        events::tick_began(self.collector.name(), due.elapsed());
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
        if let Err(error) = &recorded {
            recorder.record_failure(name, error);
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
        let snapshot = Some(Snapshot { group, message, taken: Instant::now() });
        self.board.send_modify(|board| {
            board.insert(group, GroupState { snapshot, failure: None });
        });
        Ok(())
    }

    fn record_failure(&self, group: &'static str, error: &TelemetryError) {
        let failure = GroupFailure { report: report(error), at: Instant::now() };
        self.board.send_modify(|board| board.entry(group).or_default().failure = Some(failure));
    }
}

impl SamplerHandle {
    /// Changes the interval of every group at once: the next sample is due one `interval` after the last one. Returns the
    /// previous interval.
    pub fn set_interval(&self, interval: Interval) -> Interval {
        self.interval.send_replace(interval)
    }
}

#[cfg(test)]
mod tests;
