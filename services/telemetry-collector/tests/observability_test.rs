//! The collector's own observability: log lines on standard error, spans and metrics over OTLP.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::resource::v1::Resource;
use support::collector::Collector;
use telemetry_proto::v1::HealthRequest;
use telemetry_testing::{RedisServer, eventually};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// An OTLP receiver that records names.
#[derive(Debug, Clone, Default)]
struct Receiver {
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl Receiver {
    async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (receiver, address)
    }

    fn record(&self, kind: &str, name: &str) {
        self.names.lock().unwrap().insert(format!("{kind} {name}"));
    }

    fn record_service(&self, resource: Option<&Resource>) {
        let attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
        for attribute in attributes.filter(|attribute| attribute.key == "service.name") {
            self.record("service", &format!("{:?}", attribute.value));
        }
    }

    fn has(&self, wanted: &str) -> bool {
        self.names.lock().unwrap().iter().any(|name| name.contains(wanted))
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for spans in request.into_inner().resource_spans {
            self.record_service(spans.resource.as_ref());
            spans.scope_spans.iter().flat_map(|scope| &scope.spans).for_each(|span| self.record("span", &span.name));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for metrics in request.into_inner().resource_metrics {
            self.record_service(metrics.resource.as_ref());
            let names = metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            names.for_each(|metric| self.record("metric", &metric.name));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tokio::test]
async fn exports_spans_and_metrics_to_the_otlp_endpoint() {
    let (receiver, address) = Receiver::start().await;
    let redis = RedisServer::start().await;
    let _collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &redis.url()),
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ])
    .await;
    for name in [
        "span collect",
        "span publish",
        "metric collector.samples",
        "metric collector.collection.duration",
        "metric collector.messages.delivered",
        "metric collector.outbox.size",
        "metric collector.queue.length",
        "telemetry-collector",
    ] {
        eventually(name, async || receiver.has(name)).await;
    }
}

#[tokio::test]
async fn exports_pending_spans_and_metrics_at_shutdown() {
    let (receiver, address) = Receiver::start().await;
    let redis = RedisServer::start().await;
    let mut collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &redis.url()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "3600000"),
        ("OTEL_SERVICE_NAME", "named-by-the-user"),
    ])
    .await;
    eventually("a message is queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 0).await;
    collector.signal("TERM");
    assert_eq!(collector.ended().await.code(), Some(0));
    for name in ["span collect", "metric collector.samples", "named-by-the-user"] {
        assert!(receiver.has(name), "{name}: {receiver:?}");
    }
}

#[tokio::test]
async fn an_unreachable_otlp_endpoint_delays_nothing() {
    let redis = RedisServer::start().await;
    let mut collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &redis.url()),
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
    ])
    .await;
    eventually("messages are queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 3).await;
    collector.signal("TERM");
    let ended = timeout(Duration::from_secs(40), collector.ended()).await.expect("it ends");
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn warns_once_of_an_export_that_is_not_offered_and_keeps_sampling() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    for (name, value, remedy) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "use grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4317", "by http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4317", "such as http://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no URL at all", "such as http://127.0.0.1:4317"),
    ] {
        let _: u64 = redis.command(&["DEL", "telemetry:queue"]).await;
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        let vars = [("TELEMETRY_REDIS__URL", url.as_str()), ("TELEMETRY_COLLECTION__INTERVAL", "100ms"), endpoint];
        let mut collector = Collector::start(&[&vars[..], &[(name, value)]].concat()).await;
        eventually("messages are queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 3).await;
        collector.signal("TERM");
        assert_eq!(collector.ended().await.code(), Some(0));
        let log = collector.log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains("are not exported")).collect();
        assert!(!warnings.is_empty() && warnings.iter().all(|line| line.contains(remedy)), "{name}={value}: {log}");
        assert_eq!(warnings.len(), 1, "{name}={value}: {log}");
    }
}

#[tokio::test]
async fn log_lines_are_json_objects_with_time_level_and_message() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    for line in collector.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn logs_one_line_at_the_start_and_one_at_the_end_of_an_outage() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    redis.kill().await;
    let collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", "100ms")]).await;
    let count = |text: &str| collector.log().matches(text).count();
    eventually("the outage is logged", async || count("messages cannot be delivered") == 1).await;
    redis.restart().await;
    eventually("its end is logged", async || count("messages are delivered again") == 1).await;
    assert_eq!(count("messages cannot be delivered"), 1);
}

/// The broken connection is the first reason that is seen; that the password was changed is what somebody must know.
#[tokio::test]
async fn logs_each_reason_of_an_outage_once() {
    let redis = RedisServer::start().await;
    let vars = [("TELEMETRY_COLLECTION__INTERVAL", "100ms"), ("TELEMETRY_RETRY__REJECTED", "100ms")];
    let collector = Collector::start(&[&[("TELEMETRY_REDIS__URL", redis.url().as_str())], &vars[..]].concat()).await;
    eventually("messages are delivered", async || collector.log().contains("first message delivered")).await;
    // This connection stays logged in.
    let mut administrator = redis.connect().await.unwrap();
    for words in [["CONFIG", "SET", "requirepass", "changed"], ["CLIENT", "KILL", "TYPE", "normal"]] {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).exec_async(&mut administrator).await.unwrap();
    }
    let lines = |text: &str| collector.log().lines().filter(|line| line.contains(text)).count();
    eventually("the reason is logged", async || lines("NOAUTH") > 0).await;
    let mut refusals = 0;
    eventually("it is tried again and again", async || {
        refusals += usize::from(sink_error(&collector).await.contains("NOAUTH"));
        refusals > 20
    })
    .await;
    assert_eq!(lines("NOAUTH"), 1, "{}", collector.log());
    assert_eq!(lines("messages cannot be delivered; keeping them"), 1, "{}", collector.log());
}

async fn sink_error(collector: &Collector) -> String {
    let health = collector.control().await.health(HealthRequest {}).await.unwrap().into_inner();
    let sink = health.components.into_iter().find(|component| component.name == "sink");
    sink.and_then(|sink| sink.last_error).unwrap_or_default()
}
