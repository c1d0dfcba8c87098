//! What telemetryctl does with a real Redis: the tail of the queue, and the doctor.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::time::SystemTime;

use serde_json::Value;
use support::{Collector, ctl, ctl_with, json, nobody, start_ctl};
use telemetry_proto::v1::{GapReason, GapRecord, Stamp, TelemetryMessage};
use telemetry_testing::{Finished, RedisServer, eventually};
use uuid::Uuid;

const QUEUE: &str = "telemetry:queue";

async fn length(redis: &RedisServer) -> u64 {
    redis.command(&["LLEN", QUEUE]).await
}

/// A collector that has delivered so many messages and is then quiet.
async fn quiet_collector(redis: &RedisServer, url: &str) -> Collector {
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", url), ("TELEMETRY_COLLECTION__INTERVAL", "1h")]).await;
    eventually("the first message is delivered", async || length(redis).await > 0).await;
    let target = collector.target();
    eventually("the collector serves", async || ctl(&["health", "--target", &target]).await.code == Some(0)).await;
    collector
}

async fn push_gap(redis: &RedisServer) {
    let stamp =
        Stamp { message_id: Uuid::now_v7(), instance_id: Uuid::new_v4(), sequence: 8, collected_at: SystemTime::now() };
    let gap = TelemetryMessage::new(stamp, GapRecord::new([1..=7], GapReason::OutboxFull)).to_json().unwrap();
    let _: u64 = redis.command(&["LPUSH", QUEUE, std::str::from_utf8(&gap).unwrap()]).await;
}

#[tokio::test]
async fn tail_shows_the_newest_messages_and_leaves_them_in_the_queue() {
    let redis = RedisServer::start().await;
    let _collector = quiet_collector(&redis, &redis.url()).await;
    push_gap(&redis).await;
    let before = length(&redis).await;
    let url = redis.url();

    let tail = ctl_with(&["tail"], &[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_REDIS__MAX_LENGTH", "7")]).await;
    assert_eq!((tail.code, tail.stderr.as_str()), (Some(0), ""), "{tail:?}");
    let lines: Vec<_> = tail.stdout.lines().collect();
    assert_eq!(lines.len() as u64, before, "{tail:?}");
    assert!(lines[0].contains(" message 1: ") && lines[0].contains(" cpu "), "{tail:?}");
    assert!(lines.last().unwrap().ends_with("GAP: 7 messages lost (outbox full): 1-7"), "{tail:?}");
    assert_eq!(length(&redis).await, before);

    let newest = ctl(&["tail", "-n", "1", "--output", "json", "--redis-url", &url]).await;
    let event: Value = serde_json::from_str(newest.stdout.trim_end()).unwrap();
    let message: TelemetryMessage = serde_json::from_value(event["message"].clone()).unwrap();
    assert_eq!(message.sequence, 8);
    message.check().unwrap();
}

#[tokio::test]
async fn tail_follows_the_queue_until_it_is_interrupted() {
    let redis = RedisServer::start().await;
    let mut tail = start_ctl(&["tail", "-f"], &[("TELEMETRY_REDIS__URL", &redis.url())]);
    push_gap(&redis).await;
    eventually("the first gap is shown", async || tail.stdout().lines().count() == 1).await;
    push_gap(&redis).await;
    eventually("the second gap is shown", async || tail.stdout().lines().count() == 2).await;
    tail.signal("INT");
    assert_eq!(tail.ended().await.code(), Some(130));
}

#[tokio::test]
async fn tail_looks_at_the_queue_of_its_target() {
    let redis = RedisServer::start().await;
    let collector = quiet_collector(&redis, &redis.url()).await;
    let tail = ctl(&["tail", "--target", &collector.target()]).await;
    assert_eq!(tail.code, Some(0), "{tail:?}");
    assert!(tail.stdout.contains(" message 1: "), "{tail:?}");
    let gone = ctl(&["tail", "--target", &nobody()]).await;
    assert_eq!(gone.code, Some(4), "{gone:?}");
    assert_eq!(gone.stderr.lines().count(), 1, "{gone:?}");
}

#[tokio::test]
async fn tail_says_that_the_queue_is_empty() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let line = format!("{QUEUE} at redis://127.0.0.1:{} database 0 is empty or does not exist", redis.port());
    let tail = ctl(&["tail", "--redis-url", &url]).await;
    assert_eq!((tail.code, tail.stdout.as_str()), (Some(0), ""), "{tail:?}");
    assert!(tail.stderr.contains(&line) && tail.stderr.lines().count() == 1, "{tail:?}");

    let mut tail = start_ctl(&["tail", "-f", "--redis-url", &url], &[]);
    eventually("it says so", async || tail.stderr().contains(&line)).await;
    push_gap(&redis).await;
    eventually("it goes on", async || tail.stdout().lines().count() == 1).await;
    tail.signal("INT");
    assert_eq!(tail.ended().await.code(), Some(130));
}

#[tokio::test]
async fn tail_fails_with_a_line_when_redis_does_not_answer() {
    let url = format!("redis://{}", nobody());
    let tail = ctl(&["tail", "--redis-url", &url]).await;
    assert_eq!(tail.code, Some(4), "{tail:?}");
    assert!(tail.stderr.contains("Connection refused") && tail.stderr.contains("TELEMETRY_REDIS__URL"), "{tail:?}");
    assert_eq!(tail.stderr.lines().count(), 1, "{tail:?}");
    let wrong = ctl(&["tail", "--redis-url", "http://host"]).await;
    assert_eq!(wrong.code, Some(78), "{wrong:?}");
}

fn line<'a>(finished: &'a Finished, verdict: &str, part: &str) -> &'a str {
    let found = finished.stdout.lines().find(|line| line.starts_with(verdict) && line.contains(part));
    found.unwrap_or_else(|| panic!("no line {verdict} … {part}: {finished:?}"))
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_with_a_healthy_collector() {
    let redis = RedisServer::start().await;
    let collector = quiet_collector(&redis, &redis.url()).await;
    let target = collector.target();
    let before = length(&redis).await;
    let doctor = ctl(&["doctor", "--target", &target]).await;
    for part in ["collector", "settings", "sink is serving", "disk", "collector's host", "sensors", "may run LPUSH"] {
        line(&doctor, "ok", part);
    }
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    assert_eq!(length(&redis).await, before, "it queues no message");

    let document = json(&ctl(&["doctor", "--target", &target, "--output", "json"]).await);
    assert_eq!(document["summary"]["fail"], 0, "{document}");
    assert!(document["results"][0]["ok"]["checks"].as_array().unwrap().len() > 5, "{document}");
}

