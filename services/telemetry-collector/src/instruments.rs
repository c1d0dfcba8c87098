//! What the collector measures of itself: one description and one value of each instrument, for every output.
//!
//! Values are kept here in any case: recording one costs tens of nanoseconds, and Health reads them. They are read only when
//! somebody asks: `exposition` writes them for a scrape of `/metrics`, `export` offers them to OpenTelemetry. The names of
//! OpenTelemetry and Prometheus are derived from the same description.

mod export;
mod exposition;
mod instrument;

use std::sync::LazyLock;

pub use self::exposition::Exposition;
use self::instrument::Description;
pub use self::instrument::{Counter, Gauge, Histogram};

/// Every instrument of the collector. A field is an instrument; `all` lists them.
#[derive(Debug)]
pub struct Instruments {
    pub(crate) build: Gauge,
    pub(crate) samples: Counter,
    pub(crate) collection_duration: Histogram,
    pub(crate) collection_errors: Counter,
    pub(crate) tick_delay: Histogram,
    pub(crate) ticks_skipped: Counter,
    pub(crate) messages_delivered: Counter,
    pub(crate) messages_lost: Counter,
    pub(crate) messages_trimmed: Counter,
    pub(crate) messages_forgotten: Counter,
    pub(crate) publish_duration: Histogram,
    pub(crate) publish_errors: Counter,
    pub(crate) outbox_messages: Gauge,
    pub(crate) outbox_bytes: Gauge,
    pub(crate) spool_messages: Gauge,
    pub(crate) spool_bytes: Gauge,
    pub(crate) spool_errors: Counter,
    pub(crate) queue_length: Gauge,
    pub(crate) control_changes: Counter,
    pub(crate) state_file_errors: Counter,
    pub(crate) rpc_duration: Histogram,
}

