//! `telemetry-client` with the collector process: what its calls return, and how they end.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::time::{Duration, SystemTime};

use support::collector::Collector;
use support::login::TokenFile;
use telemetry_client::control::{Watch, WatchEvent, WatchOptions};
use telemetry_client::proto::telemetry_message::Payload;
use telemetry_client::proto::{ControlAction, HealthStatus, SettingOrigin, TelemetryMessage};
use telemetry_client::{
    ControlClient, ControlError, ControlSettings, IntervalRequest, QueueTail, TailEvent, TailSettings,
};
use telemetry_testing::{PATIENCE, RedisServer, eventually};
use tokio::time::timeout;

const QUEUE: &str = "telemetry:queue";
const INTERVAL: &str = "TELEMETRY_COLLECTION__INTERVAL";

fn settings(collector: &Collector) -> ControlSettings {
    ControlSettings::new(format!("http://{}", collector.address()))
}

fn connect(settings: ControlSettings) -> ControlClient {
    ControlClient::connect_lazily(settings).unwrap()
}

/// A client of a collector that has taken a sample.
async fn client(collector: &Collector) -> ControlClient {
    let client = connect(settings(collector));
    eventually("a sample is taken", async || client.snapshot().await.is_ok()).await;
    client
}

async fn next(watch: &mut Watch) -> Option<Result<WatchEvent, ControlError>> {
    timeout(PATIENCE, watch.next()).await.expect("nothing comes")
}

async fn next_message(watch: &mut Watch) -> TelemetryMessage {
    loop {
        if let WatchEvent::Message(message) = next(watch).await.expect("the watch goes on").unwrap() {
            return *message;
        }
    }
}

/// The error that ends the watch.
async fn end(watch: &mut Watch) -> ControlError {
    loop {
        if let Err(error) = next(watch).await.expect("an error comes before the end") {
            assert!(next(watch).await.is_none());
            return error;
        }
    }
}

#[tokio::test]
async fn reads_everything_that_the_collector_tells() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url()), (INTERVAL, "1h")]).await;
    let client = client(&collector).await;

    let latest = client.snapshot().await.unwrap();
    let cpu = latest.group("cpu").unwrap();
    assert_eq!((latest.groups.len(), &cpu.message), (1, &latest.message));
    let same = client.snapshot_within(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(same.message, latest.message);
    eventually("a sample is older than the least age", async || client.snapshot().await.unwrap().age.as_millis() > 100)
        .await;
    let fresh = client.snapshot_within(Duration::ZERO).await.unwrap();
    assert_eq!(fresh.message.sequence, latest.message.sequence + 1);

    let capabilities = client.capabilities().await.unwrap();
    let cpu = capabilities.group("cpu").unwrap();
    assert!(cpu.error.is_none() && cpu.available.iter().any(|field| field == "logical_count"), "{cpu:?}");

    let health = client.health().await.unwrap();
    assert_eq!(health.component("sampler").unwrap().status, HealthStatus::Serving);
    assert_eq!(health.component("sampler").unwrap().counters["samples"], 2);
    eventually("both are delivered", async || {
        client.health().await.unwrap().component("sink").unwrap().counters["messages_delivered"] == 2
    })
    .await;

    let config = client.config().await.unwrap();
    let key = config.setting("TELEMETRY_REDIS__KEY").unwrap();
    assert_eq!((key.value.as_str(), key.origin, key.reverts_at), (QUEUE, SettingOrigin::Default, None));
    assert_eq!(config.setting("TELEMETRY_REDIS__URL").unwrap().origin, SettingOrigin::Environment);
}

