#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use serde_json::Value;
use telemetry_outbox::Outbox;
use tower::ServiceExt;

use super::*;
use crate::clock::WallClock;
use crate::health::{Component, HealthBoard};
use crate::models::TelemetryData;
use crate::sampler::Sampler;
use crate::steering::Steering;
use crate::testing::{metadata, outbox, sample};

/// A collector without a sampler that runs, and its page.
struct Fixture {
    outbox: Outbox,
    board: HealthBoard,
    shutdown: CancellationToken,
    viewers: Viewers,
    routes: Router,
}

/// What one viewer gets.
struct Seen(BodyDataStream);

impl Fixture {
    fn new() -> Self {
        let clock = WallClock::system();
        let outbox = outbox(clock.clone());
        let board = HealthBoard::new(clock.clone());
        let interval = "1s".parse().unwrap();
        let reporter = board.reporter(Component::Sampler);
        let sampler = Sampler::new(Vec::new(), metadata(), interval, outbox.clone(), clock.clone(), reporter);
        let steering = Steering::new(sampler.handle(), outbox.clone(), clock, &metadata(), interval, 5);
        let (snapshots, health, steering) = (sampler.snapshots(), board.reader(), steering.reader());
        let shown = Shown { feed: outbox.feed(), snapshots, health, steering };
        let shutdown = CancellationToken::new();
        let viewers = Viewers::new(shown, shutdown.clone());
        Self { outbox, board, shutdown, routes: routes_of(viewers.clone()), viewers }
    }

    async fn get(&self, path: &str) -> Response {
        self.routes.clone().oneshot(Request::builder().uri(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn look(&self) -> Seen {
        let response = self.get("/events").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        Seen(response.into_body().into_data_stream())
    }
}

impl Seen {
    /// The next event but those that keep the connection alive: its name and content.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let event = String::from_utf8(self.0.next().await?.unwrap().to_vec()).unwrap();
            if let Some((name, content)) = event.trim_end().split_once("\ndata: ") {
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                return Some((name, serde_json::from_str(content).unwrap()));
            }
        }
    }

    async fn next_named(&mut self, wanted: &str) -> Value {
        loop {
            let (name, content) = self.next().await.unwrap();
            if name == wanted {
                return content;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn gives_every_viewer_the_same_events() {
    let page = Fixture::new();
    let mut seen = [page.look().await, page.look().await];
    for one in &mut seen {
        assert_eq!(one.next().await.unwrap().0, "status");
    }
    let message = page.outbox.append(sample()).unwrap();
    for one in &mut seen {
        let expected = serde_json::from_slice(&message.to_json().unwrap()).unwrap();
        assert_eq!(one.next().await.unwrap(), ("message".to_owned(), expected));
        assert_eq!(one.next_named("status").await["delivery"]["pending"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn begins_with_the_latest_message_when_somebody_else_looks_already() {
    let page = Fixture::new();
    let mut first = page.look().await;
    let old = page.outbox.append(sample()).unwrap();
    let latest = page.outbox.append(sample()).unwrap();
    while first.next_named("message").await["message_id"] != latest.message_id {}
    let (name, content) = page.look().await.next().await.unwrap();
    assert_eq!((name.as_str(), &content["message_id"]), ("message", &latest.message_id.clone().into()));
    assert_ne!(old.message_id, latest.message_id);
}

#[tokio::test(start_paused = true)]
async fn tells_together_what_happens_together() {
    let page = Fixture::new();
    let mut seen = page.look().await;
    seen.next_named("status").await;
    page.outbox.append(sample()).unwrap();
    page.outbox.acknowledge(page.outbox.next_batch().await.unwrap());
    page.outbox.append(TelemetryData::default()).unwrap_err();
    page.board.reporter(Component::Sink).serving();
    let status = seen.next_named("status").await;
    assert_eq!(status["delivery"], serde_json::json!({ "pending": 0, "acknowledged": 1, "lost": 1 }));
    assert_eq!(status["health"]["components"][1]["status"], "HEALTH_STATUS_SERVING");
}

#[tokio::test(start_paused = true)]
async fn tells_a_viewer_that_is_too_slow_how_much_it_missed() {
    let page = Fixture::new();
    let (mut slow, mut fast) = (page.look().await, page.look().await);
    slow.next_named("status").await;
    for _ in 0..100 {
        page.outbox.append(sample()).unwrap();
        fast.next_named("message").await;
    }
    let missed = slow.next_named("missed").await["count"].as_u64().unwrap();
    assert!((80..=100).contains(&missed), "{missed}");
    let behind = slow.next_named("message").await["sequence"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(behind > 80, "{behind}");
}

#[tokio::test(start_paused = true)]
async fn follows_the_collector_only_while_somebody_looks() {
    let page = Fixture::new();
    for _ in 0..2 {
        let mut seen = [page.look().await, page.look().await];
        for one in &mut seen {
            one.next_named("status").await;
        }
        let [first, mut second] = seen;
        drop(first);
        page.outbox.append(sample()).unwrap();
        second.next_named("message").await;
        assert!(page.viewers.are_followed());
        drop(second);
        while page.viewers.are_followed() {
            tokio::task::yield_now().await;
        }
        let unseen = page.outbox.append(sample()).unwrap();
        assert_eq!(Arc::strong_count(&unseen), 1, "somebody keeps the message");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_viewers_beyond_the_limit_until_one_leaves() {
    let page = Fixture::new();
    let mut seen = Vec::new();
    for _ in 0..VIEWERS_MAX {
        seen.push(page.look().await);
    }
    let refused = page.get("/events").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[RETRY_AFTER], "10");
    seen.pop();
    page.look().await;
}

#[tokio::test(start_paused = true)]
async fn ends_every_stream_at_shutdown() {
    let page = Fixture::new();
    let (mut early, mut late) = (page.look().await, page.look().await);
    early.next_named("status").await;
    page.shutdown.cancel();
    while early.next().await.is_some() {}
    while late.next().await.is_some() {}
    while page.viewers.are_followed() {
        tokio::task::yield_now().await;
    }
}
