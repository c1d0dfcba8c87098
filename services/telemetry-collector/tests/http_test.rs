//! HTTP: probes and metrics, as the process that people run, with a real Redis.
//!
//! `promtool` must be on the PATH.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::{Value, json};
use support::collector::{Collector, run};
use support::http::{get, request};
use telemetry_openmetrics::{Exposition, Families, Format, Host, Sample, Source, write_hosts};
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{HealthRequest, SetIntervalRequest, TelemetryData, TelemetryMessage};
use telemetry_testing::{Finished, Process, RedisServer, eventually};
use tokio::net::{TcpListener, TcpStream};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0";

/// A collector that serves HTTP on a free port, and its address.
async fn serving(redis: &RedisServer, vars: &[(&str, &str)]) -> (Collector, SocketAddr) {
    let url = redis.url();
    let defaults = [("TELEMETRY_REDIS__URL", url.as_str()), ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0")];
    let mut collector = Collector::start(&[&defaults, vars].concat()).await;
    let address = collector.http_address().await;
    (collector, address)
}

async fn metrics(address: SocketAddr) -> String {
    get(address, "/metrics", &[]).await.body
}

async fn eventually_ready(address: SocketAddr, code: u16) {
    eventually(&format!("/readyz answers {code}"), async || get(address, "/readyz", &[]).await.code == code).await;
}

fn status_of(answer: &str, component: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let components = answer["components"].as_array().unwrap();
    components.iter().find(|found| found["name"] == component).unwrap()["status"].clone()
}

#[tokio::test]
async fn is_ready_during_a_redis_outage_unless_the_sink_is_required() {
    let mut redis = RedisServer::start().await;
    let (_default, by_default) = serving(&redis, &[]).await;
    let (_strict, with_sink) = serving(&redis, &[("TELEMETRY_HTTP__READY", "sampler,control,sink")]).await;
    eventually_ready(by_default, 200).await;
    eventually_ready(with_sink, 200).await;

    redis.kill().await;
    eventually_ready(with_sink, 503).await;
    let answer = get(with_sink, "/readyz", &[]).await;
    assert_eq!(status_of(&answer.body, "sink"), json!("degraded"));
    assert!(!answer.body.contains(&redis.url()), "an open endpoint tells an error: {}", answer.body);
    eventually("the other one notices, too", async || {
        status_of(&get(by_default, "/readyz", &[]).await.body, "sink") == json!("degraded")
    })
    .await;
    assert_eq!(get(by_default, "/readyz", &[]).await.code, 200);
    assert_eq!(get(with_sink, "/livez", &[]).await.code, 200, "a restart would not help");

    redis.restart().await;
    eventually_ready(with_sink, 200).await;
}

/// What the library makes of one message. telemetry-exporter serves the same.
#[derive(Debug)]
struct Expected(TelemetryMessage);

impl Source for Expected {
    fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Some(Payload::Data(TelemetryData { metadata: Some(metadata), metrics })) = &self.0.payload else {
            panic!()
        };
        let collected_at = self.0.collected_at.unwrap().try_into().unwrap();
        write_hosts(families, Host::of([Sample { collected_at, metadata, metrics: metrics.as_ref() }]).as_slice())
    }
}

#[tokio::test]
async fn serves_the_sample_of_the_queue_as_the_exporter_does() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[("TELEMETRY_COLLECTION__LABELS", "rack=a1")]).await;
    eventually("a sample with all shares is served", async || metrics(address).await.contains("_usage_ratio{")).await;
    let served = metrics(address).await;
    eventually("the queue has the sample", async || {
        let queue: Vec<String> = redis.command(&["LRANGE", "telemetry:queue", "0", "-1"]).await;
        queue.iter().any(|element| {
            let expected = Expected(TelemetryMessage::from_json(element.as_bytes()).unwrap());
            served.starts_with(&Exposition::new(expected).write(Format::Text).unwrap())
        })
    })
    .await;
    assert!(served.contains(r#"name="rack",value="a1"} 1.0"#), "{served}");
}

#[tokio::test]
async fn promtool_reports_no_problems() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[]).await;
    eventually("a sample is served", async || metrics(address).await.contains("telemetry_load_average{")).await;
    let mut promtool = Command::new("promtool");
    let finished = Process::run(promtool.args(["check", "metrics"]), &metrics(address).await).await;
    let Finished { code, stdout, stderr } = finished.expect("install it (Debian: apt-get install prometheus)");
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
}

