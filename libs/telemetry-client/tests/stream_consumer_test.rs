//! The consumer of a stream against a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::time::Duration;

use support::queue::{DEAD, QUEUE, length, message, next_message, numbers, settings};
use telemetry_client::{ConsumerSettings, QueueConsumer};
use telemetry_testing::{RedisServer, eventually};
use uuid::Uuid;

const GROUP: &str = "exporter";

fn of_stream(redis: &RedisServer) -> ConsumerSettings {
    settings(redis).stream(GROUP)
}

fn consumer(redis: &RedisServer) -> QueueConsumer {
    QueueConsumer::connect(of_stream(redis)).unwrap()
}

/// Adds an entry as the collector does.
async fn add(redis: &RedisServer, instance: Uuid, sequence: u64, payload: &[u8]) {
    let mut command = redis::cmd("XADD");
    command.arg(QUEUE).arg("*").arg("instance_id").arg(instance.to_string());
    redis.run(command.arg("sequence").arg(sequence).arg("message").arg(payload)).await;
}

async fn add_numbers(redis: &RedisServer, instance: Uuid, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        add(redis, instance, number, &message(instance, number).to_json().unwrap()).await;
    }
}

/// How many entries the group's consumers have.
async fn pending(redis: &RedisServer) -> usize {
    redis.command::<Vec<redis::Value>>(&["XPENDING", QUEUE, GROUP, "-", "+", "1000"]).await.len()
}

#[tokio::test]
async fn entries_come_in_order_to_every_group_and_are_acknowledged() {
    let redis = RedisServer::start().await;
    add_numbers(&redis, Uuid::new_v4(), 1..=300).await;
    let mut one = consumer(&redis);
    assert_eq!(numbers(&mut one, 300).await, (1..=300).collect::<Vec<_>>());
    assert_eq!(pending(&redis).await, 0);
    let mut other = QueueConsumer::connect(settings(&redis).stream("archive")).unwrap();
    assert_eq!(numbers(&mut other, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn hands_out_entries_that_come_while_it_waits_and_drops_copies() {
    let redis = RedisServer::start().await;
    let (mut consumer, instance) = (consumer(&redis), Uuid::new_v4());
    for number in 1..=3 {
        add_numbers(&redis, instance, [number, number]).await;
        assert_eq!(numbers(&mut consumer, 1).await, [number]);
    }
    eventually("the copies are acknowledged", async || pending(&redis).await == 0).await;
    assert_eq!(consumer.counters().duplicates(), 3);
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letters_and_what_is_dropped_comes_again() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    add(&redis, instance, 1, b"no message").await;
    add_numbers(&redis, instance, [2]).await;
    let mut consumer = consumer(&redis);
    for _ in 0..2 {
        let (envelope, _dropped) = next_message(&mut consumer).await;
        assert_eq!(envelope.sequence, 2);
    }
    next_message(&mut consumer).await.1.reject("nobody wants it").await.unwrap();
    assert_eq!((length(&redis, DEAD).await, pending(&redis).await), (2, 0));
    assert_eq!((consumer.counters().dead_letters(), consumer.counters().duplicates()), (2, 0));
}

#[tokio::test]
async fn what_a_consumer_leaves_comes_to_the_next_one() {
    let redis = RedisServer::start().await;
    add_numbers(&redis, Uuid::new_v4(), 1..=5).await;
    let mut first = consumer(&redis);
    assert_eq!(numbers(&mut first, 2).await, [1, 2]);
    let (_, _held) = next_message(&mut first).await;
    first.close().await;
    assert_eq!(pending(&redis).await, 3);

    let mut next = QueueConsumer::connect(of_stream(&redis).dead_after(Duration::from_secs(1))).unwrap();
    assert_eq!(numbers(&mut next, 3).await, [3, 4, 5]);
    assert_eq!((pending(&redis).await, next.counters().reclaimed()), (0, 3));
    eventually("the first one is forgotten", async || {
        redis.command::<Vec<redis::Value>>(&["XINFO", "CONSUMERS", QUEUE, GROUP]).await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn an_outage_loses_nothing_and_a_stream_that_is_gone_is_made_anew() {
    let mut redis = RedisServer::start_with(RedisServer::PERSISTENT).await;
    let instance = Uuid::new_v4();
    add_numbers(&redis, instance, 1..=2).await;
    let mut consumer = consumer(&redis);
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    let (_, second) = next_message(&mut consumer).await;
    redis.kill().await;
    assert!(consumer_error(&mut consumer).await);
    let acknowledging = tokio::spawn(second.ack());
    redis.restart().await;
    acknowledging.await.unwrap().unwrap();
    add_numbers(&redis, instance, [3]).await;
    assert_eq!(numbers(&mut consumer, 1).await, [3]);

    redis.command::<()>(&["FLUSHALL"]).await;
    assert!(consumer_error(&mut consumer).await);
    add_numbers(&redis, instance, [4]).await;
    assert_eq!(numbers(&mut consumer, 1).await, [4]);
}

/// Waits for the error that tells of an outage; whether it mends itself.
async fn consumer_error(consumer: &mut QueueConsumer) -> bool {
    support::queue::outcome(consumer).await.unwrap_err().is_retryable()
}
