//! Tests of exactly-once delivery, WAIT, streams and shards with a real redis-server.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use telemetry_collector::errors::{PublishingErrorKind, report};
use telemetry_collector::publishers::{
    DeliveryMode, Receipt, RedisPublisher, RedisQueue, RedisSettings, TelemetryPublisher,
};
use telemetry_outbox::Batch;
use telemetry_proto::v1::{HealthRequest, HealthStatus};
use telemetry_redis::{QueueMode, shard_key};
use telemetry_testing::{Cluster, RedisServer, eventually};
use uuid::Uuid;

use support::collector::Collector;
use support::publisher::{INSTANCE, KEY, connect, in_queue, kind, message, messages, pop_all, settings, taken};

fn once(url: impl Into<String>) -> RedisSettings {
    RedisSettings { delivery: DeliveryMode::ExactlyOnce, ..settings(url) }
}

fn once_queue(url: impl Into<String>) -> RedisQueue {
    connect(&once(url))
}

/// A batch of messages, of which the server acknowledged those up to `acknowledged`.
fn after(acknowledged: u64, sequences: RangeInclusive<u64>) -> Batch {
    Batch { acknowledged, ..messages(sequences) }
}

fn mark() -> String {
    format!("{{{KEY}}}:mark:{INSTANCE}")
}

async fn kill_clients(server: &RedisServer) {
    server.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
}

/// The stream entries: instance ID, sequence number, message.
async fn entries(server: &RedisServer) -> Vec<(String, String, String)> {
    let entries: Vec<(String, HashMap<String, String>)> = server.command(&["XRANGE", KEY, "-", "+"]).await;
    entries
        .into_iter()
        .map(|(_, mut entry)| {
            let mut field = |name| entry.remove(name).unwrap();
            (field("instance_id"), field("sequence"), field("message"))
        })
        .collect()
}

fn entry(sequence: u64) -> (String, String, String) {
    (INSTANCE.to_string(), sequence.to_string(), sequence.to_string())
}

#[tokio::test]
async fn does_not_push_a_message_twice() {
    let server = RedisServer::start().await;
    let queue = connect(&RedisSettings { max_length: 4, ..once(server.url()) });
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=2)).await), in_queue(2, 0));
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=2)).await), in_queue(2, 0));
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=4)).await), in_queue(4, 0));
    assert_eq!(taken(queue.publish_batch(&after(4, 5..=6)).await), in_queue(4, 2));
    assert_eq!(pop_all(&server).await, [3, 4, 5, 6]);
}

#[tokio::test]
async fn pushes_a_number_once_although_the_batch_has_it_twice() {
    for mode in [QueueMode::List, QueueMode::Stream] {
        let server = RedisServer::start().await;
        let queue = connect(&RedisSettings { mode, ..once(server.url()) });
        queue.publish_batch(&after(0, 1..=2)).await.unwrap();

        // As a disk leaves it that carried out a write which had counted as refused: 1..10, then 1..21.
        let mut batch = after(0, 1..=10);
        batch.messages.extend(messages(1..=21).messages);
        assert_eq!(taken(queue.publish_batch(&batch).await), in_queue(21, 0), "{mode:?}");
        assert_eq!(server.command::<u64>(&["GET", &mark()]).await, 21, "{mode:?}");

        // The batch ends with a lower number than it began with: the mark stays where it is.
        let mut batch = after(21, 22..=24);
        batch.messages.extend(message(22).messages);
        assert_eq!(taken(queue.publish_batch(&batch).await), in_queue(24, 0), "{mode:?}");
        assert_eq!(taken(queue.publish_batch(&batch).await), in_queue(24, 0), "{mode:?}");
        match mode {
            QueueMode::List => assert_eq!(pop_all(&server).await, (1..=24).collect::<Vec<_>>()),
            QueueMode::Stream => assert_eq!(entries(&server).await, (1..=24).map(entry).collect::<Vec<_>>()),
        }
    }
}

