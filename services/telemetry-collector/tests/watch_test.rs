//! Watches of the collector process with a real Redis: what they tell is what the queue gets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use support::collector::Collector;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::watch_snapshots_response::Event;
use telemetry_proto::v1::{
    DeliveryState, DeliveryUpdate, GapReason, TelemetryMessage, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use telemetry_testing::{PATIENCE, RedisServer, eventually};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

const QUEUE: &str = "telemetry:queue";
const FAST: &str = "100ms";

/// A watch, and everything that it has told.
struct Watch {
    stream: Streaming<WatchSnapshotsResponse>,
    messages: Vec<TelemetryMessage>,
    states: BTreeMap<u64, (DeliveryState, Option<GapReason>)>,
    /// Each number as often as it was told to be pending after it was acknowledged.
    again: Vec<u64>,
    missed: u64,
}

impl Watch {
    async fn open(collector: &Collector, delivery: bool) -> Result<Self, Status> {
        let stream = collector.control().await.watch_snapshots(WatchSnapshotsRequest { delivery }).await?.into_inner();
        Ok(Self { stream, messages: Vec::new(), states: BTreeMap::new(), again: Vec::new(), missed: 0 })
    }

    /// Takes the next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        let response = timeout(PATIENCE, self.stream.message()).await.expect("an event comes").unwrap()?;
        let event = response.event.expect("an event");
        match &event {
            Event::Message(message) => {
                self.messages.push(message.clone());
                self.change(message.sequence, DeliveryState::Pending, None);
            }
            Event::Delivery(update) => {
                let reason = update.reason.map(|_| update.reason());
                let numbers = update.numbers.iter().flat_map(|range| range.first..=range.last);
                numbers.for_each(|number| self.change(number, update.state(), reason));
            }
            Event::Missed(missed) => self.missed += missed.count,
        }
        Some(event)
    }

    fn change(&mut self, number: u64, state: DeliveryState, reason: Option<GapReason>) {
        let before = self.states.insert(number, (state, reason)).map(|(state, _)| state);
        match state {
            DeliveryState::Pending if before == Some(DeliveryState::Acknowledged) => self.again.push(number),
            DeliveryState::Pending => assert_eq!(before, None, "{number} is pending"),
            _ => assert_eq!(before, Some(DeliveryState::Pending), "{number} is {state:?}"),
        }
    }

    /// Takes events until `is_so`.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            self.next().await.expect("the watch goes on");
        }
    }

    fn that_are(&self, state: DeliveryState) -> Vec<u64> {
        self.states.iter().filter(|(_, (of, _))| *of == state).map(|(number, _)| *number).collect()
    }
}

async fn queue(redis: &RedisServer) -> Vec<TelemetryMessage> {
    let items: Vec<Vec<u8>> = redis.command(&["LRANGE", QUEUE, "0", "-1"]).await;
    items.iter().rev().map(|json| TelemetryMessage::from_json(json).unwrap()).collect()
}

fn count_of(watch: &Watch, state: DeliveryState) -> usize {
    watch.that_are(state).len()
}

#[tokio::test]
async fn tells_the_messages_of_the_queue_in_order_as_soon_as_they_are_made() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", FAST)]).await;
    let mut watch = Watch::open(&collector, false).await.unwrap();
    watch.until(|watch| watch.messages.len() == 5).await;
    let first = watch.messages[0].sequence;
    let numbers: Vec<u64> = watch.messages.iter().map(|message| message.sequence).collect();
    assert_eq!(numbers, (first..first + 5).collect::<Vec<_>>());
    assert_eq!(count_of(&watch, DeliveryState::Pending), 5, "nothing is told of the delivery unless it is asked for");
    eventually("the same messages are queued", async || {
        let queued = queue(&redis).await;
        watch.messages.iter().all(|message| queued.contains(message))
    })
    .await;
}

#[tokio::test]
async fn begins_with_what_is_pending_and_tells_its_acknowledgement_once() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    redis.kill().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", FAST)]).await;
    let mut from_the_beginning = Watch::open(&collector, true).await.unwrap();
    from_the_beginning.until(|watch| watch.messages.len() == 5).await;

    let mut late = Watch::open(&collector, true).await.unwrap();
    let Some(Event::Delivery(pending)) = late.next().await else { panic!("no delivery update") };
    assert_eq!(pending.state(), DeliveryState::Pending);
    let [numbers] = pending.numbers.as_slice() else { panic!("{pending:?}") };
    assert!(numbers.first == 1 && numbers.last >= 5, "{numbers:?}");
    late.until(|watch| watch.messages.len() == 2).await;
    assert_eq!(late.messages[0].sequence, numbers.last + 1, "no number is left out, none comes twice");

    redis.restart().await;
    let delivered = numbers.last + 2;
    for watch in [&mut from_the_beginning, &mut late] {
        watch
            .until(|watch| watch.states.get(&delivered).is_some_and(|(of, _)| *of == DeliveryState::Acknowledged))
            .await;
        assert_eq!(watch.that_are(DeliveryState::Acknowledged)[..5], [1, 2, 3, 4, 5]);
    }
    let queued = queue(&redis).await;
    assert!(from_the_beginning.messages.iter().take(5).all(|message| queued.contains(message)));
}

