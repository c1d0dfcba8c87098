//! The consumer against a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::time::Duration;

use futures_util::StreamExt;
use prost::Message;
use support::queue::{
    DEAD, QUEUE, consumer, event, gap_of, held, length, message, next_message, numbers, outcome, push, push_numbers,
    settings,
};
use telemetry_client::consumer::FailureKind;
use telemetry_client::proto::{
    Caller, CallerLogin, ControlAction, ControlEvent, GapReason, GapRecord, TelemetryMessage,
};
use telemetry_client::{ConsumerError, ConsumerSettings, Delivery, Event, QueueConsumer};
use telemetry_testing::{RedisServer, eventually};
use tokio::time::timeout;
use uuid::Uuid;

/// The keys that exist while a consumer lives.
const ALIVE: &str = "{telemetry:queue}:alive:*";

#[tokio::test]
async fn messages_come_in_order_and_leave_redis_when_acknowledged() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, 1..=300).await;
    let mut consumer = consumer(&redis);

    let first = event(&mut consumer).await;
    assert_eq!(*first.event(), Event::InstanceStarted { instance_id: instance, first_sequence: 1 });
    assert_eq!(numbers(&mut consumer, 300).await, (1..=300).collect::<Vec<_>>());
    assert_eq!((length(&redis, QUEUE).await, held(&redis).await), (0, 0));
    assert_eq!(consumer.counters().messages(), 300);
}

#[tokio::test]
async fn hands_out_messages_that_come_while_it_waits() {
    let redis = RedisServer::start().await;
    let mut consumer = consumer(&redis);
    let instance = Uuid::new_v4();
    for number in 1..=3 {
        push_numbers(&redis, instance, [number]).await;
        assert_eq!(numbers(&mut consumer, 1).await, [number]);
    }
}

#[tokio::test]
async fn protobuf_and_json_lie_side_by_side_and_the_stream_gives_both() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push(&redis, message(instance, 1).to_json().unwrap()).await;
    push(&redis, message(instance, 2).encode_to_vec()).await;
    let stream = consumer(&redis).into_stream();
    let sequences = stream.filter_map(async |outcome| {
        let delivery = outcome.unwrap();
        let sequence = delivery.event().envelope().map(|envelope| envelope.sequence);
        delivery.ack().await.unwrap();
        sequence
    });
    assert_eq!(Box::pin(sequences).take(2).collect::<Vec<_>>().await, [1, 2]);
}

#[tokio::test]
async fn a_second_copy_is_dropped() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, [1, 2]).await;
    // What a collector does after an ambiguous time-out, and what another encoding of the same number would be.
    let copy = message(instance, 3);
    for element in [copy.to_json().unwrap(), copy.to_json().unwrap(), copy.encode_to_vec()] {
        push(&redis, element).await;
    }
    push_numbers(&redis, instance, [1, 4]).await;
    let mut consumer = consumer(&redis);
    assert_eq!(numbers(&mut consumer, 4).await, [1, 2, 3, 4]);
    assert_eq!(consumer.counters().duplicates(), 3);
    eventually("the copies are acknowledged", async || held(&redis).await == 0).await;
}

#[tokio::test]
async fn changes_of_a_collector_are_events_with_a_number_like_every_other() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    let change = ControlEvent {
        hostname: "web-7".to_owned(),
        action: ControlAction::IntervalSet.into(),
        caller: Some(Caller {
            name: "ops".to_owned(),
            login: CallerLogin::Token.into(),
            address: "[::1]:4711".to_owned(),
        }),
        previous_interval: Some(Duration::from_secs(1).into()),
        interval: Some(Duration::from_millis(200).into()),
        reason: "incident 4711".to_owned(),
        ..ControlEvent::default()
    };
    let written = |sequence| TelemetryMessage { payload: Some(change.clone().into()), ..message(instance, sequence) };
    push(&redis, written(1).to_json().unwrap()).await;
    push(&redis, written(2).encode_to_vec()).await;
    push_numbers(&redis, instance, [3]).await;
    let mut consumer = consumer(&redis);
    for sequence in 1..=2 {
        let (envelope, delivery) = next_message(&mut consumer).await;
        let Event::Control(control) = delivery.event() else { panic!("{delivery:?}") };
        assert_eq!((&control.envelope, &control.change), (&envelope, &change));
        assert_eq!(envelope.sequence, sequence);
        delivery.ack().await.unwrap();
    }
    assert_eq!(numbers(&mut consumer, 1).await, [3]);
}

