//! Log lines on standard error, and spans and metrics over OTLP where OpenTelemetry is told to send them.

use std::io::{self, IsTerminal};

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogConfig, LogFormat, OtelConfig};
use crate::errors::{TelemetryError, TelemetryResult};

const SERVICE_NAME: &str = "telemetry-collector";

/// What must be flushed before the process ends.
#[derive(Debug)]
pub struct Observability {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
}

/// Puts logs, and what `otel` asks for, in place for the whole process. Call it once, inside the runtime.
///
/// # Errors
/// [`Configuration`](TelemetryError::Configuration) when an exporter cannot be made of the `OTEL_*` variables or the
/// log filter is wrong, [`System`](TelemetryError::System) when logs are in place already.
pub fn init(log: &LogConfig, otel: OtelConfig) -> TelemetryResult<Observability> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| TelemetryError::setting("TELEMETRY_LOG__FILTER", error.to_string()))?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if is_pretty(log.format) {
        lines.with_target(false).with_ansi(io::stderr().is_terminal()).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };

    let tracer = otel.traces.then(tracer_provider).transpose()?;
    let spans = tracer.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SERVICE_NAME))
            .with_filter(Targets::new().with_target("telemetry_collector", LevelFilter::INFO))
    });
    let meter = otel.metrics.then(meter_provider).transpose()?;
    if let Some(provider) = &meter {
        global::set_meter_provider(provider.clone());
    }

    tracing_subscriber::registry()
        .with(spans)
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|error| TelemetryError::system("set up logs", io::Error::other(error)))?;
    Ok(Observability { tracer, meter })
}

impl Observability {
    /// Sends what is still to be sent. An exporter that does not answer costs no more than its own time limit.
    pub async fn shutdown(self) {
        // The providers block while the exporter's connection is served by this runtime.
        let flushed = tokio::task::spawn_blocking(move || {
            let tracer = self.tracer.map_or(Ok(()), |provider| provider.shutdown());
            let meter = self.meter.map_or(Ok(()), |provider| provider.shutdown());
            tracer.and(meter)
        });
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "the last spans or metrics could not be exported");
        }
    }
}

fn is_pretty(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    }
}

fn tracer_provider() -> TelemetryResult<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .build()
        .map_err(|error| TelemetryError::setting("OTEL_EXPORTER_OTLP_*", error.to_string()))?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

fn meter_provider() -> TelemetryResult<SdkMeterProvider> {
    let exporter = MetricExporter::builder()
        .with_tonic()
        .build()
        .map_err(|error| TelemetryError::setting("OTEL_EXPORTER_OTLP_*", error.to_string()))?;
    Ok(SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource()).build())
}

fn resource() -> Resource {
    let mut builder = Resource::builder().with_attribute(KeyValue::new("service.version", crate::version()));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none_or(|name| name.is_empty()) {
        builder = builder.with_service_name(SERVICE_NAME);
    }
    builder.build()
}