#[tokio::test]
async fn retry_after_a_timeout_causes_no_duplicate() {
    let server = RedisServer::start().await;
    let queue = once_queue(server.url());
    queue.publish_batch(&after(0, 1..=1)).await.unwrap();

    server.pause();
    assert_eq!(kind(queue.publish_batch(&after(1, 2..=3)).await), PublishingErrorKind::TimedOut);
    server.resume();
    // The server executes the commands that it received while it hung.
    eventually("the push that timed out is in the list", async || server.command::<u64>(&["LLEN", KEY]).await == 3)
        .await;
    assert_eq!(taken(queue.publish_batch(&after(1, 2..=3)).await).queue_length, 3);
    queue.publish_batch(&after(3, 4..=4)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn detects_a_server_that_lost_acknowledged_messages() {
    let mut server = RedisServer::start().await;
    let queue = once_queue(server.url());
    queue.publish_batch(&after(0, 1..=3)).await.unwrap();

    // It restarts empty, as without persistence.
    server.kill().await;
    server.restart().await;
    assert!(queue.publish_batch(&after(3, 4..=5)).await.is_err());
    assert_eq!(queue.publish_batch(&after(3, 4..=5)).await.unwrap(), Receipt::Behind { newest: 0 });
    queue.publish_batch(&after(0, 1..=5)).await.unwrap();

    // It restarts without its most recent writes.
    server.command::<()>(&["SET", &mark(), "4"]).await;
    assert_eq!(queue.publish_batch(&after(5, 6..=6)).await.unwrap(), Receipt::Behind { newest: 4 });
    assert_eq!(taken(queue.publish_batch(&after(4, 5..=6)).await).queue_length, 7);
    assert_eq!(pop_all(&server).await, [1, 2, 3, 4, 5, 5, 6]);
}

#[tokio::test]
async fn logs_messages_of_an_emptied_server_as_lost_without_a_spool() {
    let server = RedisServer::start().await;
    let collector = Collector::start(&[
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
        ("TELEMETRY_REDIS__URL", &server.url()),
        ("TELEMETRY_REDIS__KEY", KEY),
        ("TELEMETRY_REDIS__DELIVERY", "exactly_once"),
    ])
    .await;
    eventually("messages arrive", async || server.command::<u64>(&["LLEN", KEY]).await > 0).await;
    server.command::<()>(&["FLUSHALL"]).await;
    let line = "they are no longer retained and cannot be sent again";
    eventually("the loss is logged", async || collector.log().contains(line)).await;
    assert!(!collector.log().contains("sending retained messages again"), "{}", collector.log());
}

#[tokio::test]
async fn each_instance_has_its_own_mark_that_expires_after_a_month() {
    let server = RedisServer::start().await;
    let queue = once_queue(server.url());
    let other = Batch { instance_id: Uuid::from_u128(2), ..messages(1..=1) };
    queue.publish_batch(&after(0, 1..=2)).await.unwrap();
    queue.publish_batch(&other).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2, 1]);

    assert_eq!(server.command::<u64>(&["GET", &mark()]).await, 2);
    let lifetime: u64 = server.command(&["TTL", &mark()]).await;
    assert!((2_591_900..=2_592_000).contains(&lifetime), "{lifetime}");
}

#[tokio::test]
async fn loads_the_script_again_after_script_flush() {
    let server = RedisServer::start().await;
    let queue = once_queue(server.url());
    queue.publish_batch(&after(0, 1..=1)).await.unwrap();
    server.command::<()>(&["SCRIPT", "FLUSH"]).await;
    queue.publish_batch(&after(1, 2..=2)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2]);
}

#[tokio::test]
async fn a_failed_push_does_not_change_the_mark() {
    let server = RedisServer::start().await;
    let queue = once_queue(server.url());
    server.command::<()>(&["SET", KEY, "something"]).await;
    assert_eq!(kind(queue.publish_batch(&after(0, 1..=2)).await), PublishingErrorKind::Rejected);
    server.command::<()>(&["DEL", KEY]).await;

    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = queue.publish_batch(&after(0, 1..=2)).await.unwrap_err();
    assert!(report(&error).contains("OOM command not allowed"), "{}", report(&error));
    assert_eq!(kind::<()>(Err(error)), PublishingErrorKind::Refused);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;

    queue.publish_batch(&after(0, 1..=2)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2]);
}

#[tokio::test]
async fn names_the_missing_permissions() {
    let server = RedisServer::start().await;
    server.command::<()>(&["ACL", "SETUSER", "pusher", "on", ">secret", "~*", "+ping", "+lpush", "+get", "+set"]).await;
    let queue = once_queue(server.url_with_login("pusher:secret"));
    let line = report(&queue.publish_batch(&after(0, 1..=1)).await.unwrap_err());
    assert!(line.contains("rejected: NOPERM") && line.contains("needs the permissions EVALSHA, SCRIPT LOAD"), "{line}");

    server.command::<()>(&["ACL", "SETUSER", "pusher", "+evalsha", "+script|load", "-lpush"]).await;
    let line = report(&queue.publish_batch(&after(0, 1..=1)).await.unwrap_err());
    assert!(line.contains("rejected") && line.contains("needs the permissions EVALSHA"), "{line}");
    server.command::<()>(&["ACL", "SETUSER", "pusher", "+lpush"]).await;
    queue.publish_batch(&after(0, 1..=1)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1]);
}

