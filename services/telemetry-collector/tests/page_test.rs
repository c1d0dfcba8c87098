//! The page at `/` and its events, as the process that people run, with a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::collector::Collector;
use support::events::Events;
use support::http::get;
use telemetry_proto::v1::SetIntervalRequest;
use telemetry_proto::well_known::Duration;
use telemetry_testing::{RedisServer, eventually};

async fn serving(redis: &RedisServer, vars: &[(&str, &str)]) -> (Collector, SocketAddr) {
    let url = redis.url();
    let defaults = [("TELEMETRY_REDIS__URL", url.as_str()), ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0")];
    let mut collector = Collector::start(&[&defaults, vars].concat()).await;
    let address = collector.http_address().await;
    (collector, address)
}

async fn queue(redis: &RedisServer) -> Vec<Value> {
    let elements: Vec<String> = redis.command(&["LRANGE", "telemetry:queue", "0", "-1"]).await;
    elements.iter().map(|element| serde_json::from_str(element).unwrap()).collect()
}

fn status_of<'a>(status: &'a Value, name: &str) -> &'a Value {
    let components = status["health"]["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).unwrap()
}

/// The paths that `text` refers to, in attributes and in imports, as seen from `/`.
fn references(text: &str) -> Vec<String> {
    let after = |start: &str| {
        let found = text.match_indices(start).map(|(index, start)| &text[index + start.len()..]);
        found.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let paths = [after("href=\""), after("src=\""), after("from \"./")].concat();
    paths.into_iter().map(|path| format!("/{path}")).collect()
}

#[tokio::test]
async fn serves_a_page_whose_parts_all_come_from_the_collector() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[]).await;
    let page = get(address, "/", &[]).await;
    assert!(page.code == 200 && page.head.contains("content-type: text/html; charset=utf-8"), "{}", page.head);
    let parts = references(&page.body);
    let script = get(address, "/page.js", &[]).await;
    for path in [parts, references(&script.body)].concat() {
        let part = get(address, &path, &[]).await;
        assert_eq!(part.code, 200, "{path}");
        let foreign = part.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("://") && !page.body.contains("://"), "{path} refers to another server");
    }
}

#[tokio::test]
async fn every_part_forbids_what_the_page_does_not_need() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[]).await;
    for path in ["/", "/page.css", "/page.js", "/page/stream.js", "/icon.svg"] {
        let part = get(address, path, &[]).await;
        for wanted in [
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';",
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none';",
            "require-trusted-types-for 'script'; trusted-types 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(part.head.contains(wanted), "{path} lacks {wanted}:\n{}", part.head);
        }
        assert!(!part.head.contains("unsafe"), "{}", part.head);
    }
}

#[tokio::test]
async fn begins_with_the_latest_message_and_the_state() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[("TELEMETRY_COLLECTION__INTERVAL", "1h")]).await;
    eventually("the sample is in the queue", async || queue(&redis).await.len() == 1).await;
    let mut events = Events::open(address).await;
    assert_eq!(events.next().await, Some(("message".to_owned(), queue(&redis).await.remove(0))));
    let (name, status) = events.next().await.unwrap();
    assert_eq!(name, "status");
    assert_eq!(status["interval"]["interval"], "3600s");
    assert_eq!(status_of(&status, "sampler")["status"], "HEALTH_STATUS_SERVING");
}

#[tokio::test]
async fn tells_every_message_as_it_is_in_the_queue() {
    let redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[("TELEMETRY_COLLECTION__INTERVAL", "100ms")]).await;
    let mut events = Events::open(address).await;
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(events.next_named("message").await);
    }
    eventually("they are in the queue", async || {
        let queue = queue(&redis).await;
        told.iter().all(|message| queue.contains(message))
    })
    .await;
    let number = |message: &Value| message["sequence"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(told.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]) + 1), "{told:?}");
}

#[tokio::test]
async fn tells_of_an_outage_what_waits_and_why_until_all_is_acknowledged() {
    let mut redis = RedisServer::start().await;
    let (_collector, address) = serving(&redis, &[("TELEMETRY_COLLECTION__INTERVAL", "100ms")]).await;
    let mut events = Events::open(address).await;
    events.status_with("a message is acknowledged", |status| status["delivery"]["acknowledged"] != 0).await;

    redis.kill().await;
    let down = events.status_with("messages wait", |status| status["delivery"]["pending"].as_u64() > Some(3)).await;
    let sink = status_of(&down, "sink");
    assert_eq!(sink["status"], "HEALTH_STATUS_DEGRADED");
    assert!(sink["last_error"].as_str().unwrap().contains("Connection refused"), "{sink}");

    redis.restart().await;
    let up = |status: &Value| {
        status["delivery"]["pending"] == 0 && status_of(status, "sink")["status"] == "HEALTH_STATUS_SERVING"
    };
    let recovered = events.status_with("nothing waits", up).await;
    assert_eq!(recovered["delivery"]["lost"], 0);
}

#[tokio::test]
async fn tells_a_change_of_the_interval_and_when_it_returns() {
    let redis = RedisServer::start().await;
    let (collector, address) = serving(&redis, &[]).await;
    let mut events = Events::open(address).await;
    let first = events.next_named("status").await;
    assert_eq!((&first["interval"]["changed"], first["interval"].get("reverts_at")), (&json!(false), None));

    let wanted = SetIntervalRequest {
        interval: Some(Duration { seconds: 0, nanos: 200_000_000 }),
        ttl: Some(Duration { seconds: 600, nanos: 0 }),
        reason: "test".to_owned(),
    };
    let answer = collector.control().await.set_interval(wanted).await.unwrap().into_inner();
    let told = events.status_with("the interval has changed", |status| status["interval"]["changed"] == true).await;
    assert_eq!(told["interval"]["interval"], "0.200s");
    assert_eq!(told["interval"]["default_interval"], "1s");
    assert_eq!(told["interval"]["reverts_at"], serde_json::to_value(answer.reverts_at.unwrap()).unwrap());
}

#[tokio::test]
async fn a_viewer_does_not_hold_up_the_stop() {
    let redis = RedisServer::start().await;
    let (mut collector, address) = serving(&redis, &[]).await;
    let mut events = Events::open(address).await;
    events.next_named("message").await;
    collector.signal("TERM");
    while events.next().await.is_some() {}
    assert_eq!(collector.ended().await.code(), Some(0));
}
