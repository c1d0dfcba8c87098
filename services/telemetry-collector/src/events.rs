//! Events of the collector. Each has one function, which writes the log line and updates the metrics.
//!
//! The metrics are described in [`instruments`](crate::instruments). This file has the events of the process; those of its parts
//! are in `events/`.

mod access;
mod backlog;
mod control;
mod delivery;
mod export;
mod outbox;
mod reasons;
mod sampling;
mod steering;

use std::time::Duration;

use humantime::format_duration;
use telemetry_outbox::{BacklogStatus, OutboxStatus, SpoolStatus};
use tracing::{info, warn};
use uuid::Uuid;

use crate::interval::Interval;

pub(crate) use access::{
    ListenerEvents, call_refused, control_insecure, control_listening, http_insecure, http_listening, request_refused,
};
pub(crate) use control::{called, code_name, method_of};
pub(crate) use delivery::{
    delivered, destination_behind, first_delivered, outage_began, outage_ended, outage_goes_on, outage_reason_changed,
    publish_failed, trimming_began, trimming_ended,
};
pub(crate) use export::{export_failed, exported_again};
pub(crate) use outbox::OutboxEvents;
pub(crate) use reasons::Reasons;
pub(crate) use sampling::{
    collection_failed, collection_recovered, sampled, sampling_began, tick_began, ticks_skipped,
};
pub(crate) use steering::{
    interval_changed, saved_change_has_ended, state_file_failed, state_file_ignored, state_file_recovered,
};

pub(crate) fn started(version: &str, schema: &str, instance_id: Uuid, interval: Interval, destination: &str) {
    begin_counters();
    info!(version, schema, %instance_id, %interval, destination, "collector started");
}

/// Shows what has not happened yet as 0.
fn begin_counters() {
    backlog::begin_counters();
    delivery::begin_counters();
    steering::begin_counters();
}

pub(crate) fn stopping(grace: Duration, backlog: BacklogStatus) {
    info!(waiting = backlog.messages(), grace = %format_duration(grace), "stopping; delivering the remaining messages");
}

pub(crate) fn stopped(backlog: BacklogStatus) {
    let OutboxStatus { messages: undelivered, lost: given_up, unreported, .. } = backlog.outbox;
    let SpoolStatus { waiting: spooled, leftovers: earlier_starts, .. } = backlog.spool.unwrap_or_default();
    let reported = given_up == 0 || unreported == 0;
    match (undelivered, spooled, earlier_starts) {
        (0, 0, 0) if given_up == 0 => info!("stopped; every message was delivered"),
        (0, 0, 0) if reported => {
            info!(given_up, "stopped; every message was delivered except those listed in gap records")
        }
        (0, ..) if reported => {
            info!(
                spooled,
                earlier_starts, given_up, "stopped; what was not delivered is in the spool for the next start"
            );
        }
        _ => warn!(undelivered, spooled, given_up, "stopped; the grace time ended before every message was delivered"),
    }
}