#[tokio::test]
async fn serves_the_format_that_the_scraper_accepts() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[]).await;
    let open_metrics = get(address, "/metrics", &[OPEN_METRICS]).await;
    assert!(open_metrics.head.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(open_metrics.body.ends_with("# EOF\n"));
    let text = get(address, "/metrics", &[]).await;
    assert!(text.head.contains("content-type: text/plain; version=0.0.4"));
    assert!(!text.body.contains("# EOF"));
}

#[tokio::test]
async fn measures_the_process() {
    let redis = RedisServer::start().await;
    let (collector, address) = serving(&redis, &[]).await;
    let text = metrics(address).await;
    let value = |name: &str| value(&text, name).unwrap_or_else(|| panic!("{name} is not in:\n{text}"));
    let open_files = fs::read_dir(format!("/proc/{}/fd", collector.id())).unwrap().count();
    assert!((value("process_open_fds") - open_files as f64).abs() < 5.0, "{open_files}\n{text}");
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_max_fds") > 0.0);
    assert!(value("process_cpu_seconds_total") >= 0.0 && value("process_start_time_seconds") > 1e9);
}

/// The value of the sample with this name and these labels, if it is there.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')).map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn measures_sampling_delivery_and_calls() {
    let mut redis = RedisServer::start().await;
    let spool = tempfile::tempdir().unwrap();
    let directory = spool.path().to_str().unwrap();
    let (collector, address) =
        serving(&redis, &[("TELEMETRY_COLLECTION__INTERVAL", "100ms"), ("TELEMETRY_SPOOL__DIR", directory)]).await;
    let mut control = collector.control().await;
    control.health(HealthRequest {}).await.unwrap();
    control.set_interval(SetIntervalRequest::default()).await.unwrap_err();
    for sample in [
        r#"telemetry_collector_samples_total{group="cpu"}"#,
        r#"telemetry_collector_tick_delay_seconds_count{group="cpu"}"#,
        r#"telemetry_collector_collection_duration_seconds_bucket{le="+Inf",group="cpu"}"#,
        "telemetry_collector_publish_duration_seconds_count",
        "telemetry_collector_messages_delivered_total",
        "telemetry_collector_queue_length",
        r#"rpc_server_call_duration_seconds_count{rpc_system_name="grpc",rpc_method="telemetry.v1.ControlService/Health",rpc_response_status_code="OK"}"#,
        r#"rpc_server_call_duration_seconds_count{rpc_system_name="grpc",rpc_method="telemetry.v1.ControlService/SetInterval",rpc_response_status_code="INVALID_ARGUMENT"}"#,
    ] {
        eventually(sample, async || value(&metrics(address).await, sample).is_some_and(|count| count > 0.0)).await;
    }
    for sample in [
        r#"telemetry_collector_messages_lost_total{reason="outbox_full"}"#,
        r#"telemetry_collector_publish_errors_total{kind="rejected"}"#,
        r#"telemetry_collector_ticks_skipped_total{group="cpu"}"#,
        r#"telemetry_collector_control_changes_total{action="set"}"#,
    ] {
        let found = value(&metrics(address).await, sample);
        assert!(found.is_some(), "{sample}: its first event would not be seen by rate()");
    }
    let build =
        concat!(r#"telemetry_collector_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#"",schema="1.1.0"}"#);
    assert_eq!(value(&metrics(address).await, build), Some(1.0), "{}", metrics(address).await);

    redis.kill().await;
    for sample in [
        r#"telemetry_collector_publish_errors_total{kind="not reachable"}"#,
        "telemetry_collector_outbox_messages",
        "telemetry_collector_outbox_size_bytes",
        "telemetry_collector_spool_messages",
        "telemetry_collector_spool_size_bytes",
    ] {
        eventually(sample, async || value(&metrics(address).await, sample).is_some_and(|count| count > 0.0)).await;
    }
}

#[tokio::test]
async fn refuses_other_methods_and_paths() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[]).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        let connect = || TcpStream::connect(address);
        let head = request(connect().await.unwrap(), "HEAD", path, &[]).await;
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{path}");
        let post = request(connect().await.unwrap(), "POST", path, &[]).await;
        assert!(post.code == 405 && post.head.contains("allow: get,head"), "{post:?}");
    }
    let missing = get(address, "/nothing", &[]).await;
    assert_eq!(missing.code, 404);
    assert!(missing.head.contains("x-content-type-options: nosniff") && !missing.head.contains("\nserver:"));
}

