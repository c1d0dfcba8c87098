//! Log lines on standard error, and spans and metrics over OTLP where OpenTelemetry is told to send them.

mod otlp;
mod resource;
mod watched;

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use telemetry_process::logs::{self, LogSettings};
use tokio::task::spawn_blocking;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use uuid::Uuid;

use crate::collectors::{HostIdentity, HostRoot, Sysinfo};
use crate::config::OtelConfig;
use crate::errors::{TelemetryError, TelemetryResult};
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
/// is no reason not to sample. `instance_id` is the identity of this start. Call it once, inside the runtime.
///
/// # Errors
/// [`System`](TelemetryError::System) when logs are in place already.
pub fn init(log: &LogSettings, otel: &OtelConfig, instance_id: Uuid) -> TelemetryResult<Observability> {
    let mut problems = otel.problems.clone();
    // What is wrong for both is one problem.
    let mut keep = |problem| {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };
    let resource = resource_of(otel, instance_id);
    let tracer = otel.traces.and_then(|export| otlp::tracer_provider(export, &resource).map_err(&mut keep).ok());
    let meter = otel.metrics.and_then(|export| otlp::meter_provider(export, &resource).map_err(&mut keep).ok());

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
    /// Where further metrics can be exported, if any are.
    #[must_use]
    pub fn meter(&self) -> Option<Meter> {
        self.meter.as_ref().map(|provider| provider.meter(SCOPE))
    }

    /// Sends what is still to be sent. A receiver that does not answer costs 5 s, the time limit of the providers.
    pub async fn shutdown(self) {
        // The providers block while the exporter's connection is served by this runtime.
        let spans = spawn_blocking(move || self.tracer.map_or(Ok(()), |provider| provider.shutdown()));
        let metrics = spawn_blocking(move || self.meter.map_or(Ok(()), |provider| provider.shutdown()));
        let (spans, metrics) = tokio::join!(spans, metrics);
        for (what, flushed) in [("spans", spans), ("metrics", metrics)] {
            if let Ok(Err(error)) = flushed {
                tracing::warn!(what, %error, "the last spans or metrics could not be exported");
            }
        }
    }
}

/// The spans that are exported: those of calls are below the level of the log.
fn exported_spans() -> Targets {
    Targets::new()
        .with_target("telemetry_collector", LevelFilter::INFO)
        .with_target("telemetry_collector::control::calls", LevelFilter::DEBUG)
}

/// The resource, which is read only if something is exported.
fn resource_of(otel: &OtelConfig, instance_id: Uuid) -> Resource {
    if otel.traces.is_none() && otel.metrics.is_none() {
        return Resource::builder_empty().build();
    }
    let host = HostIdentity::read(&HostRoot::default(), &Sysinfo::new());
    resource::resource(otel.service_name.as_deref(), instance_id, &host)
}
