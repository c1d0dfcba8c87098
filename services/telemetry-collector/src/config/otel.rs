//! What OpenTelemetry is to export, by the variables of its specification.
//!
//! A mistake in them never stops the collector: what cannot be exported is left out, and [`OtelConfig::problems`] says why.

use std::fmt;
use std::time::Duration;

use telemetry_settings::{InvalidSetting, Reader};
use url::Url;

/// The port that IANA has assigned to OTLP over gRPC.
const GRPC_PORT: u16 = 4317;
/// Time limit of an export, as the specification says.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What OpenTelemetry exports; where to, the exporter reads from `OTEL_*` itself, as the specification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtelConfig {
    /// How spans are exported, if they are.
    pub traces: Option<Export>,
    /// How metrics are exported, if they are.
    pub metrics: Option<Export>,
    /// Name of the service that they are exported as, if it is set by itself.
    pub service_name: Option<String>,
    /// Why one of them or both are not, although an endpoint is set.
    pub problems: Vec<InvalidSetting>,
}

/// How a signal is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Export {
    /// The protocol of the receiver.
    pub protocol: OtlpProtocol,
    /// Time limit of one request by HTTP. The exporter by gRPC reads its own.
    pub timeout: Duration,
}

/// A protocol of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protobuf in requests of HTTP.
    HttpProtobuf,
}

/// The variables of one signal.
struct Signal<'a> {
    name: &'static str,
    reader: &'a Reader,
}

/// A variable that is set, and its value.
type Set<'a> = (String, &'a str);

impl OtelConfig {
    pub(super) fn read(reader: &Reader) -> Self {
        let mut problems = Vec::new();
        let mut export = |name| {
            Signal { name, reader }.export().unwrap_or_else(|problem| {
                // A variable for both signals is one problem.
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
                None
            })
        };
        let (traces, metrics) = (export("TRACES"), export("METRICS"));
        let service_name = reader.standard("OTEL_SERVICE_NAME").map(|name| name.to_string_lossy().into_owned());
        Self { traces, metrics, service_name, problems }
    }
}

impl fmt::Display for OtlpProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        })
    }
}

impl<'a> Signal<'a> {
    /// How it is exported, if it is, or why it cannot be.
    fn export(&self) -> Result<Option<Export>, InvalidSetting> {
        let disabled = self.get("OTEL_SDK_DISABLED")?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let to_nobody = self.get(&format!("OTEL_{}_EXPORTER", self.name))?.is_some_and(|exporter| exporter == "none");
        if disabled || to_nobody {
            return Ok(None);
        }
        let Some((name, endpoint)) = self.exporter_setting("ENDPOINT")? else { return Ok(None) };
        if endpoint.to_lowercase().starts_with("https:") {
            let problem = "https is not built in; send to a receiver on this host by http://";
            return Err(InvalidSetting::new(name, problem));
        }
        let protocol = self.protocol(endpoint)?;
        let is_http = || Url::parse(endpoint).is_ok_and(|url| url.scheme() == "http");
        if protocol == OtlpProtocol::HttpProtobuf && !is_http() {
            let problem = "does not begin with http://; use an endpoint such as http://127.0.0.1:4318";
            return Err(InvalidSetting::new(name, problem));
        }
        Ok(Some(Export { protocol, timeout: self.timeout()? }))
    }

    /// The protocol that is set. Without one, port 4317 means gRPC, to which it is assigned; otherwise the default of the
    /// specification holds.
    fn protocol(&self, endpoint: &str) -> Result<OtlpProtocol, InvalidSetting> {
        match self.exporter_setting("PROTOCOL")? {
            Some((_, "grpc")) => Ok(OtlpProtocol::Grpc),
            Some((_, "http/protobuf")) => Ok(OtlpProtocol::HttpProtobuf),
            Some((name, other)) => {
                Err(InvalidSetting::new(name, format!("{other:?} is not built in; use http/protobuf or grpc")))
            }
            None if port(endpoint) == Some(GRPC_PORT) => Ok(OtlpProtocol::Grpc),
            None => Ok(OtlpProtocol::HttpProtobuf),
        }
    }

    fn timeout(&self) -> Result<Duration, InvalidSetting> {
        let Some((name, milliseconds)) = self.exporter_setting("TIMEOUT")? else { return Ok(TIMEOUT) };
        let milliseconds = milliseconds.parse().map_err(|_| {
            InvalidSetting::new(name, format!("{milliseconds:?} is not a number of milliseconds, such as 10000"))
        });
        milliseconds.map(Duration::from_millis)
    }

    /// A variable of the exporter. That of the signal counts before the one for all.
    fn exporter_setting(&self, what: &str) -> Result<Option<Set<'a>>, InvalidSetting> {
        let of_signal = format!("OTEL_EXPORTER_OTLP_{}_{what}", self.name);
        let of_all = format!("OTEL_EXPORTER_OTLP_{what}");
        Ok(match self.get(&of_signal)? {
            Some(value) => Some((of_signal, value)),
            None => self.get(&of_all)?.map(|value| (of_all, value)),
        })
    }

    fn get(&self, name: &str) -> Result<Option<&'a str>, InvalidSetting> {
        match self.reader.standard(name).map(|value| (value, value.to_str())) {
            None => Ok(None),
            Some((_, Some(text))) => Ok(Some(text)),
            Some((value, None)) => Err(InvalidSetting::new(name, format!("{value:?} is not UTF-8"))),
        }
    }
}

/// The port in an endpoint, which may lack a scheme.
fn port(endpoint: &str) -> Option<u16> {
    let url = if endpoint.contains("://") { Url::parse(endpoint) } else { Url::parse(&format!("http://{endpoint}")) };
    url.ok()?.port()
}
