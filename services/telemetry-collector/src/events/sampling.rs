//! Events of the sampler.

use std::time::Duration;

use humantime::format_duration;
use telemetry_outbox::OutboxStatus;
use tracing::{debug, error, info, warn};

use super::backlog::record_outbox;
use crate::errors::{TelemetryError, report};
use crate::instruments::instruments;

/// Samples of `group` are about to be taken.
pub(crate) fn sampling_began(group: &'static str) {
    instruments().collection_errors.begin([group]);
    instruments().ticks_skipped.begin([group]);
}

/// A sample was due `delay` ago and is begun now.
pub(crate) fn tick_began(group: &'static str, delay: Duration) {
    instruments().tick_delay.record(delay.as_secs_f64(), &[group]);
}

pub(crate) fn sampled(group: &'static str, sequence: u64, took: Duration, outbox: OutboxStatus) {
    debug!(group, sequence, took = %format_duration(took), "sample taken");
    let instruments = instruments();
    instruments.samples.add(1, &[group]);
    instruments.collection_duration.record(took.as_secs_f64(), &[group]);
    record_outbox(outbox);
}

pub(crate) fn collection_failed(group: &'static str, failure: &TelemetryError, first: bool) {
    instruments().collection_errors.add(1, &[group]);
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
    instruments().ticks_skipped.add(count, &[group]);
    warn!(group, count, "samples were late and have been skipped");
}