#[tokio::test]
async fn gaps_restarts_and_holes_are_events() {
    let redis = RedisServer::start().await;
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    push_numbers(&redis, old, [7]).await;
    push_numbers(&redis, new, [1]).await;
    // The old instance's messages lay in the spool: they come after the new one began.
    push_numbers(&redis, old, [8]).await;
    push_numbers(&redis, new, [5]).await;
    let named = GapRecord::new([9..=12], GapReason::SpoolFull).of_instance(old);
    push(&redis, gap_of(new, 6, named).to_json().unwrap()).await;
    push_numbers(&redis, old, [13]).await;
    let patience = Some(Duration::from_millis(300));
    let mut consumer = QueueConsumer::connect(settings(&redis).missing_after(patience)).unwrap();

    let mut events = Vec::new();
    for _ in 0..9 {
        let delivery = event(&mut consumer).await;
        events.push(match delivery.event() {
            Event::InstanceStarted { instance_id, first_sequence } => ("started", *instance_id, *first_sequence),
            Event::MissingNumbers { instance_id, numbers } => {
                assert_eq!(*numbers, 2..=4);
                ("missing", *instance_id, *numbers.start())
            }
            Event::Gap(gap) => ("message", gap.envelope.instance_id, gap.envelope.sequence),
            other => panic!("{other:?}"),
        });
        delivery.ack().await.unwrap();
    }
    let expected = [
        ("started", old, 7),
        ("message", old, 7),
        ("started", new, 1),
        ("message", new, 1),
        ("message", old, 8),
        ("message", new, 5),
        ("message", new, 6),
        ("message", old, 13),
        ("missing", new, 2),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letters_with_the_reason() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    let broken = TelemetryMessage { collected_at: None, ..message(instance, 1) }.encode_to_vec();
    push(&redis, "no message").await;
    push(&redis, broken).await;
    push(&redis, b"\xff\x00").await;
    push_numbers(&redis, instance, [2]).await;
    let mut consumer = consumer(&redis);
    let (envelope, delivery) = next_message(&mut consumer).await;
    assert_eq!(envelope.sequence, 2);
    delivery.reject("nobody wants it").await.unwrap();

    let dead: Vec<String> = redis.command(&["LRANGE", DEAD, "0", "-1"]).await;
    let dead: Vec<serde_json::Value> = dead.iter().map(|letter| serde_json::from_str(letter).unwrap()).collect();
    let reasons: Vec<_> = dead.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        [
            "nobody wants it",
            "it begins neither like JSON nor like protobuf",
            "message breaks the schema: collected_at: is missing",
            "it begins neither like JSON nor like protobuf",
        ]
    );
    assert_eq!((&dead[3]["payload"], &dead[1]["payload_base64"]), (&"no message".into(), &"/wA=".into()));
    assert_eq!(consumer.counters().dead_letters(), 4);
    assert_eq!(held(&redis).await, 0);
}

#[tokio::test]
async fn another_major_is_refused_and_kept_and_what_follows_comes() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    let major_2 = r#"{"schema_version":"2.0.0","anything":["goes"]}"#;
    push(&redis, major_2).await;
    push_numbers(&redis, instance, [1]).await;
    let mut consumer = consumer(&redis);
    let error = outcome(&mut consumer).await.unwrap_err();
    assert!(matches!(error, ConsumerError::OtherMajor { .. }) && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().starts_with("a message of schema 2.0.0 cannot be read by a program that knows 1."));
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    let dead: Vec<String> = redis.command(&["LRANGE", DEAD, "0", "-1"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&dead[0]).unwrap()["payload"], major_2);
}

