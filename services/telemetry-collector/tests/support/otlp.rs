//! A receiver of OTLP, by gRPC and by HTTP, that keeps what it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// Every request of both signals.
    pub text: String,
    pub spans: Vec<Span>,
    /// The latest value of each metric, by name.
    pub metrics: BTreeMap<String, Metric>,
    /// Attributes of the resource of the latest export.
    pub resource: BTreeMap<String, String>,
    /// Header `api-key` of requests by HTTP.
    pub keys: BTreeSet<String>,
    /// Whether requests by HTTP are answered with 400.
    pub refuses: bool,
}

/// A running receiver.
#[derive(Debug, Clone, Default)]
pub struct Receiver(Arc<Mutex<Received>>);

impl Receiver {
    /// Listens for gRPC.
    pub async fn by_grpc() -> (Self, SocketAddr) {
        let (receiver, listener) = (Self::default(), listener().await);
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (receiver, address)
    }

    /// Listens for protobuf by HTTP, under the paths of the specification below `prefix`.
    pub async fn by_http(prefix: &str) -> (Self, SocketAddr) {
        let (receiver, listener) = (Self::default(), listener().await);
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route(&format!("{prefix}/v1/traces"), post(traces))
            .route(&format!("{prefix}/v1/metrics"), post(metrics))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, address)
    }

    pub fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap()
    }

    /// Whether a span or a metric with this name has come.
    pub fn has(&self, name: &str) -> bool {
        let received = self.received();
        received.metrics.contains_key(name) || received.spans.iter().any(|span| span.name == name)
    }

    /// The spans with this name.
    pub fn spans(&self, name: &str) -> Vec<Span> {
        self.received().spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    fn take_spans(&self, request: ExportTraceServiceRequest) {
        self.received().text += &format!("{request:?}\n");
        for spans in request.resource_spans {
            let mut received = self.received();
            received.resource = attributes_of(spans.resource.as_ref());
            received.spans.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }

    fn take_metrics(&self, request: ExportMetricsServiceRequest) {
        self.received().text += &format!("{request:?}\n");
        for metrics in request.resource_metrics {
            let mut received = self.received();
            received.resource = attributes_of(metrics.resource.as_ref());
            let named = metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            received.metrics.extend(named.map(|metric| (metric.name.clone(), metric)));
        }
    }

    fn answer(&self, headers: &HeaderMap) -> StatusCode {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let mut received = self.received();
        received.keys.extend(text("api-key"));
        match text("content-type").as_deref() {
            Some("application/x-protobuf") if received.refuses => StatusCode::BAD_REQUEST,
            Some("application/x-protobuf") => StatusCode::OK,
            _ => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Names and texts of attributes.
pub fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

fn attributes_of(resource: Option<&Resource>) -> BTreeMap<String, String> {
    resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn traces(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    receiver.take_spans(request);
    receiver.answer(&headers)
}

async fn metrics(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    receiver.take_metrics(request);
    receiver.answer(&headers)
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take_spans(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take_metrics(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}
