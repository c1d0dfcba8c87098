//! The instruments in the text formats of Prometheus.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::instrument::Description;
use super::{AnyInstrument, Instruments};

/// What the names of the collector's own instruments begin with, as those of telemetry-exporter do. An instrument with another name
/// has it from OpenTelemetry's semantic conventions and keeps it, so that dashboards for any service find it.
const NAMESPACE: &str = "telemetry_";

/// Writes every instrument at a scrape: `collector.samples` becomes `telemetry_collector_samples_total`, and
/// `rpc.server.call.duration` becomes `rpc_server_call_duration_seconds`.
#[derive(Debug)]
pub struct Exposition(pub &'static Instruments);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for instrument in self.0.all() {
            write(&mut encoder, instrument)?;
        }
        Ok(())
    }
}

fn write(encoder: &mut DescriptorEncoder<'_>, instrument: AnyInstrument<'_>) -> fmt::Result {
    let about = instrument.about();
    match instrument {
        AnyInstrument::Counter(counter) => {
            write_family(encoder, about, MetricType::Counter, counter.values(), |value, mut series| {
                series.encode_counter::<[(&str, &str); 0], _, f64>(&value, None)
            })
        }
        AnyInstrument::Gauge(gauge) => {
            write_family(encoder, about, MetricType::Gauge, gauge.values(), |value, mut series| {
                series.encode_gauge(&value)
            })
        }
        AnyInstrument::Histogram(histogram) => {
            write_family(encoder, about, MetricType::Histogram, histogram.values(), |value, series| {
                value.encode(series)
            })
        }
    }
}

fn write_family<T>(
    encoder: &mut DescriptorEncoder<'_>,
    about: &Description,
    kind: MetricType,
    values: Vec<(Vec<&'static str>, T)>,
    write_value: impl Fn(T, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let name = name(about);
    let unit = unit(about.unit);
    for_each_series(encoder.encode_descriptor(&name, about.help, unit.as_ref(), kind)?, about, values, write_value)
}

fn for_each_series<T>(
    mut family: MetricEncoder<'_>,
    about: &Description,
    values: Vec<(Vec<&'static str>, T)>,
    write_value: impl Fn(T, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if about.attributes.is_empty() {
        // Without labels, the library would write empty braces.
        return values.into_iter().next().map_or(Ok(()), |(_, value)| write_value(value, family));
    }
    for (attributes, value) in values {
        let labels: Vec<_> =
            about.labels(&attributes).into_iter().map(|(name, value)| (name.replace('.', "_"), value)).collect();
        write_value(value, family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn name(about: &Description) -> String {
    let namespace = if about.name.starts_with("collector.") { NAMESPACE } else { "" };
    format!("{namespace}{}", about.name.replace('.', "_"))
}

/// The unit as the suffix of a name, by the rules for OpenTelemetry's metrics in Prometheus: a unit in braces is none.
fn unit(ucum: &str) -> Option<Unit> {
    match ucum {
        "s" => Some(Unit::Seconds),
        "By" => Some(Unit::Bytes),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn text(instruments: Instruments) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition(Box::leak(Box::new(instruments)))));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn derives_names_and_units_from_those_of_opentelemetry() {
        let instruments = Instruments::new();
        instruments.samples.add(3, &["cpu"]);
        instruments.outbox_bytes.set(1024, &[]);
        instruments.rpc_duration.record(0.0002, &["grpc", "telemetry.v1.ControlService/Health", "OK"]);
        let text = text(instruments);
        for line in [
            "# TYPE telemetry_collector_samples counter",
            "# HELP telemetry_collector_samples Samples taken",
            r#"telemetry_collector_samples_total{group="cpu"} 3"#,
            "# UNIT telemetry_collector_outbox_size_bytes bytes",
            "telemetry_collector_outbox_size_bytes 1024",
            "# UNIT rpc_server_call_duration_seconds seconds",
            concat!(
                r#"rpc_server_call_duration_seconds_bucket{le="0.00025",rpc_system_name="grpc","#,
                r#"rpc_method="telemetry.v1.ControlService/Health",rpc_response_status_code="OK"} 1"#
            ),
            "telemetry_collector_messages_delivered_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn omits_what_is_not_known_yet() {
        let text = text(Instruments::new());
        assert!(!text.contains("\ntelemetry_collector_queue_length "), "{text}");
        assert!(!text.contains("{}"), "{text}");
    }
}
