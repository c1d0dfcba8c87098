//! Log lines on standard error, and spans and metrics over OTLP where OpenTelemetry is told to send them.

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use telemetry_process::logs::{self, LogSettings};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::config::OtelConfig;
use crate::errors::{InvalidSetting, TelemetryError, TelemetryResult};
use crate::instruments::instruments;

/// Name of the instrumentation scope.
const SCOPE: &str = "telemetry-collector";

/// What must be flushed before the process ends.
#[derive(Debug)]
pub struct Observability {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
}

/// Puts logs, and what `otel` asks for, in place for the whole process. What cannot be exported is warned of and left out: it
/// is no reason not to sample. Call it once, inside the runtime.
///
/// # Errors
/// [`System`](TelemetryError::System) when logs are in place already.
pub fn init(log: &LogSettings, otel: &OtelConfig) -> TelemetryResult<Observability> {
    let mut problems = otel.problems.clone();
    // What is wrong for both is one problem.
    let mut keep = |problem| {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };
    let resource = resource(&otel.service_name);
    let tracer = otel.traces.then(|| tracer_provider(&resource)).and_then(|made| made.map_err(&mut keep).ok());
    let meter = otel.metrics.then(|| meter_provider(&resource)).and_then(|made| made.map_err(&mut keep).ok());

    let spans = tracer.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer(SCOPE)).with_filter(exported_spans())
    });
    if let Some(provider) = &meter {
        instruments().export_to(&provider.meter(SCOPE));
    }
    logs::init_with(log, spans).map_err(|error| TelemetryError::system("set up logs", error))?;
    for problem in problems {
        tracing::warn!(reason = %problem, "the collector's own spans or metrics are not exported; sampling goes on");
    }
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

/// The spans that are exported: those of calls are below the level of the log.
fn exported_spans() -> Targets {
    Targets::new()
        .with_target("telemetry_collector", LevelFilter::INFO)
        .with_target("telemetry_collector::control::calls", LevelFilter::DEBUG)
}

fn tracer_provider(resource: &Resource) -> Result<SdkTracerProvider, InvalidSetting> {
    let exporter = SpanExporter::builder().with_tonic().build().map_err(not_usable)?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.clone()).build())
}

fn meter_provider(resource: &Resource) -> Result<SdkMeterProvider, InvalidSetting> {
    let exporter = MetricExporter::builder().with_tonic().build().map_err(not_usable)?;
    Ok(SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource.clone()).build())
}

fn not_usable(error: ExporterBuildError) -> InvalidSetting {
    InvalidSetting::new("OTEL_EXPORTER_OTLP_*", format!("{error}; use an endpoint such as http://127.0.0.1:4317"))
}

fn resource(service_name: &str) -> Resource {
    let version = KeyValue::new("service.version", crate::version());
    Resource::builder().with_attribute(version).with_service_name(service_name.to_owned()).build()
}
