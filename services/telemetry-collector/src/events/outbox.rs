//! Events of the outbox and the spool.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use telemetry_outbox::{Event, Observer, SyncPolicy};
use telemetry_proto::v1::HealthStatus;
use thiserror::Error;
use tracing::{debug, error, info, warn};

use super::backlog::{count_lost, name_of};
use super::reasons::Reasons;
use crate::errors::report;
use crate::health::HealthReporter;
use crate::instruments::instruments;
use crate::models::GapReason;

/// Time without a fault after which the spool counts as recovered, beyond the time between two syncs. There is no event for a
/// sync or a clean-up that succeeds. What failed is tried again within 10 s, and a write that takes longer than 10 s fails.
const RECOVERED_AFTER: Duration = Duration::from_secs(20);

/// Logs and counts what happens in the outbox and the spool, and reports the health of the spool.
#[derive(Debug)]
pub(crate) struct OutboxEvents {
    spool: HealthReporter,
    recovered_after: Duration,
    trouble: Mutex<Option<Trouble>>,
}

/// A period in which the spool takes messages but other operations of its disk fail.
#[derive(Debug)]
struct Trouble {
    last_fault: Instant,
    logged: Reasons,
}

/// An operation of the spool that failed, other than taking messages.
#[derive(Debug, Error)]
#[error("cannot {operation}")]
struct Fault<'a> {
    /// The operation in a metric attribute.
    kind: &'static str,
    /// The operation as it reads after "cannot".
    operation: String,
    source: &'a io::Error,
}

impl OutboxEvents {
    /// Reports the health of the spool to `spool`. `sync` says when the spool syncs its files.
    pub(crate) fn new(spool: HealthReporter, sync: Option<SyncPolicy>) -> Self {
        let between_syncs = match sync {
            Some(SyncPolicy::Within(bound)) => bound,
            _ => Duration::ZERO,
        };
        if sync.is_some() {
            instruments().spool_errors.begin(["write", "sync", "read", "clean_up"]);
        }
        Self { spool, recovered_after: between_syncs + RECOVERED_AFTER, trouble: Mutex::default() }
    }

    fn observe_at(&self, now: Instant, event: &Event<'_>) {
        match event {
            Event::SpoolWritten => self.written(now),
            Event::SpoolFailed { error, .. } => {
                instruments().spool_errors.add(1, &["write"]);
                self.spool.failing(HealthStatus::Degraded, error);
            }
            Event::MessageInvalid { .. } => count_lost(1, GapReason::Invalid),
            Event::MessagesGivenUp { count, reason, .. } | Event::SpooledMessagesLost { count, reason, .. } => {
                count_lost(*count, *reason);
            }
            _ => {}
        }
        match fault(event) {
            Some(fault) if !self.failed(now, &fault) => {
                debug!(error = report(&fault), "the disk of the spool still fails")
            }
            _ => log(event),
        }
    }

    /// Notes that the spool took messages. It serves unless other operations failed recently.
    fn written(&self, now: Instant) {
        let mut trouble = self.trouble();
        if let Some(ended) = trouble.take_if(|trouble| now.duration_since(trouble.last_fault) > self.recovered_after) {
            info!(quiet_for = ?now.duration_since(ended.last_fault), "the disk of the spool works again");
        }
        if trouble.is_none() {
            self.spool.serving();
        }
    }

    /// Notes a fault. Returns whether it has not been logged in this period of trouble yet.
    fn failed(&self, now: Instant, fault: &Fault<'_>) -> bool {
        let mut trouble = self.trouble();
        let trouble = trouble.get_or_insert_with(|| Trouble { last_fault: now, logged: Reasons::default() });
        trouble.last_fault = now;
        instruments().spool_errors.add(1, &[fault.kind]);
        self.spool.failing(HealthStatus::Degraded, fault);
        trouble.logged.is_new(fault)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for OutboxEvents {
    fn observe(&self, event: Event<'_>) {
        self.observe_at(Instant::now(), &event);
    }
}

/// The failed operation that `event` reports, if it reports one.
fn fault<'a>(event: &Event<'a>) -> Option<Fault<'a>> {
    let (kind, operation, source) = match *event {
        Event::SyncFailed { error } => ("sync", "sync the spool".to_owned(), error),
        Event::ReadFailed { error } => ("read", "read a part of the spool".to_owned(), error),
        Event::CleanupFailed { error } => ("clean_up", "clean up the spool".to_owned(), error),
        Event::LeftoverUnreadable { directory, error } => {
            ("read", format!("read messages of an earlier start in {}", directory.display()), error)
        }
        _ => return None,
    };
    Some(Fault { kind, operation, source })
}

