//! The collector's own spans and metrics over OTLP, as a receiver gets them from the real process.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use support::collector::{Collector, run};
use support::otlp::{Receiver, attributes};
use telemetry_proto::v1::{HealthRequest, SetIntervalRequest, TelemetryMessage};
use telemetry_testing::{RedisServer, eventually};
use tokio::time::timeout;
use tonic::Request;

/// Exports and samples often.
const OFTEN: [(&str, &str); 3] = [
    ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
    ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
];

async fn start(redis: &RedisServer, endpoint: &str, vars: &[(&str, &str)]) -> Collector {
    let url = redis.url();
    let defaults = [("TELEMETRY_REDIS__URL", url.as_str()), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
    Collector::start(&[&defaults, &OFTEN[..], vars].concat()).await
}

async fn eventually_has(receiver: &Receiver, names: &[&str]) {
    for name in names {
        eventually(name, async || receiver.has(name)).await;
    }
}

const NAMES: [&str; 8] = [
    "collect",
    "publish",
    "collector.samples",
    "collector.collection.duration",
    "collector.messages.delivered",
    "collector.outbox.size",
    "collector.queue.length",
    "system.cpu.utilization",
];

#[tokio::test]
async fn exports_by_grpc() {
    let (receiver, address) = Receiver::by_grpc().await;
    let redis = RedisServer::start().await;
    let protocol = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let _collector = start(&redis, &format!("http://{address}"), &protocol).await;
    eventually_has(&receiver, &NAMES).await;
}

#[tokio::test]
async fn exports_by_http_unless_a_protocol_is_set() {
    let redis = RedisServer::start().await;
    let key = [("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a1b2")];
    for (prefix, vars) in [("", &key[..]), ("/tenant/7", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")])] {
        let (receiver, address) = Receiver::by_http(prefix).await;
        let collector = start(&redis, &format!("http://{address}{prefix}"), vars).await;
        eventually_has(&receiver, &NAMES).await;
        let sent = if prefix.is_empty() { vec!["a1b2".to_owned()] } else { Vec::new() };
        assert_eq!(Vec::from_iter(receiver.received().keys.clone()), sent);
        assert!(!collector.log().contains("cannot be exported"), "{}", collector.log());
    }
}

#[tokio::test]
async fn exports_each_signal_to_an_endpoint_and_by_a_protocol_of_its_own() {
    let (by_grpc, grpc) = Receiver::by_grpc().await;
    let (by_http, http) = Receiver::by_http("/otlp").await;
    let redis = RedisServer::start().await;
    let vars = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{http}/otlp/v1/traces")),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
    ];
    let vars = vars.each_ref().map(|(name, value)| (*name, value.as_str()));
    let _collector = start(&redis, &format!("http://{grpc}"), &vars).await;
    eventually_has(&by_http, &["collect"]).await;
    eventually_has(&by_grpc, &["collector.samples"]).await;
    assert!(by_http.received().metrics.is_empty() && by_grpc.received().spans.is_empty());
}

#[tokio::test]
async fn exports_pending_spans_and_metrics_at_shutdown() {
    let redis = RedisServer::start().await;
    let (by_grpc, grpc) = Receiver::by_grpc().await;
    let (by_http, http) = Receiver::by_http("").await;
    for (receiver, address, protocol) in [(by_grpc, grpc, "grpc"), (by_http, http, "http/protobuf")] {
        let seldom = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "3600000"),
        ];
        let _: u64 = redis.command(&["DEL", "telemetry:queue"]).await;
        let mut collector = start(&redis, &format!("http://{address}"), &seldom).await;
        eventually("a message is queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 0).await;
        collector.signal("TERM");
        assert_eq!(collector.ended().await.code(), Some(0));
        for name in ["collect", "collector.samples"] {
            assert!(receiver.has(name), "{name} by {protocol}: {receiver:?}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_endpoint_delays_nothing_and_is_logged_once() {
    let redis = RedisServer::start().await;
    for protocol in ["grpc", "http/protobuf"] {
        let vars = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_EXPORTER_OTLP_TIMEOUT", "200")];
        let _: u64 = redis.command(&["DEL", "telemetry:queue"]).await;
        let mut collector = start(&redis, "http://127.0.0.1:1", &vars).await;
        let logged = |what: &str| {
            let of_signal = format!("\"what\":\"{what}\"");
            collector
                .log()
                .lines()
                .filter(|line| line.contains("cannot be exported") && line.contains(&of_signal))
                .count()
        };
        eventually("the failure is logged", async || logged("spans") > 0 && logged("metrics") > 0).await;
        eventually("messages are queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 10).await;
        assert_eq!((logged("spans"), logged("metrics")), (1, 1), "{}", collector.log());
        collector.signal("TERM");
        let ended = timeout(Duration::from_secs(40), collector.ended()).await.expect("it ends");
        assert_eq!(ended.code(), Some(0));
    }
}

#[tokio::test]
async fn logs_when_the_receiver_refuses_and_when_it_accepts_again() {
    let redis = RedisServer::start().await;
    let (receiver, address) = Receiver::by_http("").await;
    receiver.received().refuses = true;
    let collector = start(&redis, &format!("http://{address}"), &[]).await;
    let logged = |text: &str| collector.log().lines().filter(|line| line.contains(text)).count();
    eventually("both refusals are logged", async || logged("status code: 400") == 2).await;
    assert_eq!(logged(r#""protocol":"http/protobuf""#), 2, "{}", collector.log());
    receiver.received().refuses = false;
    eventually("both exports work again", async || logged("are exported again") == 2).await;
    assert_eq!(logged("cannot be exported"), 2, "{}", collector.log());
}

#[tokio::test]
async fn warns_once_of_an_export_that_is_not_offered_and_keeps_sampling() {
    let redis = RedisServer::start().await;
    for (name, value, remedy) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "use http/protobuf or grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4317", "by http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4317", "such as http://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "such as http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no URL at all", "such as http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "user:hunter2@127.0.0.1:4317", "such as http://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@127.0.0.1:4317/ /", "such as http://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@[zz]", "such as http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "a number of milliseconds"),
    ] {
        let _: u64 = redis.command(&["DEL", "telemetry:queue"]).await;
        let mut collector = start(&redis, "http://127.0.0.1:1", &[(name, value)]).await;
        eventually("messages are queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 3).await;
        collector.signal("TERM");
        assert_eq!(collector.ended().await.code(), Some(0));
        let log = collector.log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains("are not exported")).collect();
        assert!(!warnings.is_empty() && warnings.iter().all(|line| line.contains(remedy)), "{name}={value}: {log}");
        assert_eq!(warnings.len(), 1, "{name}={value}: {log}");
        assert!(!log.contains("hunter2"), "{name}={value}: {log}");
    }
}

#[tokio::test]
async fn describes_service_and_host_by_the_semantic_conventions() {
    let (receiver, address) = Receiver::by_http("").await;
    let redis = RedisServer::start().await;
    let attributes = [("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,host.name=web-7")];
    let _collector = start(&redis, &format!("http://{address}"), &attributes).await;
    eventually_has(&receiver, &["collect", "collector.samples"]).await;
    let resource = receiver.received().resource.clone();
    let messages: Vec<String> = redis.command(&["LRANGE", "telemetry:queue", "0", "0"]).await;
    let message = TelemetryMessage::from_json(messages[0].as_bytes()).unwrap();
    for (name, value) in [
        ("service.name", "telemetry-collector"),
        ("service.version", telemetry_collector::version()),
        ("service.instance.id", &message.instance_id),
        ("host.name", "web-7"),
        ("deployment.environment.name", "staging"),
        ("os.type", "linux"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(resource.get(name).map(String::as_str), Some(value), "{name}: {resource:?}");
    }
    assert!(resource.contains_key("host.arch") && resource.contains_key("os.description"), "{resource:?}");
}

#[tokio::test]
async fn the_name_of_the_service_can_be_set() {
    let redis = RedisServer::start().await;
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-attribute");
    let name = ("OTEL_SERVICE_NAME", "by-name");
    for (vars, expected) in [(&[attributes][..], "by-attribute"), (&[attributes, name], "by-name")] {
        let (receiver, address) = Receiver::by_http("").await;
        let _collector = start(&redis, &format!("http://{address}"), vars).await;
        eventually_has(&receiver, &["collector.samples"]).await;
        assert_eq!(receiver.received().resource["service.name"], expected);
    }
}

#[tokio::test]
async fn the_modes_of_each_processor_add_up_to_all_of_its_time() {
    let (receiver, address) = Receiver::by_http("").await;
    let redis = RedisServer::start().await;
    let _collector = start(&redis, &format!("http://{address}"), &[]).await;
    let utilization = || {
        let metric = receiver.received().metrics.get("system.cpu.utilization").cloned();
        match metric.and_then(|metric| metric.data) {
            Some(Data::Gauge(gauge)) => gauge.data_points,
            _ => Vec::new(),
        }
    };
    eventually("utilization is exported", async || !utilization().is_empty()).await;
    let mut of_processors: BTreeMap<String, f64> = BTreeMap::new();
    for point in utilization() {
        let attributes = attributes(&point.attributes);
        assert!(attributes.contains_key("cpu.mode"), "{attributes:?}");
        let Some(Value::AsDouble(share)) = point.value else { panic!("{point:?}") };
        *of_processors.entry(attributes["cpu.logical_number"].clone()).or_default() += share;
    }
    assert!(of_processors.values().all(|sum| (sum - 1.0).abs() < 0.01), "{of_processors:?}");
}

#[tokio::test]
async fn continues_the_trace_of_the_caller() {
    const HEALTH: &str = "telemetry.v1.ControlService/Health";
    let (receiver, address) = Receiver::by_http("").await;
    let redis = RedisServer::start().await;
    let collector = start(&redis, &format!("http://{address}"), &[]).await;
    let mut control = collector.control().await;
    let mut call = async |traceparent: &str| {
        let mut request = Request::new(HealthRequest {});
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        control.health(request).await.unwrap();
    };
    call("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").await;
    call("nonsense").await;
    call("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let with_parent = || receiver.spans(HEALTH).into_iter().find(|span| !span.parent_span_id.is_empty());
    eventually("the call is exported", async || with_parent().is_some()).await;
    let span = with_parent().unwrap();
    assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(span.kind, SpanKind::Server as i32);
    let attributes = attributes(&span.attributes);
    assert_eq!(attributes["rpc.method"], HEALTH);
    assert_eq!(attributes["rpc.response.status_code"], "OK");
    let traces: Vec<_> = receiver.spans(HEALTH).iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces.len(), 2, "a caller that does not sample its trace, or one without a trace: {traces:?}");
}

#[tokio::test]
async fn only_a_failure_of_the_server_makes_a_span_an_error() {
    const SET_INTERVAL: &str = "telemetry.v1.ControlService/SetInterval";
    let (receiver, address) = Receiver::by_http("").await;
    let redis = RedisServer::start().await;
    let collector = start(&redis, &format!("http://{address}"), &[]).await;
    collector.control().await.set_interval(SetIntervalRequest::default()).await.unwrap_err();
    eventually("the call is exported", async || receiver.has(SET_INTERVAL)).await;
    let span = receiver.spans(SET_INTERVAL).remove(0);
    assert_eq!(attributes(&span.attributes)["rpc.response.status_code"], "INVALID_ARGUMENT");
    assert_ne!(span.status.unwrap_or_default().code, StatusCode::Error as i32);
}

#[tokio::test]
async fn print_config_shows_what_is_exported() {
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), ("OTEL_METRICS_EXPORTER", "none")];
    let printed = run(&["--print-config"], &vars).await;
    let last = "# OpenTelemetry: traces exported by http/protobuf, metrics off\n";
    assert!(printed.stdout.ends_with(last), "{}", printed.stdout);
}
