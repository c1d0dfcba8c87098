//! End-to-end tests of the collector process with a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use support::collector::{self, Collector};
use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{
    GetSnapshotRequest, HealthRequest, HealthResponse, HealthStatus, SCHEMA_VERSION, SetIntervalRequest,
    TelemetryMessage, UnavailableReason,
};
use telemetry_proto::well_known;
use telemetry_testing::{RedisServer, eventually};
use tokio::time::timeout;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const QUEUE: &str = "telemetry:queue";
/// Short enough for a quick test, long enough for a loaded machine.
const FAST: &str = "100ms";

async fn queue(redis: &RedisServer) -> Vec<TelemetryMessage> {
    // LPUSH puts the newest message first.
    let items: Vec<Vec<u8>> = redis.command(&["LRANGE", QUEUE, "0", "-1"]).await;
    items.iter().rev().map(|json| TelemetryMessage::from_json(json).unwrap()).collect()
}

async fn queue_length(redis: &RedisServer) -> u64 {
    redis.command(&["LLEN", QUEUE]).await
}

async fn eventually_queued(redis: &RedisServer, count: u64) {
    eventually("messages are queued", async || queue_length(redis).await >= count).await;
}

/// Asserts that each sequence number from 1 is in the queue once and in order, or in a gap record.
fn assert_nothing_lost(messages: &[TelemetryMessage]) {
    let instances: BTreeSet<_> = messages.iter().map(|message| &message.instance_id).collect();
    for instance in instances {
        let of_instance: Vec<_> = messages.iter().filter(|message| message.instance_id == *instance).collect();
        let delivered: Vec<u64> = of_instance.iter().map(|message| message.sequence).collect();
        assert!(delivered.windows(2).all(|pair| pair[0] < pair[1]), "not in order: {delivered:?}");
        let named = of_instance.iter().filter_map(|message| match &message.payload {
            Some(Payload::Gap(gap)) => Some(gap.missing.iter().flat_map(|range| range.first..=range.last)),
            _ => None,
        });
        let mut accounted: Vec<u64> = delivered.iter().copied().chain(named.flatten()).collect();
        accounted.sort_unstable();
        assert_eq!(accounted, (1..=*accounted.last().unwrap()).collect::<Vec<_>>());
    }
}

fn samples(messages: &[TelemetryMessage]) -> usize {
    messages.iter().filter(|message| matches!(message.payload, Some(Payload::Data(_)))).count()
}

async fn health(collector: &Collector) -> HealthResponse {
    collector.control().await.health(HealthRequest {}).await.unwrap().into_inner()
}

async fn sink(collector: &Collector) -> (HealthStatus, Option<String>) {
    let response = health(collector).await;
    let sink = response.components.iter().find(|component| component.name == "sink").unwrap();
    (sink.status(), sink.last_error.clone())
}

fn interval(span: Duration) -> SetIntervalRequest {
    SetIntervalRequest { interval: Some(span.into()), ..Default::default() }
}

#[tokio::test]
async fn samples_arrive_in_order() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let _collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &url),
        ("TELEMETRY_COLLECTION__INTERVAL", FAST),
        ("TELEMETRY_COLLECTION__LABELS", "rack=a1"),
    ])
    .await;
    eventually_queued(&redis, 3).await;

    let messages = queue(&redis).await;
    assert_nothing_lost(&messages);
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message.schema_version, SCHEMA_VERSION);
        let Some(Payload::Data(data)) = &message.payload else { panic!("{message:?}") };
        let metadata = data.metadata.as_ref().unwrap();
        assert!(!metadata.hostname.is_empty() && !metadata.kernel.is_empty() && !metadata.arch.is_empty());
        assert_eq!(metadata.collector_version, telemetry_collector::version());
        assert_eq!(metadata.labels["rack"], "a1");
        let Some(Metrics::Cpu(cpu)) = &data.metrics else { panic!("{data:?}") };
        assert_eq!(cpu.cores.len(), cpu.logical_count as usize);
        let first_sample = cpu.unavailable.iter().any(|absent| absent.reason() == UnavailableReason::FirstSample);
        assert_eq!(first_sample, index == 0, "{:?}", cpu.unavailable);
        assert!(cpu.load_averages.is_some());
    }
    let ages = messages.iter().map(|message| SystemTime::try_from(message.collected_at.unwrap()).unwrap());
    assert!(ages.collect::<Vec<_>>().is_sorted());
}