#[tokio::test]
async fn no_more_is_taken_than_may_be_in_flight() {
    let redis = RedisServer::start().await;
    push_numbers(&redis, Uuid::new_v4(), 1..=20).await;
    let mut consumer = QueueConsumer::connect(settings(&redis).max_in_flight(3)).unwrap();
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(next_message(&mut consumer).await.1);
    }
    assert_eq!((held(&redis).await, length(&redis, QUEUE).await), (3, 17));
    taken.remove(0).ack().await.unwrap();
    let (envelope, _delivery) = next_message(&mut consumer).await;
    assert_eq!(envelope.sequence, 4);
    assert_eq!((held(&redis).await, length(&redis, QUEUE).await), (3, 17 - 1));
}

#[tokio::test]
async fn what_is_dropped_without_an_acknowledgement_comes_again() {
    let redis = RedisServer::start().await;
    push_numbers(&redis, Uuid::new_v4(), [1]).await;
    let mut consumer = consumer(&redis);
    for _ in 0..3 {
        let (envelope, _dropped) = next_message(&mut consumer).await;
        assert_eq!(envelope.sequence, 1);
    }
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    assert_eq!(consumer.counters().duplicates(), 0);
}

#[tokio::test]
async fn close_gives_back_what_is_not_done_in_its_order() {
    let redis = RedisServer::start().await;
    push_numbers(&redis, Uuid::new_v4(), 1..=5).await;
    let mut first = consumer(&redis);
    assert_eq!(numbers(&mut first, 2).await, [1, 2]);
    let (_, held_on) = next_message(&mut first).await;
    first.close().await;
    assert_eq!((length(&redis, QUEUE).await, held(&redis).await), (3, 0));
    assert!(matches!(held_on.ack().await, Err(ConsumerError::Closed)));
    assert_eq!(numbers(&mut consumer(&redis), 3).await, [3, 4, 5]);
}

#[test]
fn what_a_dead_consumer_had_taken_comes_to_the_next_one() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let living = runtime();
    let redis = living.block_on(RedisServer::start());
    living.block_on(push_numbers(&redis, Uuid::new_v4(), 1..=5));
    // The test decides when the first consumer counts as dead, not the time that it takes.
    let settings = settings(&redis).dead_after(Duration::from_secs(3600));
    let quick = settings.clone().dead_after(Duration::from_secs(1));

    // With its runtime a consumer ends as it does with its process: it says nothing to Redis.
    let dying = runtime();
    dying.block_on(async move {
        let mut consumer = QueueConsumer::connect(settings).unwrap();
        assert_eq!(numbers(&mut consumer, 1).await, [1]);
        let taken = next_message(&mut consumer).await;
        std::mem::forget((taken, consumer));
    });
    dying.shutdown_background();

    living.block_on(async {
        assert_eq!((held(&redis).await, length(&redis, QUEUE).await), (4, 0));
        push_numbers(&redis, Uuid::new_v4(), [9]).await;
        let mut consumer = QueueConsumer::connect(quick).unwrap();
        assert_eq!(numbers(&mut consumer, 1).await, [9], "nobody is dead yet");
        // What time does.
        for alive in redis.command::<Vec<String>>(&["KEYS", "{telemetry:queue}:alive:*"]).await {
            redis.command::<()>(&["DEL", &alive]).await;
        }
        assert_eq!(numbers(&mut consumer, 4).await, [2, 3, 4, 5]);
        assert_eq!((held(&redis).await, consumer.counters().reclaimed()), (0, 4));
        eventually("the dead one is forgotten", async || {
            redis.command::<u64>(&["SCARD", "{telemetry:queue}:consumers"]).await == 1
        })
        .await;
    });
}

