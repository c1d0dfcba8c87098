//! The exporter itself: how it reads the queue.

use std::fmt;

use telemetry_client::consumer::Counters;
use telemetry_openmetrics::{Families, Family};

use crate::intake::Tally;

pub(super) fn write_exporter(
    families: &mut Families<'_, '_>,
    tally: &Tally,
    counters: &[Counters],
    hosts: usize,
) -> fmt::Result {
    #[allow(clippy::cast_precision_loss, reason = "no fleet has 2^53 hosts")]
    let hosts = hosts as f64;
    let up = f64::from(u8::from(counters.iter().all(Counters::is_connected)));
    let mut gauge = |name, help, value| families.gauge(Family::new(name, help), [(Vec::new(), value)]);
    gauge("telemetry_exporter_hosts", "Hosts whose latest sample is served", hosts)?;
    gauge("telemetry_exporter_queue_up", "1 while every shard of the queue is connected, else 0", up)?;

    let sum = |count: fn(&Counters) -> u64| counters.iter().map(count).sum();
    let mut counter = |name, help, value| families.counter(Family::new(name, help), [(Vec::new(), value)]);
    counter("telemetry_exporter_messages", "Messages taken from the queue", sum(Counters::messages))?;
    counter("telemetry_exporter_duplicates", "Duplicate messages that were dropped", sum(Counters::duplicates))?;
    counter(
        "telemetry_exporter_dead_letters",
        "Unreadable messages that were moved to the dead-letter list",
        sum(Counters::dead_letters),
    )?;
    counter(
        "telemetry_exporter_reclaimed",
        "Messages of dead consumers that were returned to the queue",
        sum(Counters::reclaimed),
    )?;
    counter(
        "telemetry_exporter_other_major",
        "Messages with another major version of the schema",
        tally.other_major(),
    )?;
    counter(
        "telemetry_exporter_gap_numbers",
        "Lost messages that collectors reported in gap records",
        tally.gap_numbers(),
    )?;
    counter(
        "telemetry_exporter_missing_numbers",
        "Messages that did not arrive and that no gap record reports",
        tally.missing_numbers(),
    )?;
    counter("telemetry_exporter_control_events", "Changes of collectors by their control API", tally.control_events())?;
    counter(
        "telemetry_exporter_instances",
        "Collector instances seen; each start of a collector is one",
        tally.instances(),
    )
}