#[tokio::test]
async fn begins_with_an_update_when_nothing_is_pending() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", "1h")]).await;
    eventually("the only message is delivered", async || queue(&redis).await.len() == 1).await;
    let nothing = DeliveryUpdate { state: DeliveryState::Pending.into(), ..DeliveryUpdate::default() };
    eventually("nothing is pending", async || {
        Watch::open(&collector, true).await.unwrap().next().await == Some(Event::Delivery(nothing.clone()))
    })
    .await;
}

#[tokio::test]
async fn tells_what_a_full_outbox_loses_and_the_gap_record() {
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
    let mut watch = Watch::open(&collector, true).await.unwrap();
    watch.until(|watch| count_of(watch, DeliveryState::Lost) > 2).await;
    assert!(watch.states.values().all(|(_, reason)| reason.is_none_or(|reason| reason == GapReason::OutboxFull)));

    redis.restart().await;
    watch.until(|watch| watch.messages.iter().any(|message| matches!(message.payload, Some(Payload::Gap(_))))).await;
    let gap = watch.messages.last().unwrap().clone();
    let Some(Payload::Gap(record)) = &gap.payload else { panic!("{gap:?}") };
    let named: Vec<u64> = record.missing.iter().flat_map(|range| range.first..=range.last).collect();
    assert_eq!(named, watch.that_are(DeliveryState::Lost));
    let is_delivered = (DeliveryState::Acknowledged, None);
    watch.until(|watch| watch.states[&gap.sequence] == is_delivered).await;
    assert!(queue(&redis).await.contains(&gap));
}

#[tokio::test]
async fn tells_that_messages_are_pending_again_when_redis_has_lost_them() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &url),
        ("TELEMETRY_REDIS__DELIVERY", "exactly_once"),
        ("TELEMETRY_SPOOL__DIR", directory.path().join("spool").to_str().unwrap()),
        ("TELEMETRY_COLLECTION__INTERVAL", FAST),
    ])
    .await;
    let mut watch = Watch::open(&collector, true).await.unwrap();
    watch.until(|watch| count_of(watch, DeliveryState::Acknowledged) > 4).await;
    let _: String = redis.command(&["FLUSHALL"]).await;
    watch.until(|watch| watch.again.len() > 4).await;
    let again = watch.again.clone();
    assert_eq!(again, (again[0]..again[0] + again.len() as u64).collect::<Vec<_>>());
    watch.until(|watch| again.iter().all(|number| watch.states[number].0 == DeliveryState::Acknowledged)).await;
    let queued: Vec<u64> = queue(&redis).await.iter().map(|message| message.sequence).collect();
    assert!(again.iter().all(|number| queued.contains(number)), "{queued:?}");
}

/// It outlives the time limit of a call, too.
#[tokio::test]
async fn tells_a_slow_reader_how_much_it_missed_and_keeps_sampling() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &url),
        ("TELEMETRY_COLLECTION__INTERVAL", FAST),
        ("TELEMETRY_COLLECTION__LABELS", &format!("wide={}", "w".repeat(100_000))),
    ])
    .await;
    let begun = Instant::now();
    let mut slow = Watch::open(&collector, true).await.unwrap();
    // It reads nothing while another watch sees twice as much as is kept.
    let mut quick = Watch::open(&collector, true).await.unwrap();
    quick.until(|watch| watch.messages.len() > 160).await;
    while slow.missed == 0 {
        // What it was told is not whole any more, so the states are not looked at.
        let response = timeout(PATIENCE, slow.stream.message()).await.unwrap().unwrap().unwrap();
        match response.event.unwrap() {
            Event::Message(message) => slow.messages.push(message),
            Event::Missed(missed) => slow.missed += missed.count,
            Event::Delivery(_) => {}
        }
    }
    assert!(begun.elapsed().as_secs() > 5);
    assert_eq!(quick.missed, 0);
    let numbers: Vec<u64> = quick.messages.iter().map(|message| message.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    assert!(!collector.log().contains("late"), "{}", collector.log());
}

#[tokio::test]
async fn refuses_more_watches_than_the_setting_allows_until_one_ends() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_CONTROL__MAX_WATCHES", "2")]).await;
    let first = Watch::open(&collector, false).await.unwrap();
    let _second = Watch::open(&collector, false).await.unwrap();
    let refused = Watch::open(&collector, false).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("TELEMETRY_CONTROL__MAX_WATCHES"), "{refused}");
    drop(first);
    eventually("there is room again", async || Watch::open(&collector, false).await.is_ok()).await;
}

#[tokio::test]
async fn ends_after_the_last_acknowledgement_at_a_stop() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let mut collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", FAST)]).await;
    let mut watch = Watch::open(&collector, true).await.unwrap();
    watch.until(|watch| watch.messages.len() == 3).await;
    collector.signal("TERM");
    while watch.next().await.is_some() {}
    assert_eq!(watch.that_are(DeliveryState::Pending), Vec::<u64>::new());
    assert_eq!(collector.ended().await.code(), Some(0));
    assert_eq!(queue(&redis).await.last().unwrap(), watch.messages.last().unwrap());
}
