//! The same question to many targets, so many at once.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use telemetry_client::{ControlClient, ControlError};

use crate::exit::Exit;
use crate::failure::Failure;

/// A collector to ask.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What the user calls it.
    pub(crate) name: String,
    /// Its client, or why there can be none.
    pub(crate) client: Result<ControlClient, Failure>,
    /// Whether it is on this host.
    pub(crate) is_local: bool,
}

/// How many targets are asked at once, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Targets at once.
    pub(crate) parallel: usize,
    /// Time that a target has for its answer.
    pub(crate) timeout: Duration,
}

/// What a target answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer<T> {
    /// The target.
    pub(crate) target: String,
    /// Its answer.
    pub(crate) result: Result<T, Failure>,
}

/// What every target answered, in the order of the targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answers<T>(pub(crate) Vec<Answer<T>>);

impl<T> Answers<T> {
    /// Asks every target. One that fails or hangs does not keep the others from answering.
    pub(crate) async fn of<F>(targets: &[Target], limits: Limits, call: impl Fn(ControlClient) -> F) -> Self
    where
        F: Future<Output = Result<T, ControlError>>,
    {
        let ask = |target: &Target| {
            let (name, asked) = (target.name.clone(), target.client.clone().map(&call));
            async move {
                let result = match asked {
                    Err(failure) => Err(failure),
                    Ok(asked) => match tokio::time::timeout(limits.timeout, asked).await {
                        Ok(answer) => answer.map_err(Failure::from),
                        Err(_) => Err(Failure::timed_out(limits.timeout)),
                    },
                };
                Answer { target: name, result }
            }
        };
        let asked: Vec<_> = targets.iter().map(ask).collect();
        Self(stream::iter(asked).buffered(limits.parallel.max(1)).collect().await)
    }

    /// The answers of those that gave one.
    pub(crate) fn ok(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().filter_map(|answer| Some((answer.target.as_str(), answer.result.as_ref().ok()?)))
    }

    /// Why the others gave none.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.0.iter().filter_map(|answer| Some((answer.target.as_str(), answer.result.as_ref().err()?)))
    }

    /// Whether more than one target was asked.
    pub(crate) fn is_many(&self) -> bool {
        self.0.len() > 1
    }

    /// The exit code, by the targets that failed.
    pub(crate) fn exit(&self) -> Exit {
        Exit::of_targets(self.failures().count(), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use telemetry_client::ControlSettings;
    use tokio::time::Instant;

    use super::*;

    const LIMITS: Limits = Limits { parallel: 2, timeout: Duration::from_secs(5) };

    fn targets(count: usize) -> Vec<Target> {
        let client =
            || ControlClient::connect_lazily(ControlSettings::new("http://127.0.0.1:1")).map_err(Failure::from);
        (0..count).map(|number| Target { name: number.to_string(), client: client(), is_local: true }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn asks_no_more_targets_at_once_than_allowed_and_keeps_their_order() {
        let (running, most, asked) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let answers = Answers::of(&targets(7), LIMITS, |_| async {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100 - number as u64 * 10)).await;
            running.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        })
        .await;
        assert_eq!(most.into_inner(), 2);
        let order: Vec<_> = answers.ok().map(|(target, ())| target).collect();
        assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6"]);
        assert_eq!(answers.exit(), Exit::Ok);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_hangs_fails_alone() {
        let (asked, begun) = (AtomicUsize::new(0), Instant::now());
        let answers = Answers::of(&targets(3), LIMITS, |_| async {
            if asked.fetch_add(1, Ordering::Relaxed) == 1 {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
        .await;
        assert_eq!(begun.elapsed(), LIMITS.timeout);
        let failures: Vec<_> = answers.failures().collect();
        assert_eq!(failures, [("1", &Failure::timed_out(LIMITS.timeout))]);
        assert_eq!(answers.exit(), Exit::SomeFailed);
    }
}