#[test]
fn a_consumer_that_was_stopped_and_taken_for_dead_loses_nothing() {
    let watching = tokio::runtime::Runtime::new().unwrap();
    let redis = watching.block_on(RedisServer::start());
    let settings = settings(&redis).dead_after(Duration::from_secs(1));
    // It finds the dead, and has no room for what they had.
    let mut other = watching.block_on(async { QueueConsumer::connect(settings.clone().max_in_flight(1)).unwrap() });
    watching.block_on(push_numbers(&redis, Uuid::new_v4(), [1]));
    let _held = watching.block_on(next_message(&mut other));
    watching.block_on(push_numbers(&redis, Uuid::new_v4(), [7]));

    // Its runtime is a thread of its own: while that waits, the consumer stands still as a stopped process does.
    let (taken, is_taken) = std::sync::mpsc::channel();
    let (wake, is_woken) = std::sync::mpsc::channel();
    let stopped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut consumer = QueueConsumer::connect(settings).unwrap();
            let (_, delivery) = next_message(&mut consumer).await;
            taken.send(()).unwrap();
            is_woken.recv().unwrap();
            let counters = consumer.counters();
            eventually("it comes back", async || counters.messages() + counters.duplicates() == 2).await;
            drop(delivery);
            numbers(&mut consumer, 1).await
        })
    });
    is_taken.recv().unwrap();
    let counters = other.counters();
    watching.block_on(eventually("the stopped one is taken for dead", async || counters.reclaimed() == 1));
    wake.send(()).unwrap();
    assert_eq!(stopped.join().unwrap(), [7]);
}

/// A consumer that has taken the messages 1 and 2 of `redis`, and what it has taken. Then its sign of life gets lost, and
/// another consumer gives both back to the queue, which is returned, too: it takes no more.
async fn taken_for_dead(redis: &RedisServer, settings: ConsumerSettings) -> (QueueConsumer, [Delivery; 2], impl Sized) {
    let quick = self::settings(redis).dead_after(Duration::from_secs(1)).max_in_flight(1);
    let mut other = QueueConsumer::connect(quick).unwrap();
    push_numbers(redis, Uuid::new_v4(), [7]).await;
    let held_by_other = next_message(&mut other).await;
    let others: Vec<String> = redis.command(&["KEYS", ALIVE]).await;

    push_numbers(redis, Uuid::new_v4(), [1, 2]).await;
    let mut consumer = QueueConsumer::connect(settings).unwrap();
    let taken = [next_message(&mut consumer).await.1, next_message(&mut consumer).await.1];
    let reclaimed = other.counters();
    eventually("its messages are given back", async || {
        for alive in redis.command::<Vec<String>>(&["KEYS", ALIVE]).await {
            if !others.contains(&alive) {
                redis.command::<()>(&["DEL", &alive]).await;
            }
        }
        reclaimed.reclaimed() == 2
    })
    .await;
    (consumer, taken, (other, held_by_other))
}

#[tokio::test]
async fn a_message_comes_again_that_was_given_back_while_the_connection_was_broken() {
    let redis = RedisServer::start().await;
    let settings = settings(&redis).max_in_flight(2);
    let (mut consumer, [first, second], _other) = taken_for_dead(&redis, settings).await;
    redis.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert!(outcome(&mut consumer).await.unwrap_err().is_retryable());

    second.ack().await.unwrap();
    let counters = consumer.counters();
    eventually("the first one comes back", async || counters.messages() + counters.duplicates() >= 3).await;
    drop(first);
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    eventually("nothing is left", async || {
        // It may come more than once; what was acknowledged does not come again.
        if let Ok(outcome) = timeout(Duration::from_millis(20), consumer.next()).await {
            let delivery = outcome.unwrap();
            assert_eq!(delivery.event().envelope().unwrap().sequence, 1);
            delivery.ack().await.unwrap();
        }
        (length(&redis, QUEUE).await, held(&redis).await) == (0, 1)
    })
    .await;
}

#[tokio::test]
async fn a_message_comes_again_that_was_given_back_by_a_consumer_that_found_no_sign_of_life() {
    let redis = RedisServer::start().await;
    let settings = settings(&redis).dead_after(Duration::from_secs(6)).max_in_flight(2);
    let (mut consumer, [first, second], _other) = taken_for_dead(&redis, settings).await;
    eventually("it gives a sign of life", async || redis.command::<Vec<String>>(&["KEYS", ALIVE]).await.len() == 2)
        .await;

    second.ack().await.unwrap();
    let counters = consumer.counters();
    eventually("the first one comes back", async || counters.messages() + counters.duplicates() >= 3).await;
    drop(first);
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
}

