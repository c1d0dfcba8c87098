//! Counters, gauges and histograms with their description.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use opentelemetry::{KeyValue, metrics};
use prometheus_client::metrics::histogram;

/// Upper bounds of the buckets of every histogram, in seconds.
pub(super) const BOUNDS: [f64; 16] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What an instrument is.
#[derive(Debug)]
pub(crate) struct Description {
    /// Name in OpenTelemetry.
    pub(crate) name: &'static str,
    /// Unit in UCUM, as OpenTelemetry writes it; empty for none.
    pub(crate) unit: &'static str,
    /// Names of the attributes.
    pub(crate) attributes: &'static [&'static str],
    /// What it measures.
    pub(crate) help: &'static str,
}

/// A number that only grows.
#[derive(Debug)]
pub struct Counter {
    about: Description,
    series: Series<AtomicU64>,
}

/// A number that goes up and down. It is absent until it is known.
#[derive(Debug)]
pub struct Gauge {
    about: Description,
    series: Series<AtomicU64>,
}

/// How often values lay between the bounds of the buckets.
#[derive(Debug)]
pub struct Histogram {
    about: Description,
    series: Series<histogram::Histogram>,
    /// The same in OpenTelemetry, which has no histograms that are read when they are exported.
    exported: OnceLock<metrics::Histogram<f64>>,
}

/// The values of an instrument by the values of its attributes. These are constants of the program, so that callers cannot
/// add series without bound.
#[derive(Debug)]
pub(super) struct Series<T> {
    /// The only value of an instrument without attributes. It is in place, because a tick begins with cold caches.
    plain: OnceLock<T>,
    by_attributes: RwLock<BTreeMap<Vec<&'static str>, Arc<T>>>,
}

impl Description {
    /// Names and values of the attributes.
    pub(super) fn labels(&self, values: &[&'static str]) -> Vec<(&'static str, &'static str)> {
        self.attributes.iter().copied().zip(values.iter().copied()).collect()
    }

    pub(super) fn key_values(&self, values: &[&'static str]) -> Vec<KeyValue> {
        self.labels(values).into_iter().map(|(name, value)| KeyValue::new(name, value)).collect()
    }
}

impl Counter {
    pub(super) fn new(about: Description) -> Self {
        let series = Series::default();
        if about.attributes.is_empty() {
            series.with(&[], AtomicU64::default, |_| {});
        }
        Self { about, series }
    }

    /// Adds `count`. `values` are those of the attributes, in their order.
    pub(crate) fn add(&self, count: u64, values: &[&'static str]) {
        debug_assert_eq!(values.len(), self.about.attributes.len(), "{}", self.about.name);
        self.series.with(values, AtomicU64::default, |sum| sum.fetch_add(count, Ordering::Relaxed));
    }

    /// Name in Health: that in OpenTelemetry, without the collector's prefix.
    pub(crate) fn short_name(&self) -> String {
        self.about.name.trim_start_matches("collector.").replace('.', "_")
    }

    /// Shows each of these values of the only attribute as 0 until it is counted: a rate sees no first event otherwise.
    pub(crate) fn begin(&self, values: impl IntoIterator<Item = &'static str>) {
        values.into_iter().for_each(|value| self.add(0, &[value]));
    }

    /// The sum over all attributes.
    pub fn total(&self) -> u64 {
        self.values().into_iter().map(|(_, value)| value).sum()
    }

    pub(super) fn about(&self) -> &Description {
        &self.about
    }

    pub(super) fn values(&self) -> Vec<(Vec<&'static str>, u64)> {
        self.series.read(|value| value.load(Ordering::Relaxed))
    }
}

impl Gauge {
    pub(super) fn new(about: Description) -> Self {
        Self { about, series: Series::default() }
    }

    /// Sets the value. `values` are those of the attributes, in their order.
    pub(crate) fn set(&self, value: u64, values: &[&'static str]) {
        debug_assert_eq!(values.len(), self.about.attributes.len(), "{}", self.about.name);
        self.series.with(values, AtomicU64::default, |held| held.store(value, Ordering::Relaxed));
    }

    pub(super) fn about(&self) -> &Description {
        &self.about
    }

    pub(super) fn values(&self) -> Vec<(Vec<&'static str>, u64)> {
        self.series.read(|value| value.load(Ordering::Relaxed))
    }
}

impl Histogram {
    pub(super) fn new(about: Description) -> Self {
        Self { about, series: Series::default(), exported: OnceLock::new() }
    }

    /// Records a value. `values` are those of the attributes, in their order.
    pub(crate) fn record(&self, value: f64, values: &[&'static str]) {
        debug_assert_eq!(values.len(), self.about.attributes.len(), "{}", self.about.name);
        self.series.with(values, || histogram::Histogram::new(BOUNDS), |held| held.observe(value));
        if let Some(exported) = self.exported.get() {
            exported.record(value, &self.about.key_values(values));
        }
    }

    /// Records values in `exported`, too, from now on.
    pub(super) fn also_record_in(&self, exported: metrics::Histogram<f64>) {
        // A second one would come from a second provider, which the process does not have.
        let _ = self.exported.set(exported);
    }

    pub(super) fn about(&self) -> &Description {
        &self.about
    }

    pub(super) fn values(&self) -> Vec<(Vec<&'static str>, histogram::Histogram)> {
        self.series.read(histogram::Histogram::clone)
    }
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self { plain: OnceLock::new(), by_attributes: RwLock::default() }
    }
}

impl<T> Series<T> {
    /// Applies `change` to the value of these attributes, which is `new` the first time.
    fn with<R>(&self, attributes: &[&'static str], new: impl FnOnce() -> T, change: impl FnOnce(&T) -> R) {
        if attributes.is_empty() {
            change(self.plain.get_or_init(new));
            return;
        }
        let known = self.by_attributes.read().unwrap_or_else(PoisonError::into_inner).get(attributes).cloned();
        let value = known.unwrap_or_else(|| {
            let mut series = self.by_attributes.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(series.entry(attributes.to_vec()).or_insert_with(|| Arc::new(new())))
        });
        change(&value);
    }

    fn read<V>(&self, value: impl Fn(&T) -> V) -> Vec<(Vec<&'static str>, V)> {
        let series = self.by_attributes.read().unwrap_or_else(PoisonError::into_inner);
        let plain = self.plain.get().map(|held| (Vec::new(), value(held)));
        plain.into_iter().chain(series.iter().map(|(attributes, held)| (attributes.clone(), value(held)))).collect()
    }
}
