//! Log lines of the collector on standard error.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use support::collector::Collector;
use telemetry_proto::v1::HealthRequest;
use telemetry_testing::{RedisServer, eventually};

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
