//! Metric families in OpenMetrics.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Names and values of the labels of a sample.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Writes one metric family at a time: Prometheus requires the samples of a family to be contiguous.
pub(super) struct Families<'a, 'e>(pub(super) &'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    pub(super) fn gauge(
        &mut self,
        (name, unit, help): (&str, Option<&str>, &str),
        samples: impl Iterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in samples {
            // Without labels, the library would write empty braces.
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&escaped(labels))?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<[(String, String); 0], _, f64>(&value, None)
    }
}

/// Escapes label values, which the library does not.
fn escaped(labels: Labels) -> Vec<(&'static str, String)> {
    let escape = |value: String| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    labels.into_iter().map(|(name, value)| (name, escape(value))).collect()
}
