//! What OpenTelemetry is to export, by the variables of its specification.
//!
//! A mistake in them never stops the collector: what cannot be exported is left out, and [`OtelConfig::problems`] says why.

use telemetry_settings::{InvalidSetting, Reader};

const SERVICE_NAME: &str = "telemetry-collector";

/// What OpenTelemetry exports; where to, the exporter reads from `OTEL_*` itself, as the specification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtelConfig {
    /// Spans are exported.
    pub traces: bool,
    /// Metrics are exported.
    pub metrics: bool,
    /// Name of the service that they are exported as.
    pub service_name: String,
    /// Why one of them or both are not, although an endpoint is set.
    pub problems: Vec<InvalidSetting>,
}

impl OtelConfig {
    pub(super) fn read(reader: &Reader) -> Self {
        let mut problems = Vec::new();
        let mut exported = |signal| {
            is_exported(signal, reader).unwrap_or_else(|problem| {
                // A variable for both signals is one problem.
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
                false
            })
        };
        let (traces, metrics) = (exported("TRACES"), exported("METRICS"));
        let service_name = reader.standard("OTEL_SERVICE_NAME").map(|name| name.to_string_lossy().into_owned());
        Self { traces, metrics, service_name: service_name.unwrap_or_else(|| SERVICE_NAME.to_owned()), problems }
    }
}

/// Whether `signal` is exported, or why it cannot be.
fn is_exported(signal: &str, reader: &Reader) -> Result<bool, InvalidSetting> {
    let set = |name: &str| match reader.standard(name).map(|value| (value, value.to_str())) {
        None => Ok(None),
        Some((_, Some(text))) => Ok(Some(text)),
        Some((value, None)) => Err(InvalidSetting::new(name, format!("{value:?} is not UTF-8"))),
    };
    // The variable of the signal counts before the one for all.
    let exporter_setting = |what: &str| -> Result<_, InvalidSetting> {
        let of_signal = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
        let of_all = format!("OTEL_EXPORTER_OTLP_{what}");
        Ok(match set(&of_signal)? {
            Some(value) => Some((of_signal, value)),
            None => set(&of_all)?.map(|value| (of_all, value)),
        })
    };

    let disabled = set("OTEL_SDK_DISABLED")?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let to_nobody = set(&format!("OTEL_{signal}_EXPORTER"))?.is_some_and(|exporter| exporter == "none");
    if disabled || to_nobody {
        return Ok(false);
    }
    let Some((name, endpoint)) = exporter_setting("ENDPOINT")? else { return Ok(false) };
    if endpoint.to_lowercase().starts_with("https:") {
        let problem = "https is not built in; send to a receiver on this host by http://";
        return Err(InvalidSetting::new(name, problem));
    }
    match exporter_setting("PROTOCOL")? {
        Some((name, protocol)) if protocol != "grpc" => {
            let problem = format!("{protocol:?} is not built in; use grpc (port 4317 of most receivers)");
            Err(InvalidSetting::new(name, problem))
        }
        _ => Ok(true),
    }
}
