//! Exporters whose failures are logged: OpenTelemetry itself says nothing of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::config::OtlpProtocol;
use crate::events::{self, Reasons};

/// An exporter. Each reason why it fails is logged once, until it works again.
#[derive(Debug)]
pub(super) struct Watched<E> {
    what: &'static str,
    protocol: OtlpProtocol,
    exporter: E,
    outage: Mutex<Option<Reasons>>,
}

impl<E> Watched<E> {
    /// Watches an exporter of `what`.
    pub(super) fn new(what: &'static str, protocol: OtlpProtocol, exporter: E) -> Self {
        Self { what, protocol, exporter, outage: Mutex::default() }
    }

    fn note(&self, exported: &OTelSdkResult) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match exported {
            Ok(()) if outage.take().is_some() => events::exported_again(self.what),
            Ok(()) => {}
            Err(error) => {
                if outage.get_or_insert_default().is_new(error) {
                    events::export_failed(self.what, self.protocol, error);
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        self.note(&exported);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = self.exporter.export(metrics).await;
        self.note(&exported);
        exported
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
