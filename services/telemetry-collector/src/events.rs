//! Events of the collector. Each has one function, which writes the log line and updates the metrics.
//!
//! Metric names begin with `collector.`. Metrics are sent where OpenTelemetry is configured to send them; by default nowhere.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use humantime::format_duration;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use opentelemetry::{KeyValue, global};
use telemetry_outbox::{BacklogStatus, OutboxStatus, SpoolStatus};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::errors::{TelemetryError, report};
use crate::interval::Interval;
use crate::models::GapReason;
use crate::publishers::Acknowledgement;

mod outbox;
mod reasons;
mod steering;

pub(crate) use outbox::OutboxEvents;
pub(crate) use reasons::Reasons;
pub(crate) use steering::{
    interval_changed, saved_change_has_ended, state_file_failed, state_file_ignored, state_file_recovered,
};

struct Instruments {
    samples: Counter<u64>,
    collection_duration: Histogram<f64>,
    collection_errors: Counter<u64>,
    ticks_skipped: Counter<u64>,
    messages_delivered: Counter<u64>,
    messages_lost: Counter<u64>,
    messages_trimmed: Counter<u64>,
    publish_errors: Counter<u64>,
    outbox_messages: Gauge<u64>,
    outbox_bytes: Gauge<u64>,
    queue_length: Gauge<u64>,
    messages_forgotten: Counter<u64>,
    spool_messages: Gauge<u64>,
    spool_bytes: Gauge<u64>,
    control_changes: Counter<u64>,
}

/// Created at the first event, which comes after the OpenTelemetry exporter has been installed.
static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("telemetry-collector");
    let counter = |name, unit, what| meter.u64_counter(name).with_unit(unit).with_description(what).build();
    let gauge = |name, unit, what| meter.u64_gauge(name).with_unit(unit).with_description(what).build();
    Instruments {
        samples: counter("collector.samples", "{sample}", "Samples taken"),
        collection_duration: meter
            .f64_histogram("collector.collection.duration")
            .with_unit("s")
            .with_description("Time to take a sample")
            .build(),
        collection_errors: counter("collector.collection.errors", "{error}", "Samples that could not be taken"),
        ticks_skipped: counter("collector.ticks.skipped", "{tick}", "Samples that were skipped because they were late"),
        messages_delivered: counter("collector.messages.delivered", "{message}", "Messages acknowledged by the sink"),
        messages_lost: counter("collector.messages.lost", "{message}", "Messages dropped and listed in gap records"),
        messages_trimmed: counter(
            "collector.messages.trimmed",
            "{message}",
            "Messages trimmed from the queue by its cap",
        ),
        publish_errors: counter("collector.publish.errors", "{error}", "Batches that were not acknowledged"),
        outbox_messages: gauge(
            "collector.outbox.messages",
            "{message}",
            "Messages in memory that are not acknowledged yet",
        ),
        outbox_bytes: gauge("collector.outbox.size", "By", "Memory used by messages that are not acknowledged yet"),
        queue_length: gauge("collector.queue.length", "{message}", "Messages in the queue"),
        messages_forgotten: counter(
            "collector.messages.forgotten",
            "{message}",
            "Messages that the sink acknowledged and then lost",
        ),
        spool_messages: gauge(
            "collector.spool.messages",
            "{message}",
            "Messages on disk that are not acknowledged yet",
        ),
        spool_bytes: gauge("collector.spool.size", "By", "Disk space used by messages, including retained ones"),
        control_changes: counter("collector.control.changes", "{change}", "Changes of the sampling interval"),
    }
});

pub(crate) fn started(version: &str, schema: &str, instance_id: Uuid, interval: Interval, destination: &str) {
    info!(version, schema, %instance_id, %interval, destination, "collector started");
}

pub(crate) fn control_listening(address: SocketAddr) {
    info!(%address, "control API listening");
}

pub(crate) fn http_listening(address: SocketAddr) {
    info!(%address, "HTTP listening");
}

pub(crate) fn http_insecure(address: SocketAddr) {
    warn!(%address, "other hosts can reach HTTP, which has no TLS and no login");
}

pub(crate) fn accept_failed(failure: &TelemetryError) {
    error!(error = report(failure), "cannot accept connections to the control API; retrying");
}

pub(crate) fn sampled(group: &'static str, sequence: u64, took: Duration, outbox: OutboxStatus) {
    debug!(group, sequence, took = %format_duration(took), "sample taken");
    let group = [KeyValue::new("group", group)];
    INSTRUMENTS.samples.add(1, &group);
    INSTRUMENTS.collection_duration.record(took.as_secs_f64(), &group);
    record_outbox(outbox);
}

pub(crate) fn collection_failed(group: &'static str, failure: &TelemetryError, first: bool) {
    INSTRUMENTS.collection_errors.add(1, &[KeyValue::new("group", group)]);
    if first {
        error!(group, error = report(failure), "cannot take a sample; retrying at every interval");
    } else {
        debug!(group, error = report(failure), "still cannot take a sample");
    }
}

pub(crate) fn collection_recovered(group: &'static str) {
    info!(group, "samples are taken again");
}

pub(crate) fn ticks_skipped(group: &'static str, count: u64) {
    INSTRUMENTS.ticks_skipped.add(count, &[]);
    warn!(group, count, "samples were late and have been skipped");
}

pub(crate) fn first_delivered(destination: &str, sequence: u64) {
    info!(destination, sequence, "first message delivered");
}

pub(crate) fn delivered(count: usize, acknowledgement: Acknowledgement, backlog: BacklogStatus) {
    debug!(count, queue_length = acknowledgement.queue_length, trimmed = acknowledgement.trimmed, "messages delivered");
    INSTRUMENTS.messages_delivered.add(count as u64, &[]);
    INSTRUMENTS.messages_trimmed.add(acknowledgement.trimmed, &[]);
    INSTRUMENTS.queue_length.record(acknowledgement.queue_length, &[]);
    record_outbox(backlog.outbox);
    if let Some(spool) = backlog.spool {
        INSTRUMENTS.spool_messages.record(spool.waiting, &[]);
        INSTRUMENTS.spool_bytes.record(spool.bytes, &[]);
    }
}

pub(crate) fn destination_behind(destination: &str, acknowledged: u64, newest: u64, lost: u64) {
    INSTRUMENTS.messages_forgotten.add(acknowledged - newest, &[]);
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

pub(crate) fn publish_failed(failure: &TelemetryError) {
    let kind = match failure {
        TelemetryError::Publishing { kind, .. } => kind.to_string(),
        _ => "other".to_owned(),
    };
    INSTRUMENTS.publish_errors.add(1, &[KeyValue::new("kind", kind)]);
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

fn count_lost(count: u64, reason: GapReason) {
    INSTRUMENTS.messages_lost.add(count, &[KeyValue::new("reason", name_of(reason))]);
}

/// Name of the reason in log lines and metric attributes.
fn name_of(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Unspecified => "unspecified",
        GapReason::OutboxFull => "outbox_full",
        GapReason::Invalid => "invalid",
        GapReason::SpoolFull => "spool_full",
        GapReason::SpoolDamaged => "spool_damaged",
        GapReason::Decimated => "decimated",
    }
}

fn record_outbox(outbox: OutboxStatus) {
    INSTRUMENTS.outbox_messages.record(outbox.messages as u64, &[]);
    INSTRUMENTS.outbox_bytes.record(outbox.bytes as u64, &[]);
}

fn whole_seconds(span: Duration) -> humantime::FormattedDuration {
    format_duration(Duration::from_secs(span.as_secs()))
}
