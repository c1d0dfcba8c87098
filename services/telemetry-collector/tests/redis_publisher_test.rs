//! Tests of the Redis publisher with a real redis-server.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use telemetry_collector::errors::{PublishingErrorKind, report};
use telemetry_collector::publishers::{PoolState, RedisPublisher, RedisQueue, RedisSettings, TelemetryPublisher};
use telemetry_testing::{RedisServer, eventually};
use tokio::net::TcpListener;

use support::publisher::{
    CONNECT_TIMEOUT, INSTANCE, KEY, RESPONSE_TIMEOUT, connect, in_queue, kind, message, messages, pop_all, queue,
    settings, taken,
};

/// How much longer than its timeouts a call may take on a loaded machine.
const SLACK: Duration = Duration::from_secs(2);

fn capped_queue(url: impl Into<String>, max_length: u64) -> RedisQueue {
    connect(&RedisSettings { max_length, ..settings(url) })
}

#[tokio::test]
async fn keeps_the_order_of_messages() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    let acknowledged = taken(queue.publish_batch(&message(1)).await);
    assert_eq!(acknowledged, in_queue(1, 0));
    queue.publish_batch(&messages(2..=4)).await.unwrap();
    queue.publish(INSTANCE, message(5).messages.remove(0)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn publishes_a_large_batch() {
    let server = RedisServer::start().await;
    let acknowledged = taken(queue(server.url()).publish_batch(&messages(1..=128)).await);
    assert_eq!(acknowledged.queue_length, 128);
    assert_eq!(pop_all(&server).await, (1..=128).collect::<Vec<_>>());
}

#[tokio::test]
async fn trims_the_list_to_its_newest_messages() {
    let server = RedisServer::start().await;
    let queue = capped_queue(server.url(), 10);
    let acknowledged = taken(queue.publish_batch(&messages(1..=8)).await);
    assert_eq!(acknowledged, in_queue(8, 0));
    let acknowledged = taken(queue.publish_batch(&messages(9..=13)).await);
    assert_eq!(acknowledged, in_queue(10, 3));
    assert_eq!(pop_all(&server).await, (4..=13).collect::<Vec<_>>());
}

#[tokio::test]
async fn connects_to_a_unix_socket() {
    let server = RedisServer::start().await;
    queue(server.unix_url()).publish_batch(&message(1)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1]);
}

#[tokio::test]
async fn connects_once_the_server_is_up() {
    let mut server = RedisServer::start().await;
    server.kill().await;
    let queue = queue(server.url());
    assert_eq!(kind(queue.publish_batch(&message(1)).await), PublishingErrorKind::Unreachable);
    assert_eq!(kind(queue.health_check().await), PublishingErrorKind::Unreachable);

    server.restart().await;
    queue.publish_batch(&message(1)).await.unwrap();
    queue.health_check().await.unwrap();
    assert_eq!(pop_all(&server).await, [1]);
}

#[tokio::test]
async fn reconnects_after_a_restart_of_the_server() {
    let mut server = RedisServer::start().await;
    let queue = queue(server.url());
    queue.publish_batch(&message(1)).await.unwrap();
    queue.health_check().await.unwrap();

    server.kill().await;
    assert_eq!(kind(queue.publish_batch(&message(2)).await), PublishingErrorKind::Unreachable);
    server.restart().await;
    queue.publish_batch(&message(2)).await.unwrap();
    assert_eq!(pop_all(&server).await, [2]);
}

#[tokio::test]
async fn fails_at_most_once_after_a_connection_broke_unnoticed() {
    let mut server = RedisServer::start().await;
    let queue = queue(server.url());
    queue.publish_batch(&message(1)).await.unwrap();

    server.kill().await;
    server.restart().await;
    if let Err(error) = queue.publish_batch(&message(2)).await {
        assert!(error.is_retryable(), "{error}");
        queue.publish_batch(&message(2)).await.unwrap();
    }
    assert_eq!(pop_all(&server).await, [2]);
}