/// An instrument of any kind.
#[derive(Debug, Clone, Copy)]
enum AnyInstrument<'a> {
    Counter(&'a Counter),
    Gauge(&'a Gauge),
    Histogram(&'a Histogram),
}

impl AnyInstrument<'_> {
    fn about(&self) -> &Description {
        match self {
            Self::Counter(counter) => counter.about(),
            Self::Gauge(gauge) => gauge.about(),
            Self::Histogram(histogram) => histogram.about(),
        }
    }
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(Instruments::new);

/// The instruments of this process.
pub fn instruments() -> &'static Instruments {
    &INSTRUMENTS
}

impl Instruments {
    fn new() -> Self {
        let about = |name, unit, attributes, help| Description { name, unit, attributes, help };
        let message = |name, attributes, help| about(name, "{message}", attributes, help);
        let instruments = Self {
            build: Gauge::new(about(
                "collector.build.info",
                "",
                &["version", "schema"],
                "Versions of the collector, always 1",
            )),
            samples: Counter::new(about("collector.samples", "{sample}", &["group"], "Samples taken")),
            collection_duration: Histogram::new(about(
                "collector.collection.duration",
                "s",
                &["group"],
                "Time to take a sample",
            )),
            collection_errors: Counter::new(about(
                "collector.collection.errors",
                "{error}",
                &["group"],
                "Samples that could not be taken",
            )),
            tick_delay: Histogram::new(about(
                "collector.tick.delay",
                "s",
                &["group"],
                "Time from when a sample was due until it was begun; its count is the number of ticks",
            )),
            ticks_skipped: Counter::new(about(
                "collector.ticks.skipped",
                "{tick}",
                &["group"],
                "Samples that were skipped because they were late",
            )),
            messages_delivered: Counter::new(message(
                "collector.messages.delivered",
                &[],
                "Messages acknowledged by the sink",
            )),
            messages_lost: Counter::new(message(
                "collector.messages.lost",
                &["reason"],
                "Messages dropped and listed in gap records",
            )),
            messages_trimmed: Counter::new(message(
                "collector.messages.trimmed",
                &[],
                "Messages trimmed from the queue by its cap",
            )),
            messages_forgotten: Counter::new(message(
                "collector.messages.forgotten",
                &[],
                "Messages that the sink acknowledged and then lost",
            )),
            publish_duration: Histogram::new(about(
                "collector.publish.duration",
                "s",
                &[],
                "Time until the sink acknowledged a batch, of one attempt",
            )),
            publish_errors: Counter::new(about(
                "collector.publish.errors",
                "{error}",
                &["kind"],
                "Batches that were not acknowledged; each is retried",
            )),
            outbox_messages: Gauge::new(message(
                "collector.outbox.messages",
                &[],
                "Messages in memory that are not acknowledged yet",
            )),
            outbox_bytes: Gauge::new(about(
                "collector.outbox.size",
                "By",
                &[],
                "Memory used by messages that are not acknowledged yet",
            )),
            spool_messages: Gauge::new(message(
                "collector.spool.messages",
                &[],
                "Messages on disk that are not acknowledged yet",
            )),
            spool_bytes: Gauge::new(about(
                "collector.spool.size",
                "By",
                &[],
                "Disk space used by messages, including retained ones",
            )),
            spool_errors: Counter::new(about(
                "collector.spool.errors",
                "{error}",
                &["operation"],
                "Operations of the spool's disk that failed; each is retried",
            )),
            queue_length: Gauge::new(message("collector.queue.length", &[], "Messages in the queue")),
            control_changes: Counter::new(about(
                "collector.control.changes",
                "{change}",
                &["action"],
                "Changes of the sampling interval",
            )),
            state_file_errors: Counter::new(about(
                "collector.state_file.errors",
                "{error}",
                &[],
                "Failed writes of the state file; each is retried",
            )),
            rpc_duration: Histogram::new(about(
                "rpc.server.call.duration",
                "s",
                &["rpc.system.name", "rpc.method", "rpc.response.status_code"],
                "Time of a call to the control API, until its last message",
            )),
        };
        instruments.build.set(1, &[crate::version(), crate::models::SCHEMA_VERSION]);
        instruments
    }

    /// Every instrument, in the order in which they are written.
    fn all(&self) -> [AnyInstrument<'_>; 21] {
        [
            AnyInstrument::Gauge(&self.build),
            AnyInstrument::Counter(&self.samples),
            AnyInstrument::Histogram(&self.collection_duration),
            AnyInstrument::Counter(&self.collection_errors),
            AnyInstrument::Histogram(&self.tick_delay),
            AnyInstrument::Counter(&self.ticks_skipped),
            AnyInstrument::Counter(&self.messages_delivered),
            AnyInstrument::Counter(&self.messages_lost),
            AnyInstrument::Counter(&self.messages_trimmed),
            AnyInstrument::Counter(&self.messages_forgotten),
            AnyInstrument::Histogram(&self.publish_duration),
            AnyInstrument::Counter(&self.publish_errors),
            AnyInstrument::Gauge(&self.outbox_messages),
            AnyInstrument::Gauge(&self.outbox_bytes),
            AnyInstrument::Gauge(&self.spool_messages),
            AnyInstrument::Gauge(&self.spool_bytes),
            AnyInstrument::Counter(&self.spool_errors),
            AnyInstrument::Gauge(&self.queue_length),
            AnyInstrument::Counter(&self.control_changes),
            AnyInstrument::Counter(&self.state_file_errors),
            AnyInstrument::Histogram(&self.rpc_duration),
        ]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_every_instrument_once() {
        let instruments = Instruments::new();
        let names: BTreeSet<_> = instruments.all().iter().map(|instrument| instrument.about().name).collect();
        assert_eq!(names.len(), instruments.all().len());
        let fields = format!("{instruments:?}").matches("about: Description {").count();
        assert_eq!(names.len(), fields, "a field is not in the list");
    }

    #[test]
    fn sums_a_counter_over_its_attributes() {
        let instruments = Instruments::new();
        instruments.messages_lost.add(2, &["invalid"]);
        instruments.messages_lost.add(3, &["spool_full"]);
        assert_eq!(instruments.messages_lost.total(), 5);
    }
}
