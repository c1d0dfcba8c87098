//! Spans and metrics over OTLP, by gRPC or HTTP.

use async_trait::async_trait;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use super::watched::Watched;
use crate::config::{Export, OtlpProtocol};
use crate::errors::InvalidSetting;

/// Exports spans. Call it inside the runtime.
pub(super) fn tracer_provider(export: Export, resource: &Resource) -> Result<SdkTracerProvider, InvalidSetting> {
    let exporter = SpanExporter::builder();
    let exporter = match export.protocol {
        OtlpProtocol::Grpc => exporter.with_tonic().build(),
        OtlpProtocol::HttpProtobuf => {
            exporter.with_http().with_protocol(Protocol::HttpBinary).with_http_client(Client::new(export)).build()
        }
    };
    let exporter = Watched::new("spans", export.protocol, exporter.map_err(not_usable)?);
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.clone()).build())
}

/// Exports metrics. Call it inside the runtime.
pub(super) fn meter_provider(export: Export, resource: &Resource) -> Result<SdkMeterProvider, InvalidSetting> {
    let exporter = MetricExporter::builder();
    let exporter = match export.protocol {
        OtlpProtocol::Grpc => exporter.with_tonic().build(),
        OtlpProtocol::HttpProtobuf => {
            exporter.with_http().with_protocol(Protocol::HttpBinary).with_http_client(Client::new(export)).build()
        }
    };
    let exporter = Watched::new("metrics", export.protocol, exporter.map_err(not_usable)?);
    Ok(SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource.clone()).build())
}

/// The error itself is left out: it has the endpoint, in which there may be a password.
fn not_usable(_: ExporterBuildError) -> InvalidSetting {
    InvalidSetting::new("OTEL_EXPORTER_OTLP_*", "cannot be used; use an endpoint such as http://127.0.0.1:4317")
}

/// A client of HTTP that works in the runtime. OpenTelemetry exports from threads of its own, where there is none.
#[derive(Debug)]
struct Client {
    client: HyperClient,
    runtime: Handle,
}

impl Client {
    fn new(export: Export) -> Self {
        Self { client: HyperClient::with_default_connector(export.timeout, None), runtime: Handle::current() }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