#[tokio::test]
async fn tests_an_idle_connection_before_use() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    queue.publish_batch(&message(1)).await.unwrap();

    // Simulates a server that closes idle connections.
    server.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    queue.publish_batch(&message(2)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2]);
}

#[tokio::test]
async fn a_hung_server_causes_timeouts_and_at_most_one_duplicate() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    queue.publish_batch(&message(1)).await.unwrap();

    server.pause();
    let start = Instant::now();
    let second = message(2);
    let (published, healthy) = tokio::join!(queue.publish_batch(&second), queue.health_check());
    assert_eq!(kind(published), PublishingErrorKind::TimedOut);
    assert_eq!(kind(healthy), PublishingErrorKind::Unreachable);
    assert!(start.elapsed() < CONNECT_TIMEOUT + RESPONSE_TIMEOUT + SLACK, "{:?}", start.elapsed());
    // The kernel accepts new connections but the server does not answer, so nothing is pushed.
    assert_eq!(kind(queue.publish_batch(&second).await), PublishingErrorKind::Unreachable);
    assert_eq!(kind(queue.publish_batch(&second).await), PublishingErrorKind::Unreachable);

    server.resume();
    queue.publish_batch(&second).await.unwrap();
    queue.publish_batch(&message(3)).await.unwrap();
    // It is unknown whether the push that timed out was executed. The retries were not.
    let popped = pop_all(&server).await;
    assert!([vec![1, 2, 3], vec![1, 2, 2, 3]].contains(&popped), "{popped:?}");
}

#[tokio::test]
async fn gives_up_a_silent_server_after_the_timeouts() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let queue = queue(format!("redis://{}", silent.local_addr().unwrap()));
    let start = Instant::now();
    let error = queue.publish_batch(&message(1)).await.unwrap_err();
    assert!(start.elapsed() < CONNECT_TIMEOUT + RESPONSE_TIMEOUT + SLACK, "{:?}", start.elapsed());
    assert_eq!(kind::<()>(Err(error)), PublishingErrorKind::Unreachable);
}

#[tokio::test]
async fn rejects_a_key_of_another_type_until_it_is_deleted() {
    let server = RedisServer::start().await;
    server.command::<()>(&["SET", KEY, "something"]).await;
    let queue = capped_queue(server.url(), 10);
    let error = queue.publish_batch(&messages(1..=3)).await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(
        report(&error),
        "cannot push 3 messages: rejected: WRONGTYPE Operation against a key holding the wrong kind of value"
    );

    server.command::<()>(&["DEL", KEY]).await;
    queue.publish_batch(&messages(1..=3)).await.unwrap();
    assert_eq!(pop_all(&server).await, [1, 2, 3]);
}

#[tokio::test]
async fn rejects_a_wrong_password_without_printing_it() {
    let server = RedisServer::start_with(&["--requirepass", "right-password"]).await;
    for (url, refusal) in
        [(server.url(), "NOAUTH Authentication required."), (server.url_with_login(":wrong-password"), "WRONGPASS ")]
    {
        let error = queue(url).publish_batch(&message(1)).await.unwrap_err();
        let line = report(&error);
        assert!(line.starts_with(&format!("cannot push 1 message: rejected: {refusal}")), "{line}");
        assert!(!line.contains("wrong-password"), "{line}");
        assert_eq!(kind::<()>(Err(error)), PublishingErrorKind::Rejected, "{line}");
    }
    queue(server.url_with_login(":right-password")).publish_batch(&message(1)).await.unwrap();
}

