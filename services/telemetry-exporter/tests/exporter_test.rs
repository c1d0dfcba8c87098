//! End-to-end tests of the exporter process with a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::time::Duration;

use support::{Exporter, QUEUE, push, run, sample};
use telemetry_client::proto::{ControlAction, ControlEvent, GapReason, GapRecord, Stamp, TelemetryMessage};
use telemetry_testing::{RedisServer, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn serves_the_latest_values_of_every_host() {
    let redis = RedisServer::start().await;
    let (web, db) = (Uuid::new_v4(), Uuid::new_v4());
    push(&redis, sample("web", web, 1, NOW, 10.0).to_json().unwrap()).await;
    push(&redis, sample("db", db, 1, NOW, 75.0).to_json().unwrap()).await;
    let exporter = Exporter::start(&redis, &[]).await;
    exporter.eventually_serves(r#"telemetry_cpu_usage_ratio{host="web"} 0.1"#).await;
    exporter.eventually_serves(r#"telemetry_cpu_core_usage_ratio{host="db",core="1"} 0.75"#).await;

    push(&redis, sample("web", web, 2, NOW, 20.0).to_json().unwrap()).await;
    exporter.eventually_serves(r#"telemetry_cpu_usage_ratio{host="web"} 0.2"#).await;
    exporter.eventually_serves("telemetry_exporter_hosts 2.0").await;
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
    eventually("everything is acknowledged", async || {
        redis.command::<Vec<String>>(&["KEYS", "*processing*"]).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn reads_all_shards_in_stream_mode() {
    let redis = RedisServer::start().await;
    for (shard, host) in ["web", "db"].iter().enumerate() {
        let message = sample(host, Uuid::new_v4(), 1, NOW, 10.0).to_json().unwrap();
        let mut add = redis::cmd("XADD");
        redis.run(add.arg(format!("{QUEUE}:{{{shard}}}")).arg("*").arg("message").arg(message)).await;
    }
    let vars = [("TELEMETRY_REDIS__MODE", "stream"), ("TELEMETRY_REDIS__SHARDS", "2")];
    let exporter = Exporter::start(&redis, &vars).await;
    exporter.eventually_serves(r#"telemetry_cpu_usage_ratio{host="web"} 0.1"#).await;
    exporter.eventually_serves(r#"telemetry_cpu_usage_ratio{host="db"} 0.1"#).await;
    exporter.eventually_serves("telemetry_exporter_messages_total 2").await;
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
}

#[tokio::test]
async fn does_not_serve_a_stale_host() {
    let redis = RedisServer::start().await;
    push(&redis, sample("gone", Uuid::new_v4(), 1, Duration::from_secs(3600), 10.0).to_json().unwrap()).await;
    push(&redis, sample("here", Uuid::new_v4(), 1, NOW, 10.0).to_json().unwrap()).await;
    let exporter = Exporter::start(&redis, &[("TELEMETRY_EXPORTER__HOST_EXPIRY", "1s")]).await;
    exporter.eventually_serves("telemetry_exporter_messages_total 2").await;
    assert!(!exporter.metrics().await.contains("gone"));
    // After three sampling intervals, which are longer than the expiry:
    exporter.eventually_serves("telemetry_exporter_hosts 0.0").await;
}

#[tokio::test]
async fn counts_duplicates_dead_letters_gaps_and_changes() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    let first = sample("web", instance, 1, NOW, 10.0).to_json().unwrap();
    push(&redis, &first).await;
    push(&redis, &first).await;
    push(&redis, "no message").await;
    push(&redis, r#"{"schema_version":"2.0.0"}"#).await;
    let stamp = Stamp {
        message_id: Uuid::now_v7(),
        instance_id: instance,
        sequence: 9,
        collected_at: std::time::SystemTime::now(),
    };
    let gap = TelemetryMessage::new(stamp, GapRecord::new([2..=8], GapReason::OutboxFull));
    push(&redis, gap.to_json().unwrap()).await;
    let change = ControlEvent {
        hostname: "web".to_owned(),
        action: ControlAction::IntervalSet.into(),
        previous_interval: Some(Duration::from_secs(1).into()),
        interval: Some(Duration::from_millis(200).into()),
        reason: "incident 4711".to_owned(),
        ..ControlEvent::default()
    };
    let change = TelemetryMessage::new(Stamp { message_id: Uuid::now_v7(), sequence: 10, ..stamp }, change);
    push(&redis, change.to_json().unwrap()).await;
    let exporter = Exporter::start(&redis, &[]).await;
    for line in [
        "telemetry_exporter_messages_total 3",
        "telemetry_exporter_duplicates_total 1",
        "telemetry_exporter_dead_letters_total 2",
        "telemetry_exporter_other_major_total 1",
        "telemetry_exporter_gap_numbers_total 7",
        "telemetry_exporter_control_events_total 1",
        "telemetry_exporter_instances_total 1",
    ] {
        exporter.eventually_serves(line).await;
    }
    assert!(exporter.log().contains("schema 2.0.0"), "{}", exporter.log());
    assert!(exporter.log().contains("incident 4711"), "{}", exporter.log());
}

#[tokio::test]
async fn keeps_running_and_reports_when_redis_is_down() {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let exporter = Exporter::start(&redis, &[]).await;
    exporter.eventually_serves("telemetry_exporter_queue_up 0.0").await;
    assert!(exporter.get("/healthz", "*/*").await.head.starts_with("http/1.1 200"));
    redis.restart().await;
    push(&redis, sample("web", Uuid::new_v4(), 1, NOW, 10.0).to_json().unwrap()).await;
    exporter.eventually_serves(r#"telemetry_cpu_usage_ratio{host="web"} 0.1"#).await;
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
}

#[tokio::test]
async fn a_signal_stops_it_without_leftover_keys() {
    let redis = RedisServer::start().await;
    for signal in ["TERM", "INT", "HUP"] {
        let mut exporter = Exporter::start(&redis, &[]).await;
        exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
        assert_eq!(exporter.end(signal).await.code(), Some(0), "{signal}");
        assert!(redis.command::<Vec<String>>(&["KEYS", "*alive*"]).await.is_empty(), "{signal}");
        assert_eq!(redis.command::<u64>(&["LLEN", QUEUE]).await, 0, "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_stops_it_immediately() {
    let redis = RedisServer::start().await;
    let mut exporter = Exporter::start(&redis, &[]).await;
    // Shutdown waits for a scrape that has begun.
    let mut scrape = TcpStream::connect(exporter.address).await.unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
    exporter.signal("TERM");
    eventually("it no longer listens", async || TcpStream::connect(exporter.address).await.is_err()).await;
    assert_eq!(exporter.end("INT").await.code(), Some(128 + 2));
    assert!(exporter.log().contains("second signal: ending at once"), "{}", exporter.log());
}

#[tokio::test]
async fn exits_with_78_or_69_when_it_cannot_start() {
    let wrong = run(&[], &[("TELEMETRY_EXPORTER__LISTN", "x")]).await;
    assert_eq!(wrong.code, Some(78));
    assert_eq!(
        wrong.stderr,
        "telemetry-exporter: TELEMETRY_EXPORTER__LISTN: no such setting; did you mean TELEMETRY_EXPORTER__LISTEN?\n"
    );

    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = run(&[], &[("TELEMETRY_EXPORTER__LISTEN", &address)]).await;
    assert_eq!(in_use.code, Some(69));
    assert!(in_use.stderr.contains(&address), "{}", in_use.stderr);
}

#[tokio::test]
async fn ignores_variables_of_other_programs_with_one_warning() {
    let redis = RedisServer::start().await;
    let of_kubernetes = [
        ("TELEMETRY_EXPORTER_SERVICE_HOST", "10.96.0.12"),
        ("TELEMETRY_EXPORTER_PORT_9464_TCP_ADDR", "10.96.0.12"),
        ("TELEMETRY_COLLECTOR_SERVICE_HOST", "10.96.0.10"),
        ("TELEMETRY_COLLECTOR_PORT", "tcp://10.96.0.10:50051"),
        ("TELEMETRY_COLLECTOR_PORT_50051_TCP_ADDR", "10.96.0.10"),
    ];
    let of_ours = [
        ("TELEMETRY_COLLECTION__INTERVAL", "1s"),
        ("TELEMETRY_REDIS__ENCODING", "json"),
        ("TELEMETRY_SPOOL__DIR", "/var/lib/telemetry/spool"),
        ("TELEMETRY_CONTROL__LISTEN", "127.0.0.1:50051"),
        ("TELEMETRY_PYTHON", "/usr/bin/python3"),
        ("TELEMETRY_BAZEL_ROUTE", "closed"),
    ];
    let inherited = [("PATH", "/usr/bin:/bin"), ("HOME", "/root"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    let exporter = Exporter::start(&redis, &[&of_kubernetes[..], &of_ours, &inherited].concat()).await;
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;

    let log = exporter.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("they are ignored")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(of_kubernetes.iter().all(|(name, _)| warnings[0].contains(name)), "{log}");
    assert!(!of_ours.iter().any(|(name, _)| warnings[0].contains(name)), "{log}");
}

#[tokio::test]
async fn help_lists_the_settings() {
    let help = run(&["--help"], &[]).await.stdout;
    assert!(help.contains("TELEMETRY_EXPORTER__HOST_EXPIRY=5m") && help.contains("Exit codes"), "{help}");
}

#[tokio::test]
async fn print_config_shows_the_settings_without_passwords() {
    let vars = [("TELEMETRY_REDIS__URL", "redis://me:hunter2@db:6379/0"), ("TELEMETRY_EXPORTER__HOST_EXPIRY", "90s")];
    let printed = run(&["--print-config"], &vars).await;
    assert_eq!(printed.code, Some(0));
    let printed = printed.stdout;
    assert!(printed.contains("TELEMETRY_REDIS__URL=redis://me:***@db:6379/0"), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("TELEMETRY_EXPORTER__HOST_EXPIRY=90s ")), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
}