#[tokio::test]
async fn get_snapshot_returns_a_message_that_is_in_the_queue() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url)]).await;
    eventually_queued(&redis, 1).await;
    let snapshot = collector.control().await.get_snapshot(GetSnapshotRequest::default()).await.unwrap().into_inner();
    let [cpu] = snapshot.snapshots.as_slice() else { panic!("{snapshot:?}") };
    assert_eq!((cpu.group.as_str(), &cpu.message, cpu.age), ("cpu", &snapshot.message, snapshot.age));
    let message = snapshot.message.unwrap();
    assert!(Duration::try_from(snapshot.age.unwrap()).unwrap() < Duration::from_secs(60));
    eventually("the snapshot is queued", async || queue(&redis).await.contains(&message)).await;
}

#[tokio::test]
async fn set_interval_takes_effect_at_once_and_returns_the_previous_interval() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", "1h")]).await;
    eventually_queued(&redis, 1).await;

    let mut control = collector.control().await;
    let changed = control.set_interval(interval(Duration::from_millis(100))).await.unwrap().into_inner();
    assert_eq!(changed.previous_interval.unwrap().to_string(), "3600s");
    assert_eq!(changed.interval.unwrap().to_string(), "0.100s");
    eventually_queued(&redis, 4).await;

    let messages = queue(&redis).await;
    assert_nothing_lost(&messages);
    assert!(matches!(messages[1].payload, Some(Payload::Control(_))), "{:?}", messages[1]);
    let Some(Payload::Data(data)) = &messages[2].payload else { panic!("{:?}", messages[2]) };
    assert_eq!(data.metadata.as_ref().unwrap().interval.unwrap().to_string(), "0.100s");
    let Some(Metrics::Cpu(cpu)) = &data.metrics else { panic!("{data:?}") };
    assert!(cpu.usage_percent.is_some(), "usage covers the time since the first sample");
}

#[tokio::test]
async fn set_interval_rejects_values_out_of_range_and_names_the_range() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url)]).await;
    let mut control = collector.control().await;
    let wrong = [
        interval(Duration::from_millis(99)),
        interval(Duration::from_secs(3601)),
        interval(Duration::ZERO),
        SetIntervalRequest { interval: Some(well_known::Duration { seconds: -1, nanos: 0 }), ..Default::default() },
        SetIntervalRequest {
            interval: Some(well_known::Duration { seconds: -1, nanos: i32::MAX }),
            ..Default::default()
        },
        SetIntervalRequest {
            interval: Some(well_known::Duration { seconds: i64::MIN, nanos: i32::MIN }),
            ..Default::default()
        },
        SetIntervalRequest { interval: None, ..Default::default() },
    ];
    for request in wrong {
        let status = control.set_interval(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}");
        assert!(status.message().contains("from 100ms to 1h"), "{status}");
    }
}

