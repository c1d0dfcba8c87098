//! The latest message of each metrics group, for whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::errors::{TelemetryError, TelemetryResult};
use crate::interval::Interval;
use crate::models::TelemetryMessage;

/// Least time between two readings that somebody asks for, and between one of them and a regular one. Shares of processor
/// time would be too coarse below it; it also bounds what callers cost the host.
pub(super) const FLOOR: Duration = Interval::MIN.as_duration();
/// Longest wait for a fresh sample.
const FRESH_LIMIT: Duration = Duration::from_secs(2);

/// Every group of the sampler, by name.
pub(super) type Board = BTreeMap<&'static str, GroupState>;

/// Reads the latest message of each metrics group.
#[derive(Debug, Clone)]
pub struct SnapshotReader {
    board: watch::Receiver<Board>,
    /// Groups without a sample from this time on are sampled.
    wanted_since: Arc<watch::Sender<Instant>>,
    started: Instant,
}

/// The latest message of one metrics group.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Name of the group as the schema has it ("cpu").
    pub group: &'static str,
    /// The message as it was given to the outbox.
    pub message: Arc<TelemetryMessage>,
    pub(crate) taken: Instant,
}

/// What a metrics group has given.
#[derive(Debug, Clone)]
pub struct GroupReport {
    /// Name of the group as the schema has it ("cpu").
    pub group: &'static str,
    /// Its latest message.
    pub snapshot: Option<Snapshot>,
    /// Why a later sample could not be taken, with all causes.
    pub failure: Option<String>,
}

/// What is known of one metrics group.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupState {
    /// Its latest message.
    pub(super) snapshot: Option<Snapshot>,
    /// Why the latest sample could not be taken, if it could not.
    pub(super) failure: Option<GroupFailure>,
}

/// Why a sample could not be taken.
#[derive(Debug, Clone)]
pub(super) struct GroupFailure {
    /// The error with its causes.
    pub(super) report: String,
    pub(super) at: Instant,
}

impl SnapshotReader {
    pub(super) fn new(board: watch::Receiver<Board>, wanted_since: Arc<watch::Sender<Instant>>) -> Self {
        Self { board, wanted_since, started: Instant::now() }
    }

    /// The latest message of each group that has been sampled, in ascending order of the group's name.
    #[must_use]
    pub fn latest(&self) -> Vec<Snapshot> {
        self.board.borrow().values().filter_map(|state| state.snapshot.clone()).collect()
    }

    /// What each group has given, in ascending order of the group's name.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupReport> {
        let report = |(group, state): (&&'static str, &GroupState)| GroupReport {
            group,
            snapshot: state.snapshot.clone(),
            failure: state.failure.as_ref().map(|failure| failure.report.clone()),
        };
        self.board.borrow().iter().map(report).collect()
    }

    /// The latest message of every group, none older than `max_age`, in ascending order of the group's name. A group whose
    /// message is older is sampled once, for all who wait. A `max_age` below 100 ms counts as 100 ms.
    ///
    /// # Errors
    /// [`Collection`](TelemetryError::Collection) if a group cannot be sampled, or not in time.
    pub async fn no_older_than(&self, max_age: Duration) -> TelemetryResult<Vec<Snapshot>> {
        let asked_at = Instant::now();
        let since = asked_at.checked_sub(max_age.max(FLOOR)).unwrap_or(self.started);
        let mut board = self.board.clone();
        if let Some(settled) = settled(&board.borrow_and_update(), since, asked_at) {
            return settled;
        }
        self.wanted_since.send_modify(|wanted| *wanted = since.max(*wanted));
        let answered = async {
            while board.changed().await.is_ok() {
                if let Some(settled) = settled(&board.borrow_and_update(), since, asked_at) {
                    return settled;
                }
            }
            Err(not_fresh("the sampler has stopped"))
        };
        let in_time = timeout(FRESH_LIMIT, answered).await;
        in_time.unwrap_or_else(|_| Err(not_fresh(format!("it takes longer than {} s", FRESH_LIMIT.as_secs()))))
    }
}

impl Snapshot {
    /// Time since the sample was taken.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.taken.elapsed()
    }
}

impl GroupState {
    /// Whether a sample has to be taken, `now`, for somebody who wants one from `since` on.
    pub(super) fn is_wanted(&self, since: Instant, now: Instant) -> bool {
        self.fresh(since).is_none() && self.failed(now).is_none()
    }

    fn fresh(&self, since: Instant) -> Option<&Snapshot> {
        self.snapshot.as_ref().filter(|snapshot| snapshot.taken >= since)
    }

    /// The failure, if it is too early to try again for somebody who asked at `asked_at`.
    fn failed(&self, asked_at: Instant) -> Option<&GroupFailure> {
        self.failure.as_ref().filter(|failure| failure.at + FLOOR >= asked_at)
    }
}

/// The answer for somebody who wants samples from `since` on, once there is one.
fn settled(board: &Board, since: Instant, asked_at: Instant) -> Option<TelemetryResult<Vec<Snapshot>>> {
    let mut fresh = Vec::new();
    for (group, state) in board {
        if let Some(snapshot) = state.fresh(since) {
            fresh.push(snapshot.clone());
        } else if let Some(failure) = state.failed(asked_at) {
            let metric = format!("a fresh sample of {group}");
            return Some(Err(TelemetryError::collection(metric, failure.report.clone())));
        }
    }
    (fresh.len() == board.len()).then_some(Ok(fresh))
}

fn not_fresh(cause: impl Into<String>) -> TelemetryError {
    TelemetryError::collection("a fresh sample", cause.into())
}