#[tokio::test]
async fn doctor_names_the_permission_that_a_user_misses_and_changes_nothing() {
    let redis = RedisServer::start().await;
    let _: String =
        redis.command(&["ACL", "SETUSER", "writer", "on", ">secret", "~telemetry:*", "+@all", "-lpush"]).await;
    let url = redis.url_with_login("writer:secret");
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url)]).await;
    let target = collector.target();

    let masked = ctl(&["doctor", "--target", &target]).await;
    line(&masked, "warn", "holds a password");
    let doctor = ctl_with(&["doctor", "--target", &target], &[("TELEMETRY_REDIS__URL", &url)]).await;
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    let fail = line(&doctor, "fail", "may not run LPUSH");
    assert!(fail.contains("NOPERM") && fail.ends_with("ACL SETUSER <user> +lpush"), "{fail}");
    assert!(!doctor.stdout.contains("secret") && !doctor.stderr.contains("secret"), "{doctor:?}");
    assert_eq!(length(&redis).await, 0);

    let _: String = redis.command(&["ACL", "SETUSER", "writer", "resetkeys", "~other:*", "+lpush"]).await;
    let doctor = ctl_with(&["doctor", "--target", &target], &[("TELEMETRY_REDIS__URL", &url)]).await;
    assert!(line(&doctor, "fail", "may not run LPUSH").contains("~telemetry:queue"), "{doctor:?}");
}

#[tokio::test]
async fn doctor_says_what_to_do_when_nothing_answers() {
    let target = nobody();
    let url = format!("redis://{}", nobody());
    let doctor = ctl(&["doctor", "--target", &target, "--redis-url", &url]).await;
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    assert!(line(&doctor, "fail", "collector").contains("check that the collector runs"), "{doctor:?}");
    assert!(line(&doctor, "fail", "redis").contains("check that Redis runs"), "{doctor:?}");
    let unknown = ctl(&["doctor", "--target", &target]).await;
    let expected = "not looked at: the collector does not say where it is; set TELEMETRY_REDIS__URL";
    line(&unknown, "warn", expected);
}

