//! Metrics of messages that wait or are lost. Several events update them.

use telemetry_outbox::{BacklogStatus, OutboxStatus};

use crate::instruments::instruments;
use crate::models::GapReason;

pub(super) fn record_backlog(backlog: BacklogStatus) {
    record_outbox(backlog.outbox);
    if let Some(spool) = backlog.spool {
        let instruments = instruments();
        instruments.spool_messages.set(spool.waiting, &[]);
        instruments.spool_bytes.set(spool.bytes, &[]);
    }
}

pub(super) fn record_outbox(outbox: OutboxStatus) {
    let instruments = instruments();
    instruments.outbox_messages.set(outbox.messages as u64, &[]);
    instruments.outbox_bytes.set(outbox.bytes as u64, &[]);
}

pub(super) fn begin_counters() {
    let reasons = [
        GapReason::OutboxFull,
        GapReason::Invalid,
        GapReason::SpoolFull,
        GapReason::SpoolDamaged,
        GapReason::Decimated,
    ];
    instruments().messages_lost.begin(reasons.map(name_of));
}

pub(super) fn count_lost(count: u64, reason: GapReason) {
    instruments().messages_lost.add(count, &[name_of(reason)]);
}

/// Name of the reason in log lines and metric attributes.
pub(super) fn name_of(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Unspecified => "unspecified",
        GapReason::OutboxFull => "outbox_full",
        GapReason::Invalid => "invalid",
        GapReason::SpoolFull => "spool_full",
        GapReason::SpoolDamaged => "spool_damaged",
        GapReason::Decimated => "decimated",
    }
}