#[tokio::test]
async fn an_outage_is_told_once_and_loses_nothing() {
    let mut redis = RedisServer::start_with(RedisServer::PERSISTENT).await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, 1..=4).await;
    let mut consumer = consumer(&redis);
    assert_eq!(numbers(&mut consumer, 2).await, [1, 2]);
    let (_, third) = next_message(&mut consumer).await;

    redis.kill().await;
    let (_, fourth) = next_message(&mut consumer).await;
    let error = outcome(&mut consumer).await.unwrap_err();
    assert!(error.is_retryable() && !consumer.counters().is_connected(), "{error:?}");
    let acknowledging = tokio::spawn(third.ack());
    redis.restart().await;
    push_numbers(&redis, instance, [5]).await;

    assert_eq!(numbers(&mut consumer, 1).await, [5]);
    assert!(consumer.counters().is_connected());
    acknowledging.await.unwrap().unwrap();
    fourth.ack().await.unwrap();
    assert_eq!((held(&redis).await, length(&redis, QUEUE).await), (0, 0));
}

#[tokio::test]
async fn a_message_whose_arrival_was_lost_is_found() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    let quick = settings(&redis).dead_after(Duration::from_secs(1));
    let mut consumer = QueueConsumer::connect(quick).unwrap();
    push_numbers(&redis, instance, [1]).await;
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    // As if a connection that broke without a word had taken one more.
    let consumers: Vec<String> = redis.command(&["SMEMBERS", "{telemetry:queue}:consumers"]).await;
    let element = message(instance, 2).to_json().unwrap();
    redis.run(redis::cmd("LPUSH").arg(format!("{{telemetry:queue}}:processing:{}", consumers[0])).arg(element)).await;
    assert_eq!(numbers(&mut consumer, 1).await, [2]);
    assert_eq!(held(&redis).await, 0);
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_told_and_awaited() {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let mut consumer = consumer(&redis);
    let error = outcome(&mut consumer).await.unwrap_err();
    let ConsumerError::Redis { kind: FailureKind::Unreachable, .. } = error else { panic!("{error:?}") };
    redis.restart().await;
    push_numbers(&redis, Uuid::new_v4(), [1]).await;
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_that_somebody_must_mend() {
    let redis = RedisServer::start().await;
    redis.command::<()>(&["SET", QUEUE, "text"]).await;
    let mut consumer = consumer(&redis);
    let error = outcome(&mut consumer).await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(error.to_string(), "cannot take messages: rejected");
    eventually("it has failed several times", async || errors(&redis, "WRONGTYPE").await > 10).await;
    assert!(!consumer.counters().is_connected());
    redis.command::<()>(&["DEL", QUEUE]).await;
    push_numbers(&redis, Uuid::new_v4(), [1]).await;
    // No second error comes before it.
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    assert!(consumer.counters().is_connected());
}

/// How many errors with `code` the server has answered.
async fn errors(redis: &RedisServer, code: &str) -> u64 {
    let statistics: String = redis.command(&["INFO", "errorstats"]).await;
    let start = format!("errorstat_{code}:count=");
    statistics.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_at_once() {
    let refused = QueueConsumer::connect(ConsumerSettings::new("http://127.0.0.1", QUEUE)).unwrap_err();
    assert!(matches!(refused, ConsumerError::Settings(_)) && !refused.is_retryable());
}

#[tokio::test]
async fn waits_for_a_server_that_is_full() {
    let redis = RedisServer::start().await;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let mut consumer = consumer(&redis);
    // The refusal is in the answer to several commands.
    let error = outcome(&mut consumer).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot give a sign of life: busy or full");
    assert!(error.is_retryable());
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    push_numbers(&redis, Uuid::new_v4(), [1]).await;
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
}
