//! Writes the change in force to the state file, off the async thread. A disk that fails holds up nobody: it is told once, and
//! tried again until it works.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use telemetry_proto::v1::HealthStatus;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::state_file::{self, Kept};
use crate::errors::TelemetryError;
use crate::events;
use crate::health::HealthReporter;

/// Wait after a write that failed, unless there is a new change.
const RETRY_PERIOD: Duration = Duration::from_secs(10);
/// Time after which a write counts as failed. It is waited for all the same, so that there is never more than one.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Keeps the latest change in a file.
pub(super) struct Keeper {
    path: PathBuf,
    to_keep: watch::Receiver<Kept>,
    health: HealthReporter,
    is_failing: bool,
}

impl Keeper {
    /// Keeps in the file `path` what `to_keep` says.
    pub(super) fn new(path: PathBuf, mut to_keep: watch::Receiver<Kept>, health: HealthReporter) -> Self {
        // What it says by now is still to be written.
        to_keep.mark_changed();
        Self { path, to_keep, health, is_failing: false }
    }

    /// Writes each change until `shutdown`, the last one included unless the disk hangs.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        self.health.serving();
        let mut is_kept = true;
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.to_keep.changed() => {}
                () = shutdown.cancelled() => return,
                () = sleep(RETRY_PERIOD), if !is_kept => {}
            }
            is_kept = self.write(&shutdown).await;
        }
    }

    /// Whether the file is as it should be.
    async fn write(&mut self, shutdown: &CancellationToken) -> bool {
        let kept = self.to_keep.borrow_and_update().clone();
        let path = self.path.clone();
        let mut writing = pin!(spawn_blocking(move || state_file::write(&path, &kept)));
        let outcome = tokio::select! {
            biased;
            outcome = &mut writing => outcome,
            () = sleep(WRITE_LIMIT) => {
                self.failed(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"));
                tokio::select! {
                    outcome = &mut writing => outcome,
                    () = shutdown.cancelled() => return false,
                }
            }
        };
        match outcome.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            Ok(()) => self.succeeded(),
            Err(error) => {
                self.failed(error);
                return false;
            }
        }
        true
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            events::state_file_recovered(&self.path);
        }
        self.health.serving();
    }

    fn failed(&mut self, error: io::Error) {
        let error = TelemetryError::system(format!("write the state file {}", self.path.display()), error);
        events::state_file_failed(&error, !std::mem::replace(&mut self.is_failing, true));
        self.health.failing(HealthStatus::Degraded, &error);
    }
}