#[tokio::test]
async fn logs_in_and_selects_the_database() {
    let server = RedisServer::start().await;
    server.command::<()>(&["ACL", "SETUSER", "pusher", "on", ">se@cret", "~*", "+lpush", "+select"]).await;
    let urls = [
        format!("{}/2", server.url_with_login("pusher:se%40cret")),
        format!("{}?db=2&user=pusher&pass=se@cret", server.unix_url()),
    ];
    for (pushed, url) in (1..).zip(&urls) {
        assert_eq!(taken(queue(url).publish_batch(&message(1)).await), in_queue(pushed, 0), "{url}");
    }
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await, 0);

    let error = queue(format!("{}/99", server.url())).publish_batch(&message(1)).await.unwrap_err();
    assert_eq!(report(&error), "cannot push 1 message: rejected: ERR DB index is out of range");
    server.command::<()>(&["ACL", "SETUSER", "pusher", "-select"]).await;
    let error = queue(&urls[0]).publish_batch(&message(1)).await.unwrap_err();
    assert!(report(&error).starts_with("cannot push 1 message: rejected: NOPERM "), "{}", report(&error));
}

#[tokio::test]
async fn publishes_with_permission_for_lpush_only() {
    let server = RedisServer::start().await;
    server.command::<()>(&["ACL", "SETUSER", "pusher", "on", ">secret", &format!("~{KEY}"), "+lpush"]).await;
    let queue = capped_queue(server.url_with_login("pusher:secret"), 2);
    let acknowledged = taken(queue.publish_batch(&messages(1..=3)).await);
    assert_eq!(acknowledged, in_queue(3, 0));
    assert_eq!(kind(queue.queue_length().await), PublishingErrorKind::Rejected);

    server.command::<()>(&["ACL", "SETUSER", "pusher", "+ltrim"]).await;
    let acknowledged = taken(queue.publish_batch(&message(4)).await);
    assert_eq!(acknowledged, in_queue(2, 2));
}

#[tokio::test]
async fn is_refused_while_the_server_is_out_of_memory() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(kind(queue.publish_batch(&message(1)).await), PublishingErrorKind::Refused);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    queue.publish_batch(&message(1)).await.unwrap();
}

#[tokio::test]
async fn is_refused_when_maxclients_is_reached() {
    let server = RedisServer::start().await;
    server.command::<()>(&["ACL", "SETUSER", "pusher", "on", ">secret", "~*", "+lpush"]).await;
    let _occupied = server.connect().await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxclients", "1"]).await;
    for url in [server.url(), server.url_with_login("pusher:secret")] {
        let error = queue(url).publish_batch(&message(1)).await.unwrap_err();
        assert_eq!(report(&error), "cannot push 1 message: busy or full: ERR max number of clients reached");
    }
}

#[tokio::test]
async fn disconnects_from_a_server_that_became_a_replica() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    queue.publish_batch(&message(1)).await.unwrap();
    queue.health_check().await.unwrap();

    server.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_eq!(kind(queue.publish_batch(&message(2)).await), PublishingErrorKind::Refused);
    assert_eq!(queue.pool_state().size, 0, "the next attempt discovers the server again");

    server.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    queue.publish_batch(&message(2)).await.unwrap();
}

#[tokio::test]
async fn reports_queue_length_and_pool_state() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    assert_eq!(queue.queue_length().await.unwrap(), 0);
    assert_eq!(queue.pool_state(), PoolState { max_size: 2, size: 1, available: 1, waiting: 0 });

    queue.publish_batch(&messages(1..=3)).await.unwrap();
    assert_eq!(queue.queue_length().await.unwrap(), 3);
    assert_eq!(queue.pool_state(), PoolState { max_size: 2, size: 2, available: 1, waiting: 0 });
}

#[tokio::test]
async fn a_closed_queue_has_no_connections_and_rejects_messages() {
    let server = RedisServer::start().await;
    let queue = queue(server.url());
    queue.publish_batch(&message(1)).await.unwrap();
    queue.health_check().await.unwrap();

    queue.close().await;
    let error = queue.publish_batch(&message(2)).await.unwrap_err();
    assert_eq!(report(&error), "cannot push 1 message: rejected: the queue is closed");
    assert!(queue.health_check().await.is_err());
    assert_eq!(queue.pool_state().size, 0);
    eventually("the test is the only client", async || {
        server.command::<String>(&["CLIENT", "LIST"]).await.lines().count() == 1
    })
    .await;
    assert_eq!(pop_all(&server).await, [1]);
}
