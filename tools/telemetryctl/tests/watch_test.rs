//! `telemetryctl watch` in a pipe.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use serde_json::Value;
use support::{Collector, nobody, start_ctl};
use telemetry_proto::v1::watch_snapshots_response::Event;
use telemetry_proto::v1::{DeliveryState, WatchSnapshotsResponse};
use telemetry_testing::{RedisServer, eventually};

async fn collector(redis: &RedisServer) -> Collector {
    Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url()), ("TELEMETRY_COLLECTION__INTERVAL", "100ms")]).await
}

#[tokio::test]
async fn writes_a_line_a_message_when_it_is_not_a_terminal() {
    let redis = RedisServer::start().await;
    let (one, two) = (collector(&redis).await, collector(&redis).await);
    let mut watch = start_ctl(&["watch", "--target", &one.target(), "--target", &two.target()], &[]);
    let lines_of = |output: &str, target: &str| output.lines().filter(|line| line.starts_with(target)).count();
    eventually("both are watched", async || {
        let output = watch.stdout();
        [&one, &two].iter().all(|collector| lines_of(&output, &collector.target()) >= 3)
    })
    .await;
    watch.signal("INT");
    assert_eq!(watch.ended().await.code(), Some(130));
    let output = watch.stdout();
    assert!(output.lines().all(|line| line.contains(" message ") && line.contains(" cpu ")), "{output}");
    assert!(!output.contains('\x1b'), "{output}");
}

#[tokio::test]
async fn writes_the_events_of_the_schema_as_json_lines() {
    let redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let watch = start_ctl(&["watch", "--target", &collector.target(), "--output", "json"], &[]);
    eventually("a message is acknowledged", async || {
        let lines: Vec<Value> = watch.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["target"] == collector.target()), "{lines:?}");
        let events =
            lines.iter().map(|line| serde_json::from_value::<WatchSnapshotsResponse>(line["event"].clone()).unwrap());
        let events: Vec<_> = events.filter_map(|response| response.event).collect();
        let is_message = events.iter().any(|event| matches!(event, Event::Message(message) if message.check().is_ok()));
        let acknowledged =
            |event: &Event| matches!(event, Event::Delivery(update) if update.state() == DeliveryState::Acknowledged);
        is_message && events.iter().any(acknowledged)
    })
    .await;
}

#[tokio::test]
async fn tells_the_beginning_and_the_end_of_an_outage() {
    let mut redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let watch = start_ctl(&["watch", "--target", &collector.target()], &[]);
    eventually("it is watched", async || watch.stdout().contains(" message ")).await;
    redis.kill().await;
    eventually("the outage is told", async || watch.stdout().contains("HEALTH: sink is degraded: ")).await;
    redis.restart().await;
    eventually("its end is told", async || watch.stdout().contains("HEALTH: sink is serving again")).await;
}

#[tokio::test]
async fn ends_with_4_when_every_collector_has_gone() {
    let redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let (target, nobody) = (collector.target(), nobody());
    let mut watch = start_ctl(&["watch", "--target", &target, "--target", &nobody], &[]);
    eventually("one is watched", async || watch.stdout().contains(&target)).await;
    eventually("the other is reported", async || watch.stderr().contains(&nobody)).await;
    drop(collector);
    assert_eq!(watch.ended().await.code(), Some(4));
    let errors = watch.stderr();
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[tokio::test]
async fn ends_quietly_when_nobody_reads_any_more() {
    let redis = RedisServer::start().await;
    let target = collector(&redis).await;
    let command = format!("{} watch --target {} | head -n 2", env!("CARGO_BIN_EXE_telemetryctl"), target.target());
    let words = ["/bin/bash", "-o", "pipefail", "-c", &command];
    let vars = [("PATH", "/usr/bin:/bin")];
    let finished = telemetry_testing::Process::run(&mut telemetry_testing::Process::command(&words, &vars), "").await;
    let finished = finished.unwrap();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    assert_eq!(finished.stdout.lines().count(), 2);
}
