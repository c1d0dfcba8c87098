//! The sampling interval in force: who changed it, for how long, and the account of each change.
//!
//! A change is in force at once and whatever the disk or the destination does. Each has a log line, counts in a metric and is
//! a message of its own. With a state file it survives a restart.

mod keeper;
mod rate;
mod state_file;

use std::fmt::Display;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use telemetry_outbox::Outbox;
use telemetry_proto::v1::{Caller, ControlAction, ControlEvent};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::keeper::Keeper;
use self::rate::Rate;
use self::state_file::Kept;
pub use self::state_file::Saved;
use crate::clock::WallClock;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::HealthReporter;
use crate::interval::Interval;
use crate::models::TelemetryMetadata;
use crate::sampler::SamplerHandle;

/// Shortest time that a change can last.
pub const MIN_TTL: Duration = Duration::from_secs(1);
/// Longest time that a change can last, unless it is meant to stay.
pub const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most bytes of a reason.
pub const MAX_REASON_BYTES: usize = 256;
/// Time that the disk has to give the state file at start.
const LOAD_LIMIT: Duration = Duration::from_millis(500);

/// How a running collector may be changed.
#[derive(Debug, Clone)]
pub struct SteeringSettings {
    /// Where a change is kept over a restart; `None` = nowhere.
    pub state_file: Option<PathBuf>,
    /// Changes a second that are accepted.
    pub max_changes_per_second: usize,
}

/// Changes the sampling interval. A clone is the same steering.
#[derive(Debug, Clone)]
pub struct Steering {
    shared: Arc<Shared>,
}

/// Reads the interval in force.
#[derive(Debug, Clone)]
pub struct SteeringReader {
    in_force: watch::Receiver<InForce>,
}

/// The interval in force, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The interval.
    pub interval: Interval,
    /// The interval of the settings.
    pub default: Interval,
    /// Where the interval comes from.
    pub origin: Origin,
    /// Since when it is in force.
    pub since: SystemTime,
    /// When the interval of the settings returns by itself.
    pub reverts_at: Option<SystemTime>,
}

/// Where the interval in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The settings.
    Settings,
    /// A call of the control API.
    Control,
}

/// A wish for another interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The new interval.
    pub interval: Interval,
    /// How long it is in force; `None` = until the next change.
    pub ttl: Option<Duration>,
    /// Why, in the words of the caller.
    pub reason: String,
}

/// What a change has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The interval before.
    pub previous: Interval,
    /// What is in force now.
    pub in_force: InForce,
}

#[derive(Debug)]
struct Shared {
    sampler: SamplerHandle,
    outbox: Outbox,
    clock: WallClock,
    hostname: String,
    host_id: String,
    state: Mutex<State>,
    in_force: watch::Sender<InForce>,
    deadline: watch::Sender<Option<Instant>>,
    to_keep: watch::Sender<Kept>,
}

#[derive(Debug)]
struct State {
    rate: Rate,
    /// Why the interval in force was set.
    reason: String,
}

