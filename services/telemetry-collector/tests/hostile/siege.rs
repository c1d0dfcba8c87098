//! An attack from its beginning to the verdict: what is measured before, meanwhile and after.

use std::time::Duration;

use telemetry_testing::eventually;

use super::meanwhile::{Connections, Meanwhile};
use super::table::Row;
use super::target::{INTERVAL, Target, assert_no_secret};
use super::verdict::Account;

/// Ticks that an attack lasts at least.
const TICKS: usize = 3;
/// Log lines that a flood may cause.
const LOG_LINES: usize = 40;

/// What an attack may cost and change.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Growth of the collector's memory, at its peak.
    pub mib: u64,
    /// Changes of the interval by those who may.
    pub changes: u64,
}

impl Allowed {
    pub fn mib(mib: u64) -> Self {
        Self { mib, changes: 0 }
    }
}

/// An attack that is under way.
pub struct Siege<'a> {
    target: &'a Target,
    meanwhile: Meanwhile,
    before_kib: u64,
    log_lines: usize,
    queued: usize,
}

impl<'a> Siege<'a> {
    pub async fn begin(target: &'a Target) -> Self {
        Self::begin_with(target, Connections::OldAndNew).await
    }

    pub async fn begin_with(target: &'a Target, connections: Connections) -> Self {
        let meanwhile = Meanwhile::start(&target.door, connections).await;
        let log_lines = target.collector.log().lines().count();
        let queued = target.queue().await.len();
        Self { target, meanwhile, before_kib: target.memory_kib("VmRSS"), log_lines, queued }
    }

    /// Waits until there were enough ticks since the beginning. The attack must still be going on.
    pub async fn outlast(&self) {
        let wanted = self.queued + TICKS;
        eventually("more samples arrive", async || self.target.queue().await.len() >= wanted).await;
    }

    /// The verdict. `attack` says in the table what was done.
    pub async fn end(self, attack: impl Into<String>, allowed: Allowed) -> Row {
        self.outlast().await;
        let answers = self.meanwhile.stop();
        assert!(answers.calls > 0, "no call was made meanwhile");
        let grown_kib = self.target.memory_kib("VmHWM").saturating_sub(self.before_kib);
        let grown_mib = grown_kib.div_ceil(1024);
        assert!(grown_mib <= allowed.mib, "memory grew by {grown_mib} MiB, more than {} MiB", allowed.mib);
        let log = self.target.collector.log();
        let lines = log.lines().count() - self.log_lines;
        assert!(lines <= LOG_LINES + allowed.changes as usize, "{lines} log lines:\n{log}");
        assert_no_secret(&log);

        let account = Account {
            skipped: self.target.counter("sampler", "ticks_skipped").await,
            changes: self.target.counter("control", "control_changes").await,
            messages: self.target.queue().await,
        };
        let faults = account.faults(INTERVAL, allowed.changes);
        assert!(faults.is_empty(), "{}\n{log}", faults.join("\n"));
        Row {
            attack: attack.into(),
            answers,
            grown_kib,
            ticks: account.messages.len() - self.queued,
            latest: account.latest(),
        }
    }
}

/// Waits until `condition` holds while a hostile client goes on.
pub async fn soon(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(limit, waiting).await.is_ok(), "not true after {limit:?}: {what}");
}