#[tokio::test]
async fn acknowledges_messages_although_trimming_is_forbidden() {
    let server = RedisServer::start().await;
    server
        .command::<()>(&[
            "ACL",
            "SETUSER",
            "pusher",
            "on",
            ">secret",
            "~*",
            "+ping",
            "+lpush",
            "+get",
            "+set",
            "+evalsha",
            "+script|load",
        ])
        .await;
    let queue = connect(&RedisSettings { max_length: 2, ..once(server.url_with_login("pusher:secret")) });
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=3)).await), in_queue(3, 0));
    server.command::<()>(&["ACL", "SETUSER", "pusher", "+ltrim"]).await;
    assert_eq!(taken(queue.publish_batch(&after(3, 4..=4)).await), in_queue(2, 2));
}

#[tokio::test]
async fn delivers_exactly_once_to_a_cluster_while_slots_move() {
    let cluster = Cluster::start(false).await;
    for (key, slot_of) in [(KEY, KEY), ("{tag}:queue", "tag"), ("telemetry:queue:{3}", "3")] {
        let settings =
            RedisSettings { key: key.to_owned(), connect_timeout: Duration::from_secs(3), ..once(cluster.url()) };
        let queue = connect(&settings);
        queue.publish_batch(&after(0, 1..=2)).await.unwrap();

        let slot = cluster.slot(slot_of).await;
        let owner = cluster.owner(slot, 0).await.unwrap();
        let target = (owner + 1) % 3;
        cluster.move_slot(slot, owner, target).await;
        assert_eq!(kind(queue.publish_batch(&after(2, 3..=3)).await), PublishingErrorKind::Refused);
        queue.publish_batch(&after(2, 2..=3)).await.unwrap();
        assert_eq!(cluster.nodes[target].command::<Vec<u64>>(&["RPOP", key, "9"]).await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn acknowledges_messages_once_enough_replicas_have_them() {
    let server = RedisServer::start().await;
    let queue = connect(&RedisSettings { wait_replicas: 1, ..once(server.url()) });
    for _ in 0..2 {
        let error = queue.publish_batch(&after(0, 1..=1)).await.unwrap_err();
        assert_eq!(report(&error), "cannot push 1 message: busy or full: not enough replicas: 0 of 1 have it");
        assert!(error.is_retryable());
    }

    let replica = RedisServer::start().await;
    replica.command::<()>(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]).await;
    eventually("the replica is in sync", async || queue.publish_batch(&after(0, 1..=1)).await.is_ok()).await;
    eventually("the replica has the next message", async || queue.publish_batch(&after(1, 2..=2)).await.is_ok()).await;
    assert_eq!(replica.command::<Vec<u64>>(&["LRANGE", KEY, "0", "-1"]).await, [2, 1]);
}

#[tokio::test]
async fn waits_for_replicas_of_messages_from_another_connection_too() {
    let server = RedisServer::start().await;
    let queue = connect(&RedisSettings { wait_replicas: 1, ..once(server.url()) });
    assert!(queue.publish_batch(&after(0, 1..=1)).await.is_err());
    // The message is already in the list, so the new connection pushes nothing. It must wait for replicas nevertheless.
    kill_clients(&server).await;
    eventually("the server answers again", async || {
        let error = queue.publish_batch(&after(0, 1..=1)).await.unwrap_err();
        report(&error).contains("not enough replicas")
    })
    .await;
    assert_eq!(pop_all(&server).await, [1]);
}

#[tokio::test]
async fn writes_one_stream_entry_per_message() {
    let server = RedisServer::start().await;
    let queue = connect(&RedisSettings { mode: QueueMode::Stream, ..settings(server.url()) });
    assert_eq!(taken(queue.publish_batch(&messages(1..=2)).await), in_queue(2, 0));
    assert_eq!(taken(queue.publish_batch(&message(3)).await), in_queue(3, 0));
    assert_eq!(queue.queue_length().await.unwrap(), 3);
    assert_eq!(entries(&server).await, [entry(1), entry(2), entry(3)]);
}

#[tokio::test]
async fn delivers_exactly_once_to_a_stream() {
    let server = RedisServer::start().await;
    let queue = connect(&RedisSettings { mode: QueueMode::Stream, ..once(server.url()) });
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=2)).await), in_queue(2, 0));
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=3)).await), in_queue(3, 0));
    assert_eq!(taken(queue.publish_batch(&after(0, 1..=3)).await), in_queue(3, 0));
    assert_eq!(queue.publish_batch(&after(9, 10..=10)).await.unwrap(), Receipt::Behind { newest: 3 });
    assert_eq!(entries(&server).await, [entry(1), entry(2), entry(3)]);
}