impl Steering {
    /// Steers `sampler`, which begins with the interval `default`, on the host that `metadata` tells of. Changes are told to
    /// `outbox`.
    #[must_use]
    pub fn new(
        sampler: SamplerHandle,
        outbox: Outbox,
        clock: WallClock,
        metadata: &TelemetryMetadata,
        default: Interval,
        max_changes_per_second: usize,
    ) -> Self {
        let since = clock.now();
        let in_force = InForce { interval: default, default, origin: Origin::Settings, since, reverts_at: None };
        let shared = Shared {
            sampler,
            outbox,
            clock,
            hostname: metadata.hostname.clone(),
            host_id: metadata.host_id.clone(),
            state: Mutex::new(State { rate: Rate::new(max_changes_per_second), reason: String::new() }),
            in_force: watch::Sender::new(in_force),
            deadline: watch::Sender::default(),
            to_keep: watch::Sender::new(Kept::AsItIs),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Puts another interval in force. It replaces an earlier change with its time limit.
    ///
    /// # Errors
    /// [`Configuration`](TelemetryError::Configuration) when the time limit or the reason is out of range,
    /// [`TooManyChanges`](TelemetryError::TooManyChanges), or [`Stopping`](TelemetryError::Stopping).
    pub fn set(&self, change: Change, caller: Caller) -> TelemetryResult<Changed> {
        check_ttl(change.ttl)?;
        check_reason(&change.reason)?;
        let mut state = self.admitted()?;
        Ok(self.put_in_force(&mut state, change, Some(caller), ControlAction::IntervalSet))
    }

    /// Returns to the interval of the settings.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn reset(&self, reason: String, caller: Caller) -> TelemetryResult<Changed> {
        check_reason(&reason)?;
        let mut state = self.admitted()?;
        Ok(self.return_to_settings(&mut state, reason, Some(caller), ControlAction::IntervalReset))
    }

    /// Puts the change of an earlier start in force again, unless its time has ended meanwhile.
    pub fn restore(&self, saved: Saved) {
        let now = self.shared.clock.now();
        let left = saved.reverts_at.map(|at| at.duration_since(now).unwrap_or_default().min(MAX_TTL));
        if left.is_some_and(|left| left.is_zero()) {
            events::saved_change_has_ended(saved.interval);
            self.shared.to_keep.send_replace(Kept::Nothing);
            return;
        }
        let change = Change { interval: saved.interval, ttl: left, reason: saved.event.reason };
        self.put_in_force(&mut self.state(), change, None, ControlAction::IntervalRestored);
    }

    /// Reads the interval in force.
    #[must_use]
    pub fn reader(&self) -> SteeringReader {
        SteeringReader { in_force: self.shared.in_force.subscribe() }
    }

    /// Ends changes whose time is over and, if there is a state file, keeps them in it, until `shutdown`. `health` tells
    /// whether the file can be written.
    pub async fn run(self, state_file: Option<PathBuf>, health: HealthReporter, shutdown: CancellationToken) {
        let keeper = state_file.map(|path| Keeper::new(path, self.shared.to_keep.subscribe(), health));
        let keeping = async {
            if let Some(keeper) = keeper {
                keeper.run(shutdown.clone()).await;
            }
        };
        tokio::join!(self.end_changes(&shutdown), keeping);
    }

    async fn end_changes(&self, shutdown: &CancellationToken) {
        let mut deadline = self.shared.deadline.subscribe();
        loop {
            let next = *deadline.borrow_and_update();
            let over = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Ok(()) = deadline.changed() => {}
                // While the collector stops, the state file keeps the change, and the next start finds it ended.
                () = over => {
                    if self.shared.outbox.is_closed() {
                        return;
                    }
                    self.end_change();
                }
            }
        }
    }

    fn end_change(&self) {
        let mut state = self.state();
        if self.shared.deadline.borrow().is_some_and(|deadline| deadline <= Instant::now()) {
            let reason = std::mem::take(&mut state.reason);
            self.return_to_settings(&mut state, reason, None, ControlAction::IntervalExpired);
        }
    }

