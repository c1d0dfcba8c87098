//! Events of the delivery of messages.

use std::time::Duration;

use humantime::{FormattedDuration, format_duration};
use telemetry_outbox::BacklogStatus;
use tracing::{debug, error, info, warn};

use super::backlog::record_backlog;
use crate::errors::{PublishingErrorKind, TelemetryError, report};
use crate::instruments::instruments;
use crate::publishers::Acknowledgement;

pub(super) fn begin_counters() {
    let kinds = [
        PublishingErrorKind::Unreachable,
        PublishingErrorKind::TimedOut,
        PublishingErrorKind::Refused,
        PublishingErrorKind::Rejected,
        PublishingErrorKind::InvalidMessage,
    ];
    instruments().publish_errors.begin(kinds.map(PublishingErrorKind::name));
}

pub(crate) fn first_delivered(destination: &str, sequence: u64) {
    info!(destination, sequence, "first message delivered");
}

pub(crate) fn delivered(count: usize, took: Duration, acknowledgement: Acknowledgement, backlog: BacklogStatus) {
    let Acknowledgement { queue_length, trimmed, .. } = acknowledgement;
    debug!(count, took = %format_duration(took), queue_length, trimmed, "messages delivered");
    let instruments = instruments();
    instruments.messages_delivered.add(count as u64, &[]);
    instruments.publish_duration.record(took.as_secs_f64(), &[]);
    instruments.messages_trimmed.add(trimmed, &[]);
    instruments.queue_length.set(queue_length, &[]);
    record_backlog(backlog);
}

pub(crate) fn destination_behind(destination: &str, acknowledged: u64, newest: u64, lost: u64) {
    instruments().messages_forgotten.add(acknowledged - newest, &[]);
    if lost > 0 {
        error!(
            destination,
            acknowledged,
            newest,
            lost,
            "the destination lost messages that it had acknowledged; they are no longer retained and cannot be sent again"
        );
    } else if newest == 0 {
        warn!(
            destination,
            acknowledged, "the destination was emptied; sending retained messages again while new ones are delivered"
        );
    } else {
        warn!(
            destination,
            acknowledged, newest, "the destination lost messages that it had acknowledged; sending them again"
        );
    }
}

pub(crate) fn trimming_began(queue_length: u64) {
    warn!(queue_length, "the queue is at its cap; consumers are too slow and its oldest messages are trimmed");
}

pub(crate) fn trimming_ended(trimmed: u64) {
    info!(trimmed, "the queue is below its cap again");
}

pub(crate) fn publish_failed(failure: &TelemetryError, backlog: BacklogStatus) {
    let kind = match failure {
        TelemetryError::Publishing { kind, .. } => kind.name(),
        _ => "other",
    };
    instruments().publish_errors.add(1, &[kind]);
    record_backlog(backlog);
    debug!(error = report(failure), "messages not acknowledged");
}

pub(crate) fn outage_began(destination: &str, failure: &TelemetryError) {
    warn!(destination, error = report(failure), "messages cannot be delivered; keeping them and retrying");
}

pub(crate) fn outage_reason_changed(destination: &str, failure: &TelemetryError) {
    warn!(destination, error = report(failure), "messages cannot be delivered for another reason");
}

pub(crate) fn outage_goes_on(destination: &str, failure: &TelemetryError, since: Duration, backlog: BacklogStatus) {
    warn!(
        destination,
        error = report(failure),
        outage = %whole_seconds(since),
        kept = backlog.messages(),
        kept_bytes = backlog.bytes(),
        lost = backlog.outbox.lost,
        "messages still cannot be delivered"
    );
}

pub(crate) fn outage_ended(destination: &str, lasted: Duration, backlog: BacklogStatus) {
    info!(
        destination,
        outage = %whole_seconds(lasted),
        kept = backlog.messages(),
        lost = backlog.outbox.lost,
        "messages are delivered again"
    );
}

fn whole_seconds(span: Duration) -> FormattedDuration {
    format_duration(Duration::from_secs(span.as_secs()))
}