#[tokio::test]
async fn serves_grpc_health_and_reflection() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url)]).await;
    eventually_queued(&redis, 1).await;

    let mut client = HealthClient::new(collector.channel().await);
    for service in ["", "sampler", "sink", "control"] {
        eventually("the service is serving", async || {
            let request = HealthCheckRequest { service: service.to_owned() };
            client.check(request).await.unwrap().into_inner().status
                == tonic_health::pb::health_check_response::ServingStatus::Serving as i32
        })
        .await;
    }
    let unknown = client.check(HealthCheckRequest { service: "nobody".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(collector.channel().await);
    let mut answers =
        reflection.server_reflection_info(Request::new(tokio_stream::once(request))).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    let names: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains("telemetry.v1.ControlService"), "{names:?}");
    assert!(names.contains("grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn delivers_everything_once_redis_is_up() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    redis.kill().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", FAST)]).await;
    eventually("the sink is degraded", async || sink(&collector).await.0 == HealthStatus::Degraded).await;
    let whole = health(&collector).await;
    assert_eq!(whole.status(), HealthStatus::Degraded);
    collector.control().await.get_snapshot(GetSnapshotRequest::default()).await.expect("sampling continues");

    redis.restart().await;
    eventually("the sink has recovered", async || sink(&collector).await.0 == HealthStatus::Serving).await;
    assert!(sink(&collector).await.1.is_some(), "the last error is kept");
    eventually_queued(&redis, 5).await;
    let messages = queue(&redis).await;
    assert_nothing_lost(&messages);
    assert_eq!(messages[0].sequence, 1);
}

#[tokio::test]
async fn keeps_sampling_and_loses_nothing_while_redis_hangs() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", FAST)]).await;
    eventually_queued(&redis, 2).await;
    redis.pause();
    eventually("the sink is degraded", async || sink(&collector).await.0 == HealthStatus::Degraded).await;
    let mut control = collector.control().await;
    let during = control.get_snapshot(GetSnapshotRequest::default()).await.unwrap().into_inner().message.unwrap();
    eventually("sampling continues", async || {
        let now = control.get_snapshot(GetSnapshotRequest::default()).await.unwrap().into_inner().message.unwrap();
        now.sequence > during.sequence + 3
    })
    .await;
    redis.resume();
    eventually("the sink has recovered", async || sink(&collector).await.0 == HealthStatus::Serving).await;

    // Redis may have accepted a batch whose answer timed out. Duplicates have the same (instance_id, sequence).
    let mut messages = queue(&redis).await;
    let mut seen = BTreeSet::new();
    messages.retain(|message| seen.insert(message.sequence));
    messages.sort_by_key(|message| message.sequence);
    assert_nothing_lost(&messages);
    assert!(messages.len() as u64 > during.sequence);
}

#[tokio::test]
async fn reports_messages_dropped_by_a_full_outbox_in_a_gap_record() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    redis.kill().await;
    let collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &url),
        ("TELEMETRY_COLLECTION__INTERVAL", FAST),
        ("TELEMETRY_COLLECTION__LABELS", &format!("wide={}", "w".repeat(100_000))),
        ("TELEMETRY_OUTBOX__MAX_BYTES", "1MiB"),
    ])
    .await;
    let mut control = collector.control().await;
    eventually("the outbox is too small", async || {
        let snapshot = control.get_snapshot(GetSnapshotRequest::default()).await;
        snapshot.is_ok_and(|snapshot| snapshot.into_inner().message.unwrap().sequence > 14)
    })
    .await;
    redis.restart().await;
    eventually("a gap record is queued", async || {
        queue(&redis).await.iter().any(|message| matches!(message.payload, Some(Payload::Gap(_))))
    })
    .await;
    assert_nothing_lost(&queue(&redis).await);
}

#[tokio::test]
async fn trims_the_queue_to_its_newest_messages() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &url),
        ("TELEMETRY_REDIS__MAX_LENGTH", "3"),
        ("TELEMETRY_COLLECTION__INTERVAL", FAST),
    ])
    .await;
    let mut control = collector.control().await;
    eventually("more samples than the cap", async || {
        let snapshot = control.get_snapshot(GetSnapshotRequest::default()).await;
        snapshot.is_ok_and(|snapshot| snapshot.into_inner().message.unwrap().sequence > 5)
    })
    .await;
    eventually("the oldest are gone", async || queue(&redis).await.first().is_some_and(|m| m.sequence > 2)).await;
    assert!(queue_length(&redis).await <= 3);
}

