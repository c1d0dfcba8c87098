//! Metric families in OpenMetrics.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Names and values of the labels of a sample.
pub type Labels = Vec<(&'static str, String)>;

/// Name, unit and meaning of a metric family.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    name: &'a str,
    unit: Option<&'a str>,
    help: &'a str,
}

/// Writes one metric family at a time: Prometheus requires the samples of a family to be contiguous.
#[derive(Debug)]
pub struct Families<'a, 'e>(pub(crate) &'a mut DescriptorEncoder<'e>);

impl<'a> Family<'a> {
    /// A family without a unit.
    #[must_use]
    pub const fn new(name: &'a str, help: &'a str) -> Self {
        Self { name, unit: None, help }
    }

    /// The same family with a unit, which is appended to its name.
    #[must_use]
    pub const fn in_unit(self, unit: &'a str) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

impl Families<'_, '_> {
    /// Writes a gauge.
    ///
    /// # Errors
    /// If the encoder fails, which is not expected to happen.
    pub fn gauge(&mut self, family: Family<'_>, samples: impl IntoIterator<Item = (Labels, f64)>) -> fmt::Result {
        let unit = unit(family);
        let mut encoder = self.0.encode_descriptor(family.name, family.help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in samples {
            // Without labels, the library would write empty braces.
            if labels.is_empty() {
                encoder.encode_gauge(&value)?;
            } else {
                encoder.encode_family(&escaped(labels))?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// Writes a counter; `_total` is appended to its name.
    ///
    /// # Errors
    /// If the encoder fails, which is not expected to happen.
    pub fn counter(&mut self, family: Family<'_>, samples: impl IntoIterator<Item = (Labels, u64)>) -> fmt::Result {
        self.counter_of(family, samples)
    }

    /// Writes a counter of fractions, such as seconds.
    ///
    /// # Errors
    /// If the encoder fails, which is not expected to happen.
    pub fn counter_of_fractions(
        &mut self,
        family: Family<'_>,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        self.counter_of(family, samples)
    }

    fn counter_of<V: EncodeCounterValue>(
        &mut self,
        family: Family<'_>,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let unit = unit(family);
        let mut encoder = self.0.encode_descriptor(family.name, family.help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                encoder.encode_counter::<NoLabels, _, f64>(&value, None)?;
            } else {
                encoder.encode_family(&escaped(labels))?.encode_counter::<NoLabels, _, f64>(&value, None)?;
            }
        }
        Ok(())
    }
}

/// The labels of an exemplar that is not there.
type NoLabels = [(String, String); 0];

fn unit(family: Family<'_>) -> Option<Unit> {
    family.unit.map(|unit| Unit::Other(unit.to_owned()))
}

/// Escapes label values, which the library does not.
fn escaped(labels: Labels) -> Vec<(&'static str, String)> {
    let escape = |value: String| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    labels.into_iter().map(|(name, value)| (name, escape(value))).collect()
}