    /// The state, for a change that may be made now. While the collector stops, none may: its message would be neither
    /// delivered nor named.
    fn admitted(&self) -> TelemetryResult<MutexGuard<'_, State>> {
        if self.shared.outbox.is_closed() {
            return Err(TelemetryError::Stopping);
        }
        let mut state = self.state();
        if !state.rate.admits(Instant::now()) {
            return Err(TelemetryError::TooManyChanges { per_second: state.rate.per_second() });
        }
        Ok(state)
    }

    fn put_in_force(
        &self,
        state: &mut State,
        change: Change,
        caller: Option<Caller>,
        action: ControlAction,
    ) -> Changed {
        let Change { interval, ttl, reason } = change;
        let since = self.shared.clock.now();
        let before = *self.shared.in_force.borrow();
        let in_force =
            InForce { interval, origin: Origin::Control, since, reverts_at: ttl.map(|ttl| since + ttl), ..before };
        state.reason.clone_from(&reason);
        self.shared.deadline.send_replace(ttl.map(|ttl| Instant::now() + ttl));
        let event = self.apply(before, in_force, caller, reason, action);
        if action == ControlAction::IntervalSet {
            let saved = Saved { interval, reverts_at: in_force.reverts_at, event };
            self.shared.to_keep.send_replace(Kept::Change(Box::new(saved)));
        }
        Changed { previous: before.interval, in_force }
    }

    fn return_to_settings(
        &self,
        state: &mut State,
        reason: String,
        caller: Option<Caller>,
        action: ControlAction,
    ) -> Changed {
        let since = self.shared.clock.now();
        let before = *self.shared.in_force.borrow();
        let interval = before.default;
        let in_force = InForce { interval, origin: Origin::Settings, since, reverts_at: None, ..before };
        state.reason.clear();
        self.shared.deadline.send_replace(None);
        self.apply(before, in_force, caller, reason, action);
        self.shared.to_keep.send_replace(Kept::Nothing);
        Changed { previous: before.interval, in_force }
    }

    /// Gives the interval to the sampler, and an account of it to everybody.
    fn apply(
        &self,
        before: InForce,
        now: InForce,
        caller: Option<Caller>,
        reason: String,
        action: ControlAction,
    ) -> ControlEvent {
        self.shared.sampler.set_interval(now.interval);
        self.shared.in_force.send_replace(now);
        let event = ControlEvent {
            hostname: self.shared.hostname.clone(),
            host_id: self.shared.host_id.clone(),
            action: action.into(),
            caller,
            previous_interval: Some(before.interval.as_duration().into()),
            interval: Some(now.interval.as_duration().into()),
            reverts_at: now.reverts_at.map(Into::into),
            reason,
        };
        events::interval_changed(&event);
        // The outbox tells its observer if it cannot take the message.
        let _ = self.shared.outbox.append(event.clone());
        event
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SteeringReader {
    /// The interval in force.
    #[must_use]
    pub fn interval(&self) -> InForce {
        *self.in_force.borrow()
    }

    /// Waits for a change. Returns `false` when there will be none.
    pub async fn changed(&mut self) -> bool {
        self.in_force.changed().await.is_ok()
    }
}

/// What an earlier start kept in `state_file`. A file that cannot be read in time, or is damaged, is told and ignored.
pub async fn load(state_file: &Path) -> Option<Saved> {
    let path = state_file.to_owned();
    let loading = spawn_blocking(move || state_file::read(&path));
    match timeout(LOAD_LIMIT, loading).await {
        Ok(Ok(Ok(saved))) => saved,
        Ok(Ok(Err(error))) => {
            events::state_file_ignored(state_file, &error);
            None
        }
        Ok(Err(_)) | Err(_) => {
            let late = std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer in {LOAD_LIMIT:?}"));
            events::state_file_ignored(state_file, &state_file::ReadError::from(late));
            None
        }
    }
}

fn check_ttl(ttl: Option<Duration>) -> TelemetryResult<()> {
    match ttl {
        Some(ttl) if !(MIN_TTL..=MAX_TTL).contains(&ttl) => Err(ttl_refused(humantime::format_duration(ttl))),
        _ => Ok(()),
    }
}

/// The error for a time limit that is out of range.
pub(crate) fn ttl_refused(ttl: impl Display) -> TelemetryError {
    TelemetryError::setting("ttl", format!("{ttl} is not a duration from 1s to 7d"))
}

fn check_reason(reason: &str) -> TelemetryResult<()> {
    let bytes = reason.len();
    if bytes > MAX_REASON_BYTES {
        let problem = format!("{bytes} bytes are too many; {MAX_REASON_BYTES} are allowed");
        return Err(TelemetryError::setting("reason", problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
