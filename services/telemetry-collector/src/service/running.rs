//! The tasks of a service, and how they end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use telemetry_outbox::{BacklogStatus, Outbox, Spool};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::{Component, HealthBoard};
use crate::publishers::TelemetryPublisher;

/// Time that the last sync of the spool has beyond the grace time.
const SYNC_GRACE: Duration = Duration::from_secs(2);
/// Time that calls under way have to end once everything else has.
const CONTROL_GRACE: Duration = Duration::from_secs(1);

/// A service whose tasks run, and what is needed to stop them.
pub(super) struct Running {
    pub(super) tasks: Tasks,
    pub(super) outbox: Outbox,
    pub(super) spool: Option<Spool>,
    pub(super) publisher: Arc<dyn TelemetryPublisher>,
    pub(super) health: HealthBoard,
    pub(super) stop_sampling: CancellationToken,
    pub(super) stop_control: CancellationToken,
    pub(super) grace: Duration,
}

impl Running {
    /// Stops the tasks in the order of the data's way.
    pub(super) async fn stop(self) {
        let Self { tasks, outbox, spool, publisher, health, stop_sampling, stop_control, grace } = self;
        events::stopping(grace, BacklogStatus::of(&outbox, spool.as_ref()));
        let deadline = Instant::now() + grace;
        stop_sampling.cancel();
        finish(tasks.sampling, deadline).await;
        health.reporter(Component::Sampler).stopped();
        outbox.close();
        finish_delivery(tasks.spooling, tasks.delivering, deadline).await;
        if let Some(spool) = &spool {
            // A disk that hangs must not hold up the end.
            let _ = timeout_at(deadline + SYNC_GRACE, spool.close()).await;
        }
        events::stopped(BacklogStatus::of(&outbox, spool.as_ref()));
        publisher.close().await;
        stop_control.cancel();
        let deadline = Instant::now() + CONTROL_GRACE;
        finish(tasks.controlling, deadline).await;
        finish(tasks.steering, deadline).await;
        if let Some(http) = tasks.http {
            finish(http, deadline).await;
        }
    }
}

/// The tasks of a service.
pub(super) struct Tasks {
    pub(super) steering: JoinHandle<()>,
    pub(super) sampling: JoinHandle<()>,
    /// Carries messages to the disk, if there is a spool.
    pub(super) spooling: Option<JoinHandle<()>>,
    pub(super) delivering: JoinHandle<()>,
    pub(super) controlling: JoinHandle<TelemetryResult<()>>,
    /// Serves HTTP, if an address for it is set.
    pub(super) http: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Waits for `shutdown`.
    ///
    /// # Errors
    /// When a task ends before.
    pub(super) async fn until_shutdown(&mut self, shutdown: &CancellationToken) -> TelemetryResult<()> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = &mut self.sampling => Err(ended_early("the sampler", ended)),
            ended = &mut self.steering => Err(ended_early("the time limits of changes", ended)),
            Some(ended) = OptionFuture::from(self.spooling.as_mut()) => Err(ended_early("the spool", ended)),
            ended = &mut self.delivering => Err(ended_early("the delivery of messages", ended)),
            ended = &mut self.controlling => Err(control_ended_early(ended)),
            Some(ended) = OptionFuture::from(self.http.as_mut()) => Err(ended_early("HTTP", ended)),
        }
    }
}

/// Waits for the tasks that carry messages to the disk and to the destination until `deadline`, then ends them. A disk that hangs
/// takes at most half of the time, so that messages in memory are still delivered.
async fn finish_delivery(spooling: Option<JoinHandle<()>>, delivering: JoinHandle<()>, deadline: Instant) {
    if let Some(spooling) = spooling {
        let now = Instant::now();
        finish(spooling, now + deadline.saturating_duration_since(now) / 2).await;
    }
    finish(delivering, deadline).await;
}

/// Waits for a task until `deadline`, then ends it. One that has ended already is left alone.
async fn finish<T>(mut task: JoinHandle<T>, deadline: Instant) {
    if !task.is_finished() && timeout_at(deadline, &mut task).await.is_err() {
        task.abort();
    }
}

fn control_ended_early(ended: Result<TelemetryResult<()>, JoinError>) -> TelemetryError {
    const PART: &str = "the control API";
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => ended_early(PART, Ok(())),
        Err(panicked) => ended_early(PART, Err(panicked)),
    }
}

fn ended_early(part: &str, ended: Result<(), JoinError>) -> TelemetryError {
    let cause = ended.err().map_or_else(|| "it ended by itself".to_owned(), |error| error.to_string());
    TelemetryError::system(format!("go on without {part}"), std::io::Error::other(cause))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::pending;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::errors::report;

    fn tasks() -> Tasks {
        Tasks {
            steering: tokio::spawn(pending()),
            sampling: tokio::spawn(pending()),
            spooling: Some(tokio::spawn(pending())),
            delivering: tokio::spawn(pending()),
            controlling: tokio::spawn(pending()),
            http: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fails_when_the_task_of_the_spool_panics() {
        let mut tasks = tasks();
        tasks.spooling = Some(tokio::spawn(async { panic!("panic of the test") }));
        let shutdown = CancellationToken::new();
        let ended = timeout(Duration::from_secs(60), tasks.until_shutdown(&shutdown)).await;
        let error = ended.unwrap().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("cannot go on without the spool", 70));
        assert!(report(&error).contains("panic of the test"), "{}", report(&error));
    }

    #[tokio::test]
    async fn runs_until_shutdown_without_a_spool() {
        let mut tasks = Tasks { spooling: None, ..tasks() };
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        tasks.until_shutdown(&shutdown).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_leaves_half_of_the_grace_time_to_the_delivery() {
        let hanging: JoinHandle<()> = tokio::spawn(pending());
        let ended = hanging.abort_handle();
        let (delivered, mut was_delivered) = tokio::sync::oneshot::channel();
        let delivering = tokio::spawn(async move {
            while !ended.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
            sleep(Duration::from_secs(2)).await;
            let _ = delivered.send(());
        });
        finish_delivery(Some(hanging), delivering, Instant::now() + Duration::from_secs(5)).await;
        was_delivered.try_recv().unwrap();
    }
}