#[tokio::test]
async fn changes_the_interval_for_a_time_and_back() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url()), (INTERVAL, "1h")]).await;
    let client = client(&collector).await;
    let (hour, short, ttl) = (Duration::from_secs(3600), Duration::from_millis(200), Duration::from_secs(600));

    let change = client.set_interval(IntervalRequest::new(short).ttl(ttl).reason("INC-42")).await.unwrap();
    assert_eq!((change.previous, change.current), (hour, short));
    assert_eq!(change.reverts_at.unwrap().duration_since(change.effective_since.unwrap()).unwrap(), ttl);
    assert!(change.effective_since.unwrap() <= SystemTime::now());
    let config = client.config().await.unwrap();
    let interval = config.setting(INTERVAL).unwrap();
    assert_eq!((interval.value.as_str(), interval.origin), ("200ms", SettingOrigin::Control));
    assert_eq!(interval.reverts_at, change.reverts_at);

    let back = client.reset_interval("done").await.unwrap();
    assert_eq!((back.previous, back.current, back.reverts_at), (short, hour, None));
    assert_eq!(client.config().await.unwrap().setting(INTERVAL).unwrap().origin, SettingOrigin::Environment);

    let error = client.set_interval(Duration::from_millis(1)).await.unwrap_err();
    assert!(matches!(error, ControlError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("is not a duration from 100ms to 1h"), "{error}");
    let error = loop {
        if let Err(error) = client.reset_interval("").await {
            break error;
        }
    };
    assert!(matches!(error, ControlError::Limited { .. }) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_watch_ends_when_the_collector_does_and_a_new_one_finds_its_next_start() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let vars = [("TELEMETRY_REDIS__URL", url.as_str()), (INTERVAL, "100ms")];
    let mut collector = Collector::start(&vars).await;
    let address = collector.address().to_string();
    let client = client(&collector).await;
    let mut instances = Vec::new();
    for signal in ["TERM", "KILL"] {
        let mut watch = client.watch(WatchOptions::default().delivery(true)).await.unwrap();
        let first = next_message(&mut watch).await;
        assert_eq!(next_message(&mut watch).await.sequence, first.sequence + 1);
        instances.push(first.instance_id);

        collector.signal(signal);
        let error = end(&mut watch).await;
        assert!(matches!(error, ControlError::Unavailable { .. }) && error.is_retryable(), "{signal}: {error:?}");
        collector.ended().await;
        let error = client.watch(WatchOptions::default()).await.unwrap_err();
        assert!(matches!(error, ControlError::Unavailable { .. }), "{signal}: {error:?}");
        collector = Collector::start(&[&vars[..], &[("TELEMETRY_CONTROL__LISTEN", &address)]].concat()).await;
    }
    let mut watch = client.watch(WatchOptions::default()).await.unwrap();
    assert!(!instances.contains(&next_message(&mut watch).await.instance_id));
    assert_ne!(instances[0], instances[1]);
}

#[tokio::test]
async fn a_token_is_replaced_on_both_sides_without_a_restart() {
    const OLD: &str = "old-token";
    const NEW: &str = "new-token";
    let tokens = TokenFile::new(&[("ops", "control", OLD)]);
    let collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1"), (INTERVAL, "100ms"), tokens.var()]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), OLD).unwrap();
    let client = connect(settings(&collector).bearer_token_file(file.path()));
    let mut watch = client.watch(WatchOptions::default()).await.unwrap();

    tokens.set(&[("ops", "control", OLD), ("ops", "control", NEW)]);
    eventually("the new token is known", async || {
        connect(settings(&collector).bearer_token(NEW)).health().await.is_ok()
    })
    .await;
    fs::write(file.path(), NEW).unwrap();
    client.reset_interval("with the new token").await.unwrap();

    tokens.set(&[("ops", "control", NEW)]);
    let error = end(&mut watch).await;
    assert!(matches!(error, ControlError::Unauthenticated { .. }) && !error.is_retryable(), "{error:?}");
    let error = connect(settings(&collector).bearer_token(OLD)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unauthenticated { .. }), "{error:?}");
    client.watch(WatchOptions::default()).await.unwrap().next().await.unwrap().unwrap();
}

#[tokio::test]
async fn the_tail_of_the_queue_tells_what_a_watch_tells() {
    let redis = RedisServer::start().await;
    for mode in ["list", "stream"] {
        redis.command::<()>(&["FLUSHALL"]).await;
        let url = redis.url();
        let collector =
            Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_REDIS__MODE", mode), (INTERVAL, "100ms")])
                .await;
        let client = client(&collector).await;
        let mut watch = client.watch(WatchOptions::default()).await.unwrap();
        client.reset_interval("seen by both").await.unwrap();
        let mut messages = Vec::new();
        while messages.len() < 10 {
            messages.push(Box::new(next_message(&mut watch).await));
        }
        let mut tail = QueueTail::connect(TailSettings::new(&url, QUEUE).last(100)).unwrap();
        let mut queued = Vec::new();
        while queued.last() != messages.last() {
            match timeout(PATIENCE, tail.next()).await.expect("nothing comes").unwrap().unwrap() {
                TailEvent::Message(message) => queued.push(message),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(queued[queued.len() - messages.len()..], messages);
        let changes = queued.iter().filter_map(|message| match &message.payload {
            Some(Payload::Control(event)) => Some((event.action(), event.reason.as_str())),
            _ => None,
        });
        assert_eq!(changes.collect::<Vec<_>>(), [(ControlAction::IntervalReset, "seen by both")]);
    }
}
