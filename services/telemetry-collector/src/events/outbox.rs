//! Events of the outbox and the spool.

use telemetry_outbox::{Event, Observer};
use telemetry_proto::v1::HealthStatus;
use tracing::{debug, error, info, warn};

use super::{count_lost, name_of};
use crate::errors::report;
use crate::health::HealthReporter;
use crate::models::GapReason;

/// Logs and counts what happens in the outbox and the spool, and reports the health of the spool.
#[derive(Debug)]
pub(crate) struct OutboxEvents {
    spool: HealthReporter,
}

impl OutboxEvents {
    /// Reports the health of the spool to `spool`.
    pub(crate) fn new(spool: HealthReporter) -> Self {
        Self { spool }
    }
}

impl Observer for OutboxEvents {
    fn observe(&self, event: Event<'_>) {
        match &event {
            Event::SpoolWritten => self.spool.serving(),
            Event::SpoolFailed { error, .. } => self.spool.failing(HealthStatus::Degraded, error),
            Event::MessageInvalid { .. } => count_lost(1, GapReason::Invalid),
            Event::MessagesGivenUp { count, reason, .. } | Event::SpooledMessagesLost { count, reason, .. } => {
                count_lost(*count, *reason);
            }
            _ => {}
        }
        log(&event);
    }
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
            error!(%error, "cannot read a part of the spool; a gap record will list the messages in it");
        }
        Event::SyncFailed { error } => {
            warn!(%error, "cannot sync the spool; a power failure could lose the newest messages");
        }
        Event::CleanupFailed { error } => {
            warn!(%error, "cannot delete files of the spool that are no longer needed");
        }
        // Events of every batch: its delivery is logged instead.
        _ => {}
    }
}
