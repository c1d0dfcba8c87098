//! What happens in the outbox and the spool.

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
            error!(sequence, error = report(error), "message breaks the schema; a gap record will name it");
        }
        Event::MessagesGivenUp { is_first: true, outbox, .. } => warn!(
            kept = outbox.messages,
            kept_bytes = outbox.bytes,
            "outbox full; old messages are given up, a gap record will name them"
        ),
        Event::MessagesGivenUp { count, outbox, .. } => {
            debug!(count, lost = outbox.lost, "outbox full; more old messages are given up");
        }
        Event::SpooledMessagesLost { count, reason, instance_id } => warn!(
            count,
            reason = name_of(*reason),
            %instance_id,
            "messages in the spool are lost; a gap record will name them"
        ),
        Event::SpoolFailed { error, is_first: true } => {
            warn!(error = report(error), "the spool takes no messages; keeping them in memory and trying again");
        }
        Event::SpoolFailed { error, .. } => debug!(error = report(error), "the spool still takes no messages"),
        Event::SpoolRecovered => info!("the spool takes messages again"),
        Event::SpoolRemoved { directory } => {
            warn!(directory = %directory.display(), "the spool's files were removed; making them anew");
        }
        Event::LeftoverFound { instance_id, bytes } => {
            info!(%instance_id, bytes, "an earlier start left messages in the spool; delivering them");
        }
        Event::LeftoverDelivered { instance_id } => info!(%instance_id, "what an earlier start left is delivered"),
        Event::LeftoverUnreadable { directory, error } => warn!(
            directory = %directory.display(),
            %error,
            "what an earlier start left in the spool cannot be read"
        ),
        Event::ReadFailed { error } => {
            error!(%error, "a part of the spool cannot be read; a gap record will name what was in it");
        }
        Event::SyncFailed { error } => {
            warn!(%error, "the spool cannot be synced; a power failure would cost the newest messages");
        }
        Event::CleanupFailed { error } => {
            warn!(%error, "files of the spool that are not needed any more cannot be deleted");
        }
        // Every batch: what matters of it is told when it is delivered.
        _ => {}
    }
}