fn log(event: &Event<'_>) {
    match event {
        Event::MessageInvalid { sequence, error } => {
            error!(sequence, error = report(error), "message is invalid; a gap record will list it");
        }
        Event::MessagesGivenUp { is_first: true, outbox, .. } => warn!(
            kept = outbox.messages,
            kept_bytes = outbox.bytes,
            "outbox full; dropping old messages, a gap record will list them"
        ),
        Event::MessagesGivenUp { count, outbox, .. } => {
            debug!(count, lost = outbox.lost, "outbox full; dropping more old messages");
        }
        Event::SpooledMessagesLost { count, reason, instance_id } => warn!(
            count,
            reason = name_of(*reason),
            %instance_id,
            "messages in the spool are lost; a gap record will list them"
        ),
        Event::SpoolFailed { error, is_first: true } => {
            warn!(error = report(error), "the spool takes no messages; keeping them in memory and retrying");
        }
        Event::SpoolFailed { error, .. } => debug!(error = report(error), "the spool still takes no messages"),
        Event::SpoolRecovered => info!("the spool takes messages again"),
        Event::SpoolRemoved { directory } => {
            warn!(directory = %directory.display(), "files of the spool were removed; creating them again");
        }
        Event::LeftoverFound { instance_id, bytes } => {
            info!(%instance_id, bytes, "an earlier start left messages in the spool; delivering them");
        }
        Event::LeftoverDelivered { instance_id } => {
            info!(%instance_id, "the messages of an earlier start have been delivered")
        }
        Event::LeftoverUnreadable { directory, error } => warn!(
            directory = %directory.display(),
            %error,
            "cannot read messages that an earlier start left in the spool"
        ),
        Event::ReadFailed { error } => {
            error!(%error, "cannot read a part of the spool; trying again, a gap record will list what stays unreadable");
        }
        Event::SyncFailed { error } => {
            warn!(%error, "cannot sync the spool; a power failure could lose the newest messages");
        }
        Event::CleanupFailed { error } => {
            warn!(%error, "cannot delete files of the spool that are no longer needed, or note what is acknowledged");
        }
        // Events of every batch: its delivery is logged instead.
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use telemetry_outbox::SpoolError;

    use super::*;
    use crate::clock::WallClock;
    use crate::health::{Component, HealthBoard, HealthReader};

    const SYNC: Duration = Duration::from_secs(3);

    fn events() -> (OutboxEvents, HealthReader) {
        let board = HealthBoard::new(WallClock::system()).with(Component::Spool);
        (OutboxEvents::new(board.reporter(Component::Spool), Some(SyncPolicy::Within(SYNC))), board.reader())
    }

    fn spool(health: &HealthReader) -> (HealthStatus, Option<String>) {
        let state = health.states().pop().unwrap();
        (state.status, state.last_error)
    }

    #[test]
    fn the_spool_is_degraded_until_messages_are_written_without_a_fault() {
        let error = io::Error::other("bad block");
        let leftover = Event::LeftoverUnreadable { directory: "/spool/1".as_ref(), error: &error };
        for (fault, line) in [
            (Event::SyncFailed { error: &error }, "cannot sync the spool: bad block"),
            (Event::ReadFailed { error: &error }, "cannot read a part of the spool: bad block"),
            (Event::CleanupFailed { error: &error }, "cannot clean up the spool: bad block"),
            (leftover, "cannot read messages of an earlier start in /spool/1: bad block"),
        ] {
            let (events, health) = events();
            let began = Instant::now();
            events.observe_at(began, &Event::SpoolWritten);
            assert_eq!(spool(&health), (HealthStatus::Serving, None));

            let degraded = (HealthStatus::Degraded, Some(line.to_owned()));
            for second in 0..60 {
                let now = began + Duration::from_secs(second);
                if second % 3 == 0 {
                    events.observe_at(now, &fault);
                }
                events.observe_at(now, &Event::SpoolWritten);
                assert_eq!(spool(&health), degraded);
            }
            let last = began + Duration::from_secs(57);
            events.observe_at(last + SYNC + RECOVERED_AFTER, &Event::SpoolWritten);
            assert_eq!(spool(&health), degraded);
            events.observe_at(last + SYNC + RECOVERED_AFTER + Duration::from_secs(1), &Event::SpoolWritten);
            assert_eq!(spool(&health), (HealthStatus::Serving, Some(line.to_owned())));
        }
    }

    #[test]
    fn the_spool_serves_as_soon_as_it_takes_messages_again() {
        let (events, health) = events();
        let source = io::Error::other("full");
        let error = SpoolError { operation: "write to the spool", source };
        events.observe(Event::SpoolFailed { error: &error, is_first: true });
        assert_eq!(spool(&health), (HealthStatus::Degraded, Some("cannot write to the spool: full".to_owned())));
        events.observe(Event::SpoolWritten);
        assert_eq!(spool(&health).0, HealthStatus::Serving);
    }

    #[test]
    fn each_fault_of_the_disk_is_logged_once_until_the_spool_has_recovered() {
        let (events, _) = events();
        let began = Instant::now();
        let (bad, full) = (io::Error::other("bad block"), io::Error::other("full"));
        let is_logged = |seconds, event: &Event<'_>| {
            let now = began + Duration::from_secs(seconds);
            events.observe_at(now, &Event::SpoolWritten);
            events.failed(now, &fault(event).unwrap())
        };
        assert!(is_logged(1, &Event::SyncFailed { error: &bad }));
        assert!(!is_logged(2, &Event::SyncFailed { error: &bad }));
        assert!(is_logged(3, &Event::CleanupFailed { error: &bad }));
        assert!(is_logged(4, &Event::SyncFailed { error: &full }));
        assert!(!is_logged(5, &Event::SyncFailed { error: &bad }));
        assert!(is_logged(60, &Event::SyncFailed { error: &bad }));
    }
}