#[tokio::test]
async fn reports_a_key_of_the_wrong_type_and_keeps_running() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let _: String = redis.command(&["SET", QUEUE, "not a list"]).await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url)]).await;
    eventually("the sink is down", async || sink(&collector).await.0 == HealthStatus::NotServing).await;
    let (_, error) = sink(&collector).await;
    assert!(error.as_deref().is_some_and(|error| error.contains("WRONGTYPE")), "{error:?}");
    assert_eq!(health(&collector).await.status(), HealthStatus::Degraded);
}

/// Stops a collector by `signal` while messages are pending, and asserts that they are delivered and the log says so.
async fn delivers_pending_messages_and_exits_with_0(signal: &str) {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let mut collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", FAST)]).await;
    eventually_queued(&redis, 3).await;
    redis.pause();
    let mut control = collector.control().await;
    let seen = control.get_snapshot(GetSnapshotRequest::default()).await.unwrap().into_inner().message.unwrap();
    collector.signal(signal);
    eventually("it logs that it is stopping", async || collector.log().contains("stopping")).await;
    redis.resume();
    assert_eq!(collector.ended().await.code(), Some(0));

    let messages = queue(&redis).await;
    assert!(messages.iter().any(|message| message.sequence == seen.sequence));
    assert!(collector.log().contains("every message was delivered"), "{}", collector.log());
    assert_eq!(samples(&messages), messages.len());
}

#[tokio::test]
async fn sigterm_delivers_pending_messages_and_exits_with_0() {
    delivers_pending_messages_and_exits_with_0("TERM").await;
}

#[tokio::test]
async fn sighup_delivers_pending_messages_and_exits_with_0() {
    delivers_pending_messages_and_exits_with_0("HUP").await;
}

#[tokio::test]
async fn sighup_stays_ignored_under_nohup() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let vars = [("TELEMETRY_REDIS__URL", url.as_str()), ("TELEMETRY_COLLECTION__INTERVAL", FAST)];
    let mut collector = Collector::start_through(&["nohup"], &vars).await;
    eventually_queued(&redis, 1).await;
    collector.signal("HUP");
    let before = queue_length(&redis).await;
    eventually_queued(&redis, before + 5).await;
    collector.signal("TERM");
    assert_eq!(collector.ended().await.code(), Some(0));
    assert_eq!(collector.log().matches("stopping").count(), 1, "{}", collector.log());
}

#[tokio::test]
async fn shutdown_ends_after_the_grace_period_and_reports_undelivered_messages() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    redis.kill().await;
    let mut collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_SHUTDOWN__GRACE", "200ms")]).await;
    let mut control = collector.control().await;
    eventually("a sample is taken", async || control.get_snapshot(GetSnapshotRequest::default()).await.is_ok()).await;
    collector.signal("INT");
    let status = timeout(Duration::from_secs(30), collector.ended()).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(collector.log().contains("undelivered"), "{}", collector.log());
}

#[tokio::test]
async fn a_second_signal_stops_it_immediately() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    redis.kill().await;
    let mut collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_SHUTDOWN__GRACE", "10m")]).await;
    let mut control = collector.control().await;
    eventually("a sample is taken", async || control.get_snapshot(GetSnapshotRequest::default()).await.is_ok()).await;
    collector.signal("TERM");
    eventually("it logs that it is stopping", async || collector.log().contains("stopping")).await;
    collector.signal("TERM");
    assert_eq!(collector.ended().await.code(), Some(128 + 15));
    assert!(collector.log().contains("messages that wait are lost"), "{}", collector.log());
}