#[tokio::test]
async fn doctor_warns_when_it_looks_at_another_redis_than_the_collector_uses() {
    let (redis, other) = (RedisServer::start().await, RedisServer::start().await);
    let collector = quiet_collector(&redis, &redis.url()).await;
    let target = collector.target();
    let doctor = async |url: &str| ctl_with(&["doctor", "--target", &target], &[("TELEMETRY_REDIS__URL", url)]).await;
    let elsewhere = doctor(&other.url()).await;
    assert!(line(&elsewhere, "warn", "the collector uses").contains("unset it to look at that one"), "{elsewhere:?}");
    assert_eq!(doctor(&redis.url()).await.code, Some(0));
}

#[tokio::test]
async fn doctor_warns_of_a_wrong_type_of_key_and_of_an_interval_for_good() {
    let redis = RedisServer::start().await;
    let collector = quiet_collector(&redis, &redis.url()).await;
    let target = collector.target();
    ctl(&["interval", "2s", "--target", &target]).await;
    let doctor = ctl(&["doctor", "--target", &target]).await;
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    line(&doctor, "warn", "TELEMETRY_COLLECTION__INTERVAL is 2s until the next change");
    let _: () = redis.command(&["SET", "text", "x"]).await;
    let doctor = ctl(&["doctor", "--target", &target, "--key", "text"]).await;
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    line(&doctor, "fail", "holds a string");
}

#[tokio::test]
async fn doctor_warns_of_messages_that_were_trimmed() {
    let redis = RedisServer::start().await;
    let vars = [
        ("TELEMETRY_REDIS__URL", &*redis.url()),
        ("TELEMETRY_REDIS__MAX_LENGTH", "2"),
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
    ];
    let collector = Collector::start(&vars).await;
    let target = collector.target();
    eventually("messages are trimmed", async || {
        let doctor = ctl(&["doctor", "--target", &target]).await;
        let lines: Vec<_> = doctor.stdout.lines().filter(|line| line.starts_with("warn")).collect();
        let is_trimmed = lines.iter().any(|line| line.contains("were trimmed"));
        is_trimmed && lines.iter().any(|line| line.contains("telemetry:queue is full")) && doctor.code == Some(1)
    })
    .await;
}

#[tokio::test]
async fn doctor_is_content_with_a_user_who_has_no_more_than_a_collector_needs() {
    let redis = RedisServer::start().await;
    let user = ["ACL", "SETUSER", "writer", "on", ">secret", "~telemetry:*", "+lpush", "+ltrim", "+llen", "+ping"];
    let _: String = redis.command(&user).await;
    let url = redis.url_with_login("writer:secret");
    let collector = quiet_collector(&redis, &url).await;
    let target = collector.target();
    let doctor = ctl_with(&["doctor", "--target", &target], &[("TELEMETRY_REDIS__URL", &url)]).await;
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    line(&doctor, "ok", "cannot check permissions: NOPERM");
}

#[tokio::test]
async fn doctor_checks_the_commands_of_exactly_once_and_the_replicas() {
    let redis = RedisServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let vars = [
        ("TELEMETRY_REDIS__URL", &*redis.url()),
        ("TELEMETRY_REDIS__MODE", "stream"),
        ("TELEMETRY_REDIS__DELIVERY", "exactly_once"),
        ("TELEMETRY_REDIS__WAIT_REPLICAS", "1"),
        ("TELEMETRY_SPOOL__DIR", directory.path().to_str().unwrap()),
    ];
    let collector = Collector::start(&vars).await;
    let doctor = ctl(&["doctor", "--target", &collector.target()]).await;
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    line(&doctor, "ok", "may run EVALSHA, SCRIPT LOAD, GET, SET, XADD, XLEN, XTRIM, WAIT");
    line(&doctor, "fail", "0 of 1 replicas are connected");
    line(&doctor, "ok", "the spool");
}
