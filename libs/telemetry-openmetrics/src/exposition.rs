//! A page of metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::families::Families;
use crate::format::{Format, to_older_text};

/// What is on a page of metrics.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// Writes the current values.
    ///
    /// # Errors
    /// Those of [`Families`].
    fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result;
}

/// A page of metrics.
#[derive(Debug)]
pub struct Exposition(Registry);

#[derive(Debug)]
struct Scraped<S>(S);

impl Exposition {
    /// A page that has what `source` writes at each scrape.
    #[must_use]
    pub fn new(source: impl Source) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scraped(source)));
        Self(registry)
    }

    /// The same page with what a collector of `prometheus-client` writes, after the rest.
    #[must_use]
    pub fn with_collector(mut self, collector: impl Collector) -> Self {
        self.0.register_collector(Box::new(collector));
        self
    }

    /// Encodes the current values.
    ///
    /// # Errors
    /// If the encoder fails, which is not expected to happen.
    pub fn write(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => to_older_text(&text),
        })
    }
}

impl<S: Source> Collector for Scraped<S> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.0.write(&mut Families(&mut encoder))
    }
}