/// The families of `text` that are not those of hosts, as the rows of a table.
fn table(text: &str) -> String {
    let of_hosts = Exposition::new(NoHost).write(Format::OpenMetrics).unwrap();
    let described = |what: &str, name: &str| {
        let of_family = format!("# {what} {name} ");
        text.lines().find_map(|line| line.strip_prefix(&of_family)).unwrap_or_default().to_owned()
    };
    let mut table = "| name | type | unit | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for line in text.lines().filter(|line| !of_hosts.lines().any(|of_host| of_host == *line)) {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|family| family.split_once(' ')) else {
            continue;
        };
        let suffix = if kind == "counter" { "_total" } else { "" };
        let (unit, meaning) = (described("UNIT", name), described("HELP", name));
        writeln!(table, "| `{name}{suffix}` | {kind} | {unit} | {meaning} |").unwrap();
    }
    table
}

#[derive(Debug)]
struct NoHost;

impl Source for NoHost {
    fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        write_hosts(families, &[])
    }
}

#[tokio::test]
async fn documentation_lists_every_metric_of_the_collector() {
    const BEGIN: &str = "<!-- metrics -->\n";
    const END: &str = "<!-- end of metrics -->\n";
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[]).await;
    let table = table(&get(address, "/metrics", &[OPEN_METRICS]).await.body);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
    let written = fs::read_to_string(&page).unwrap();
    let (before, rest) = written.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = [before, BEGIN, &table, END, after].concat();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &expected).unwrap();
        return;
    }
    let remedy = "run: UPDATE_DOCS=1 cargo test -p telemetry-collector --test http_test";
    assert!(written == expected, "docs/http.md is stale; {remedy}\n{table}");
}

#[tokio::test]
async fn warns_when_other_hosts_may_reach_it() {
    let redis = RedisServer::start().await;
    let vars = [("TELEMETRY_HTTP__LISTEN", "0.0.0.0:0"), ("TELEMETRY_HTTP__INSECURE", "true")];
    let (collector, address) = serving(&redis, &vars).await;
    assert_eq!(get(SocketAddr::from(([127, 0, 0, 1], address.port())), "/livez", &[]).await.code, 200);
    assert!(collector.log().contains("other hosts can reach HTTP"), "{}", collector.log());
}

/// The inodes of the sockets on which a process listens.
fn listening(process: u32) -> BTreeSet<String> {
    let table = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap());
    let listens = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
    let inode = |line: &str| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]"));
    let all: BTreeSet<_> = table.iter().flat_map(|table| table.lines().filter(listens).filter_map(inode)).collect();
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let files = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok()?.into_os_string().into_string().ok());
    files.filter(|file| all.contains(file)).collect()
}

#[tokio::test]
async fn does_not_listen_unless_an_address_is_set() {
    let redis = RedisServer::start().await;
    let without = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    assert_eq!(listening(without.id()).len(), 1, "the control API");
    assert!(!without.log().contains("HTTP"), "{}", without.log());
    let (with, _) = serving(&redis, &[]).await;
    assert_eq!(listening(with.id()).len(), 2);
}

#[tokio::test]
async fn exits_with_69_or_78_when_it_cannot_serve() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = run(&[], &[("TELEMETRY_HTTP__LISTEN", &address)]).await;
    assert_eq!(in_use.code, Some(69));
    let line = format!("cannot listen on {address} (TELEMETRY_HTTP__LISTEN)");
    assert!(in_use.stderr.contains(&line), "{}", in_use.stderr);

    let reachable = run(&[], &[("TELEMETRY_HTTP__LISTEN", "0.0.0.0:0"), ("TELEMETRY_LOG__FILTER", "off")]).await;
    assert_eq!(reachable.code, Some(78));
    assert_eq!(
        reachable.stderr,
        "telemetry-collector: TELEMETRY_HTTP__LISTEN: 0.0.0.0:0 can be reached from other hosts: set \
         TELEMETRY_HTTP__TLS_CERT, TELEMETRY_HTTP__TLS_KEY and either TELEMETRY_HTTP__TOKENS_FILE or \
         TELEMETRY_HTTP__TLS_CLIENT_CA; or listen on 127.0.0.1. TELEMETRY_HTTP__INSECURE=true allows it without\n"
    );

    let unknown = run(&[], &[("TELEMETRY_HTTP__READY", "redis")]).await;
    assert_eq!(unknown.code, Some(78));
    assert!(unknown.stderr.starts_with("telemetry-collector: TELEMETRY_HTTP__READY: "), "{}", unknown.stderr);

    for (component, variable) in [("spool", "TELEMETRY_SPOOL__DIR"), ("state_file", "TELEMETRY_CONTROL__STATE_FILE")] {
        let absent = run(&[], &[("TELEMETRY_HTTP__READY", component), ("TELEMETRY_LOG__FILTER", "off")]).await;
        let expected = format!("telemetry-collector: TELEMETRY_HTTP__READY: {component} needs {variable}\n");
        assert_eq!((absent.code, absent.stderr), (Some(78), expected));
    }
}
