//! OTLP and `/metrics` show the same instruments: same meaning, same attributes, and names that differ only by the rules that
//! OpenTelemetry has for Prometheus.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use support::collector::Collector;
use support::http::get;
use support::otlp::{Receiver, attributes};
use telemetry_proto::v1::SetIntervalRequest;
use telemetry_proto::well_known::Duration;
use telemetry_testing::{RedisServer, eventually};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0";

/// Kind, meaning and names of the attributes of a family that has values.
type Families = BTreeMap<String, (String, String, BTreeSet<String>)>;

/// What `metrics` of OTLP have to be named in Prometheus.
fn of_otlp<'a>(metrics: impl IntoIterator<Item = &'a Metric>) -> Families {
    let own = metrics.into_iter().filter(|metric| !metric.name.starts_with("system."));
    own.map(|metric| {
        let (kind, suffix, point) = match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => ("counter", "_total", attributes(&sum.data_points[0].attributes)),
            Data::Gauge(gauge) => ("gauge", "", attributes(&gauge.data_points[0].attributes)),
            Data::Histogram(histogram) => ("histogram", "", attributes(&histogram.data_points[0].attributes)),
            other => panic!("{other:?}"),
        };
        let unit = match metric.unit.as_str() {
            "s" => "_seconds",
            "By" => "_bytes",
            none if none.is_empty() || none.starts_with('{') => "",
            other => panic!("{other}"),
        };
        let namespace = if metric.name.starts_with("collector.") { "telemetry_" } else { "" };
        let name = format!("{namespace}{}{unit}{suffix}", metric.name.replace('.', "_"));
        let labels = point.keys().map(|name| name.replace('.', "_")).collect();
        (name, (kind.to_owned(), metric.description.clone(), labels))
    })
    .collect()
}

/// The families of the collector itself in `text`.
fn of_text(text: &str) -> Families {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let own = families.filter(|(name, _)| name.starts_with("telemetry_collector_") || name.starts_with("rpc_"));
    own.filter_map(|(name, kind)| {
        let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap();
        let (suffix, sample) = match kind {
            "counter" => ("_total", "_total"),
            "histogram" => ("", "_count"),
            _ => ("", ""),
        };
        let sample = format!("{name}{sample}");
        let rest =
            text.lines().find_map(|line| line.strip_prefix(&sample).filter(|rest| rest.starts_with(['{', ' '])))?;
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned())).collect();
        Some((format!("{name}{suffix}"), (kind.to_owned(), help.to_owned(), labels)))
    })
    .collect()
}

#[tokio::test]
async fn otlp_and_prometheus_have_the_same_instruments() {
    let (receiver, otlp) = Receiver::by_http("").await;
    let redis = RedisServer::start().await;
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &redis.url()),
        ("TELEMETRY_COLLECTION__INTERVAL", "200ms"),
        ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0"),
        ("TELEMETRY_SPOOL__DIR", spool.path().to_str().unwrap()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{otlp}")),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ])
    .await;
    let http = collector.http_address().await;
    let interval = Some(Duration { seconds: 0, nanos: 100_000_000 });
    let request = SetIntervalRequest { interval, ..SetIntervalRequest::default() };
    collector.control().await.set_interval(request).await.unwrap();

    let scraped = async || get(http, "/metrics", &[OPEN_METRICS]).await.body;
    let exported = || of_otlp(receiver.received().metrics.values());
    eventually("the first batch is measured by both", async || {
        let queue = "telemetry_collector_queue_length".to_owned();
        exported().contains_key(&queue) && of_text(&scraped().await).contains_key(&queue)
    })
    .await;
    eventually("both have the same", async || exported() == of_text(&scraped().await)).await;
    assert!(exported().len() > 12, "{:?}", exported().keys());

    let changes = r#"telemetry_collector_control_changes_total{action="set"} 1"#;
    assert!(scraped().await.lines().any(|line| line == changes), "{}", scraped().await);
    let received = receiver.received().metrics["collector.control.changes"].clone();
    let Some(Data::Sum(sum)) = received.data else { panic!("{received:?}") };
    let set = sum.data_points.iter().find(|point| attributes(&point.attributes)["action"] == "set");
    assert_eq!((set.and_then(value), sum.is_monotonic), (Some(1), true));
}

fn value(point: &NumberDataPoint) -> Option<i64> {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => Some(value),
        _ => None,
    }
}
