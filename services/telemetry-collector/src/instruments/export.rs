//! The instruments in OpenTelemetry.

use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::instrument::{BOUNDS, Description};
use super::{AnyInstrument, Instruments};

impl Instruments {
    /// Offers every instrument to `meter`, which reads counters and gauges whenever it exports.
    pub(crate) fn export_to(&'static self, meter: &Meter) {
        for instrument in self.all() {
            export(instrument, meter);
        }
    }
}

fn export(instrument: AnyInstrument<'static>, meter: &Meter) {
    let &Description { name, unit, help, .. } = instrument.about();
    match instrument {
        AnyInstrument::Counter(counter) => {
            let exported = meter.u64_observable_counter(name).with_unit(unit).with_description(help);
            exported.with_callback(|observer| observe(observer, counter.about(), counter.values())).build();
        }
        AnyInstrument::Gauge(gauge) => {
            let exported = meter.u64_observable_gauge(name).with_unit(unit).with_description(help);
            exported.with_callback(|observer| observe(observer, gauge.about(), gauge.values())).build();
        }
        AnyInstrument::Histogram(histogram) => {
            let exported = meter.f64_histogram(name).with_unit(unit).with_description(help);
            histogram.also_record_in(exported.with_boundaries(BOUNDS.to_vec()).build());
        }
    }
}

fn observe(observer: &dyn AsyncInstrument<u64>, about: &Description, values: Vec<(Vec<&'static str>, u64)>) {
    for (attributes, value) in values {
        observer.observe(value, &about.key_values(&attributes));
    }
}
