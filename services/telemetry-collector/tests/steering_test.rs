//! Changes of a running collector, end to end, with a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use support::collector::Collector;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{
    ControlAction, ControlEvent, GetSnapshotRequest, ResetIntervalRequest, SetIntervalRequest, TelemetryMessage,
};
use telemetry_proto::well_known;
use telemetry_testing::{RedisServer, eventually};
use tonic::Code;

const QUEUE: &str = "telemetry:queue";

async fn queue(redis: &RedisServer) -> Vec<TelemetryMessage> {
    // LPUSH puts the newest message first.
    let items: Vec<Vec<u8>> = redis.command(&["LRANGE", QUEUE, "0", "-1"]).await;
    items.iter().rev().map(|json| TelemetryMessage::from_json(json).unwrap()).collect()
}

async fn events(redis: &RedisServer) -> Vec<ControlEvent> {
    let event = |message: TelemetryMessage| match message.payload {
        Some(Payload::Control(event)) => Some(event),
        _ => None,
    };
    queue(redis).await.into_iter().filter_map(event).collect()
}

async fn actions(redis: &RedisServer) -> Vec<ControlAction> {
    events(redis).await.iter().map(ControlEvent::action).collect()
}

async fn start(redis: &RedisServer, vars: &[(&str, &str)]) -> Collector {
    let url = redis.url();
    let basics = [("TELEMETRY_REDIS__URL", url.as_str()), ("TELEMETRY_COLLECTION__INTERVAL", "1h")];
    let collector = Collector::start(&[&basics, vars].concat()).await;
    eventually("the first sample is queued", async || !queue(redis).await.is_empty()).await;
    collector
}

fn set(interval: Duration, ttl: Option<Duration>, reason: &str) -> SetIntervalRequest {
    SetIntervalRequest { interval: Some(interval.into()), ttl: ttl.map(Into::into), reason: reason.to_owned() }
}

fn at_most(max_age: well_known::Duration) -> GetSnapshotRequest {
    GetSnapshotRequest { max_age: Some(max_age) }
}

#[tokio::test]
async fn a_change_ends_by_itself_and_each_step_is_in_the_queue_with_its_number() {
    let redis = RedisServer::start().await;
    let collector = start(&redis, &[]).await;
    let mut control = collector.control().await;
    let request = set(Duration::from_secs(1800), Some(Duration::from_secs(1)), "a\nslow \u{1b}[31mdisk");
    let answer = control.set_interval(request).await.unwrap().into_inner();
    assert_eq!(answer.previous_interval.unwrap().to_string(), "3600s");
    let (since, end) = (answer.effective_since.unwrap(), answer.reverts_at.unwrap());
    assert_eq!((end.seconds - since.seconds, end.nanos), (1, since.nanos));
    eventually("the end is queued", async || actions(&redis).await.len() == 2).await;

    let messages = queue(&redis).await;
    assert_eq!(messages.iter().map(|message| message.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    let events = events(&redis).await;
    assert_eq!(events[0].action(), ControlAction::IntervalSet);
    assert_eq!(events[1].action(), ControlAction::IntervalExpired);
    assert!(events[0].caller.as_ref().unwrap().address.starts_with("127.0.0.1:"), "{events:?}");
    assert_eq!((&events[1].caller, events[1].reason.as_str()), (&None, "a\nslow \u{1b}[31mdisk"));
}

#[tokio::test]
async fn a_change_survives_a_restart_until_it_is_reset() {
    let redis = RedisServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let vars = [("TELEMETRY_CONTROL__STATE_FILE", path.to_str().unwrap())];
    let collector = start(&redis, &vars).await;
    let change = set(Duration::from_secs(1800), Some(Duration::from_secs(3600)), "a slow disk");
    collector.control().await.set_interval(change).await.unwrap();
    eventually("the change is kept", async || path.exists()).await;
    drop(collector);

    let collector = start(&redis, &vars).await;
    let restored = async || actions(&redis).await.last() == Some(&ControlAction::IntervalRestored);
    eventually("the change is restored", restored).await;
    let event = events(&redis).await.pop().unwrap();
    assert_eq!((event.interval.unwrap().to_string(), event.reason.as_str()), ("1800s".to_owned(), "a slow disk"));
    let answer = collector.control().await.reset_interval(ResetIntervalRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.previous_interval.unwrap().to_string(), "1800s");
    assert_eq!(answer.interval.unwrap().to_string(), "3600s");
    eventually("nothing is kept", async || !path.exists()).await;
}

#[tokio::test]
async fn a_damaged_state_file_is_told_once_and_replaced_by_the_next_change() {
    let redis = RedisServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    fs::write(&path, "{\"version\": 1, \"chan").unwrap();
    let collector = start(&redis, &[("TELEMETRY_CONTROL__STATE_FILE", path.to_str().unwrap())]).await;
    assert_eq!(collector.log().matches("the state file is ignored").count(), 1, "{}", collector.log());
    collector.control().await.set_interval(set(Duration::from_secs(1800), None, "")).await.unwrap();
    eventually("it is replaced", async || fs::read_to_string(&path).unwrap().contains("1800s")).await;
}

#[tokio::test]
async fn a_thousand_callers_share_one_fresh_sample() {
    let redis = RedisServer::start().await;
    let collector = start(&redis, &[]).await;
    let mut channels = Vec::new();
    for _ in 0..20 {
        channels.push(collector.control().await);
    }
    let mut control = channels[0].clone();
    let is_old = async || {
        let age = control.get_snapshot(GetSnapshotRequest::default()).await.unwrap().into_inner().age.unwrap();
        Duration::try_from(age).unwrap() > Duration::from_secs(3)
    };
    eventually("the first sample is old", is_old).await;
    // Long enough for all the calls of a loaded machine.
    let max_age = well_known::Duration { seconds: 3, nanos: 0 };
    let calls = channels.iter().cycle().take(1000).map(|channel| {
        let mut channel = channel.clone();
        async move { channel.get_snapshot(at_most(max_age)).await.unwrap().into_inner().message.unwrap().sequence }
    });
    assert_eq!(join_all(calls).await, [2; 1000]);
    eventually("the fresh sample is queued", async || queue(&redis).await.len() == 2).await;
}

#[tokio::test]
async fn rejects_what_is_out_of_range_and_what_is_too_often() {
    let redis = RedisServer::start().await;
    let collector = start(&redis, &[("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND", "1")]).await;
    let mut control = collector.control().await;
    for (request, problem) in [
        (set(Duration::from_secs(1), None, &"x".repeat(257)), "reason: 257 bytes are too many; 256 are allowed"),
        (set(Duration::from_secs(1), Some(Duration::ZERO), ""), "ttl: 0s is not a duration from 1s to 7d"),
    ] {
        let status = control.set_interval(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, problem));
    }
    for wrong in [well_known::Duration { seconds: -1, nanos: 0 }, well_known::Duration { seconds: 1, nanos: -1 }] {
        let status = control.get_snapshot(at_most(wrong)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().starts_with("max_age: "), "{status:?}");
    }
    let calls = (0..10).map(|_| {
        let mut control = control.clone();
        async move { control.set_interval(set(Duration::from_secs(60), None, "")).await }
    });
    let refused: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND"), "{status:?}");
    }
}