#[tokio::test]
async fn trims_a_stream_approximately_and_counts_trimmed_entries_exactly() {
    for delivery in [DeliveryMode::AtLeastOnce, DeliveryMode::ExactlyOnce] {
        let server = RedisServer::start_with(&["--stream-node-max-entries", "10"]).await;
        let queue =
            connect(&RedisSettings { mode: QueueMode::Stream, delivery, max_length: 25, ..settings(server.url()) });
        let mut trimmed = 0;
        for batch in 0..10 {
            let acknowledged = taken(queue.publish_batch(&after(batch * 10, batch * 10 + 1..=batch * 10 + 10)).await);
            trimmed += acknowledged.trimmed;
            assert_eq!(acknowledged.queue_length + trimmed, (batch + 1) * 10, "{delivery:?}");
        }
        assert!(trimmed >= 60, "{trimmed}");
    }
}

#[tokio::test]
async fn stream_mode_rejects_a_key_of_another_type_and_sets_no_mark() {
    let server = RedisServer::start().await;
    server.command::<()>(&["LPUSH", KEY, "a message from before"]).await;
    for delivery in [DeliveryMode::AtLeastOnce, DeliveryMode::ExactlyOnce] {
        let queue = connect(&RedisSettings { mode: QueueMode::Stream, delivery, ..settings(server.url()) });
        let error = queue.publish_batch(&message(1)).await.unwrap_err();
        assert!(report(&error).contains("rejected: WRONGTYPE"), "{}", report(&error));
    }
    server.command::<()>(&["DEL", KEY]).await;
    let queue = connect(&RedisSettings { mode: QueueMode::Stream, ..once(server.url()) });
    queue.publish_batch(&message(1)).await.unwrap();
    assert_eq!(entries(&server).await, [entry(1)]);
}

#[tokio::test]
async fn shards_are_spread_over_cluster_nodes() {
    let cluster = Cluster::start(false).await;
    let mut owners = Vec::new();
    for shard in 0..8 {
        owners.push(cluster.owner(cluster.slot(&format!("{KEY}:{{{shard}}}")).await, 0).await.unwrap());
    }
    assert!((0..3).all(|node| owners.contains(&node)), "{owners:?}");

    let key = shard_key(KEY, 8, "web-7").unwrap();
    let queue =
        connect(&RedisSettings { key: key.clone(), connect_timeout: Duration::from_secs(3), ..once(cluster.url()) });
    queue.publish_batch(&messages(1..=3)).await.unwrap();
    let owner = cluster.owner(cluster.slot(&key).await, 0).await.unwrap();
    assert_eq!(cluster.nodes[owner].command::<Vec<u64>>(&["RPOP", &key, "9"]).await, [1, 2, 3]);
}

#[tokio::test]
async fn reports_pressure_only_while_the_queue_is_at_its_high_water_mark() {
    let server = RedisServer::start().await;
    let queue = connect(&RedisSettings { high_water: 3, ..settings(server.url()) });
    assert_eq!(taken(queue.publish_batch(&messages(1..=2)).await).pressure().map(|error| report(&error)), None);
    queue.health_check().await.unwrap();

    let line = "cannot keep the queue below 3 messages: busy or full: it holds 3; consumers are too slow";
    let pressure = taken(queue.publish_batch(&message(3)).await).pressure().unwrap();
    assert_eq!(report(&pressure), line);
    assert_eq!(report(&queue.health_check().await.unwrap_err()), line);

    assert_eq!(pop_all(&server).await, [1, 2, 3]);
    queue.health_check().await.unwrap();
}

#[tokio::test]
async fn sink_is_degraded_while_consumers_are_too_slow() {
    let server = RedisServer::start().await;
    let collector = Collector::start(&[
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
        ("TELEMETRY_REDIS__URL", &server.url()),
        ("TELEMETRY_REDIS__KEY", KEY),
        ("TELEMETRY_REDIS__HIGH_WATER", "20"),
        ("TELEMETRY_REDIS__DELIVERY", "exactly_once"),
    ])
    .await;
    let mut control = collector.control().await;
    let mut sink = async || {
        let health = control.health(HealthRequest {}).await.unwrap().into_inner();
        health.components.into_iter().find(|component| component.name == "sink").unwrap()
    };
    eventually("the sink serves", async || sink().await.status() == HealthStatus::Serving).await;
    eventually("the sink is degraded", async || sink().await.status() == HealthStatus::Degraded).await;
    let line = sink().await.last_error.unwrap();
    assert!(line.starts_with("cannot keep the queue below 20 messages: busy or full: it holds 2"), "{line}");

    server.command::<()>(&["DEL", KEY]).await;
    eventually("the sink serves again", async || sink().await.status() == HealthStatus::Serving).await;
}
