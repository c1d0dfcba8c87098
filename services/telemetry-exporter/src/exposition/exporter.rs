//! The exporter itself: how it reads the queue.

use std::fmt;

use telemetry_client::consumer::Counters;

use super::families::Families;
use crate::intake::Tally;

impl Families<'_, '_> {
    pub(super) fn write_exporter(&mut self, tally: &Tally, counters: &[Counters], hosts: usize) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "no fleet has 2^53 hosts")]
        let hosts = hosts as f64;
        let one = |value| std::iter::once((Vec::new(), value));
        self.gauge(("exporter_hosts", None, "Hosts whose latest sample is served"), one(hosts))?;
        let up = f64::from(u8::from(counters.iter().all(Counters::is_connected)));
        let sum = |count: fn(&Counters) -> u64| counters.iter().map(count).sum();
        self.gauge(("exporter_queue_up", None, "1 while every shard of the queue is connected, else 0"), one(up))?;
        self.counter("exporter_messages", "Messages taken from the queue", sum(Counters::messages))?;
        self.counter("exporter_duplicates", "Duplicate messages that were dropped", sum(Counters::duplicates))?;
        self.counter(
            "exporter_dead_letters",
            "Unreadable messages that were moved to the dead-letter list",
            sum(Counters::dead_letters),
        )?;
        self.counter(
            "exporter_reclaimed",
            "Messages of dead consumers that were returned to the queue",
            sum(Counters::reclaimed),
        )?;
        self.counter("exporter_other_major", "Messages with another major version of the schema", tally.other_major())?;
        self.counter(
            "exporter_gap_numbers",
            "Lost messages that collectors reported in gap records",
            tally.gap_numbers(),
        )?;
        self.counter(
            "exporter_missing_numbers",
            "Messages that did not arrive and that no gap record reports",
            tally.missing_numbers(),
        )?;
        self.counter(
            "exporter_instances",
            "Collector instances seen; each start of a collector is one",
            tally.instances(),
        )
    }
}