#[tokio::test]
async fn port_in_use_is_one_line_and_exit_code_69() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = collector::run(&[], &[("TELEMETRY_CONTROL__LISTEN", &address)]).await;
    assert_eq!(ended.code, Some(69));
    assert!(ended.stderr.contains(&format!("cannot listen on {address}")), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn invalid_settings_are_one_line_each_and_exit_code_78() {
    let ended = collector::run(
        &[],
        &[
            ("TELEMETRY_CONTROL__LISTEN", "localhost"),
            ("TELEMETRY_COLLECTION__INTERVALL", "1s"),
            ("TELEMETRY_REDIS__URL", "http://:hunter2@db"),
        ],
    )
    .await;
    assert_eq!(ended.code, Some(78));
    assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean TELEMETRY_COLLECTION__INTERVAL?"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[tokio::test]
async fn rejects_a_spool_directory_that_is_a_file() {
    for directory in ["/etc/passwd", "/etc/passwd/spool"] {
        let ended = collector::run(&[], &[("TELEMETRY_SPOOL__DIR", directory)]).await;
        let line = "telemetry-collector: TELEMETRY_SPOOL__DIR: /etc/passwd is not a directory\n";
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(78), line), "{directory}");
    }
}

#[tokio::test]
async fn ignores_variables_of_other_programs_with_one_warning() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let of_kubernetes = [
        ("TELEMETRY_COLLECTOR_SERVICE_HOST", "10.96.0.10"),
        ("TELEMETRY_COLLECTOR_SERVICE_PORT", "50051"),
        ("TELEMETRY_COLLECTOR_SERVICE_PORT_GRPC", "50051"),
        ("TELEMETRY_COLLECTOR_PORT", "tcp://10.96.0.10:50051"),
        ("TELEMETRY_COLLECTOR_PORT_50051_TCP", "tcp://10.96.0.10:50051"),
        ("TELEMETRY_COLLECTOR_PORT_50051_TCP_PROTO", "tcp"),
        ("TELEMETRY_COLLECTOR_PORT_50051_TCP_PORT", "50051"),
        ("TELEMETRY_COLLECTOR_PORT_50051_TCP_ADDR", "10.96.0.10"),
        ("TELEMETRY_REDIS_SERVICE_HOST", "10.96.0.11"),
        ("TELEMETRY_REDIS_PORT", "tcp://10.96.0.11:6379"),
    ];
    let of_ours = [
        ("TELEMETRY_EXPORTER__LISTEN", "[::]:9464"),
        ("TELEMETRY_EXPORTER__HOST_EXPIRY", "5m"),
        ("TELEMETRY_PYTHON", "/usr/bin/python3"),
        ("TELEMETRY_BAZEL_ROUTE", "closed"),
    ];
    let inherited =
        [("PATH", "/usr/bin:/bin"), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("KUBERNETES_PORT", "tcp://10.96.0.1:443")];
    let vars = [&of_kubernetes[..], &of_ours, &inherited, &[("TELEMETRY_REDIS__URL", url.as_str())]].concat();
    let collector = Collector::start(&vars).await;
    eventually_queued(&redis, 1).await;

    let log = collector.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("they are ignored")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for (name, _) in of_kubernetes {
        assert!(warnings[0].contains(name), "{name}: {log}");
    }
    for (name, _) in of_ours {
        assert!(!warnings[0].contains(name), "{name}: {log}");
    }
}

#[tokio::test]
async fn help_version_and_print_config_work_without_redis() {
    let help = collector::run(&["--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("TELEMETRY_REDIS__URL") && help.stdout.contains("Exit codes"), "{}", help.stdout);

    let version = collector::run(&["--version"], &[]).await;
    let expected = format!("telemetry-collector {} (schema {SCHEMA_VERSION})\n", telemetry_collector::version());
    assert_eq!((version.code, version.stdout), (Some(0), expected));

    let config = collector::run(&["--print-config"], &[("TELEMETRY_REDIS__URL", "redis://me:hunter2@db:6379/0")]).await;
    assert_eq!(config.code, Some(0));
    assert!(config.stdout.contains("TELEMETRY_REDIS__URL=redis://me:***@db:6379/0"), "{}", config.stdout);
    assert!(!config.stdout.contains("hunter2"));
}
