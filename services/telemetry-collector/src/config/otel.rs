//! What OpenTelemetry is to export, by the variables of its specification.

use telemetry_settings::{InvalidSetting, Reader};

use super::OtelConfig;

pub(super) fn read(reader: &mut Reader) -> OtelConfig {
    let set = |name: &str| reader.standard(name).and_then(|value| value.to_str());
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let everywhere = set("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
    let exports = |signal: &str| {
        let to_nobody = set(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none");
        let endpoint = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        !disabled && !to_nobody && (everywhere || set(&endpoint).is_some())
    };
    let config = OtelConfig { traces: exports("TRACES"), metrics: exports("METRICS") };

    let exported = [("TRACES_", config.traces), ("METRICS_", config.metrics), ("", config.traces || config.metrics)];
    let mut mistakes = Vec::new();
    for (signal, _) in exported.into_iter().filter(|(_, exported)| *exported) {
        let protocol = format!("OTEL_EXPORTER_OTLP_{signal}PROTOCOL");
        if let Some(value) = set(&protocol).filter(|value| *value != "grpc") {
            let problem = format!("{value:?} is not built in; use grpc (port 4317 of most receivers)");
            mistakes.push(InvalidSetting::new(protocol, problem));
        }
        let endpoint = format!("OTEL_EXPORTER_OTLP_{signal}ENDPOINT");
        if set(&endpoint).is_some_and(|value| value.starts_with("https:")) {
            let problem = "https is not built in; send to a receiver on this host by http://";
            mistakes.push(InvalidSetting::new(endpoint, problem));
        }
    }
    mistakes.into_iter().for_each(|mistake| reader.mistake(mistake));
    config
}
