//! Tests of the Redis publisher with TLS, Sentinel and Cluster on real servers.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use telemetry_collector::errors::{PublishingErrorKind, report};
use telemetry_collector::publishers::{RedisPublisher, RedisQueue, RedisSettings, TelemetryPublisher};
use telemetry_redis::TlsFiles;
use telemetry_testing::{
    Authority, ClientFiles, Cluster, RedisServer, SentinelGroup, TlsSentinel, TlsServer, eventually,
};
use tokio::net::TcpListener;

use support::publisher::{KEY, connect, kind, message, messages, pop_all, settings};

/// A queue with a longer connect timeout, because discovery takes several steps.
fn discovered_queue(url: impl Into<String>) -> RedisQueue {
    connect(&RedisSettings { connect_timeout: Duration::from_secs(3), ..settings(url) })
}

fn tls_files(ClientFiles { ca, cert, key }: ClientFiles) -> TlsFiles {
    TlsFiles { ca, cert, key }
}

fn encrypted_queue(server: &TlsServer, files: ClientFiles) -> RedisQueue {
    let tls = tls_files(files);
    connect(&RedisSettings { tls, connect_timeout: Duration::from_secs(3), ..settings(server.url()) })
}

/// The error message of a rejected push.
async fn rejection(queue: &RedisQueue) -> String {
    let error = queue.publish_batch(&message(1)).await.unwrap_err();
    let line = report(&error);
    assert_eq!(kind::<()>(Err(error)), PublishingErrorKind::Rejected, "{line}");
    line
}

/// Publishes a message, with retries until it is accepted. Every error in between must be retryable.
async fn publish_eventually(queue: &RedisQueue, sequence: u64) {
    eventually("the message is taken", async || match queue.publish_batch(&message(sequence)).await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_retryable(), "{}", report(&error));
            false
        }
    })
    .await;
}

#[tokio::test]
async fn trusts_a_server_with_a_certificate_of_the_configured_ca() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", false).await;
    let queue = encrypted_queue(&server, authority.trusted());
    queue.publish_batch(&messages(1..=3)).await.unwrap();
    assert_eq!(queue.queue_length().await.unwrap(), 3);
    assert_eq!(pop_all(&server.server).await, [1, 2, 3]);
}

#[tokio::test]
async fn rejects_a_server_with_a_certificate_of_an_unknown_ca_and_reports_why() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", false).await;
    for files in [Authority::new().trusted(), ClientFiles::default()] {
        let line = rejection(&encrypted_queue(&server, files)).await;
        assert!(line.contains("invalid peer certificate"), "{line}");
    }
}

#[tokio::test]
async fn rejects_a_certificate_for_another_name_and_reports_why() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "redis.example", false).await;
    let line = rejection(&encrypted_queue(&server, authority.trusted())).await;
    assert!(line.contains("certificate not valid for name \"127.0.0.1\""), "{line}");
}

#[tokio::test]
async fn presents_a_client_certificate_to_a_server_that_demands_one() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", true).await;
    encrypted_queue(&server, authority.trusted_with_certificate()).publish_batch(&message(1)).await.unwrap();
    let line = rejection(&encrypted_queue(&server, authority.trusted())).await;
    assert!(line.contains("CertificateRequired"), "{line}");
}

#[tokio::test]
async fn reads_a_renewed_ca_certificate_at_the_next_connection() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = TlsServer::start(&new, "127.0.0.1", false).await;
    let queue = encrypted_queue(&server, old.trusted());
    rejection(&queue).await;
    fs::copy(new.ca(), old.ca()).unwrap();
    queue.publish_batch(&message(1)).await.unwrap();

    fs::remove_file(old.ca()).unwrap();
    server.server.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    eventually("the broken connection is noticed", async || queue.publish_batch(&message(2)).await.is_err()).await;
    let line = rejection(&queue).await;
    assert!(line.contains("TELEMETRY_REDIS__TLS_CA: cannot read"), "{line}");
}

#[tokio::test]
async fn follows_the_master_after_a_failover() {
    let group = SentinelGroup::start().await;
    let queue = discovered_queue(group.url());
    queue.publish_batch(&message(1)).await.unwrap();
    assert_eq!(group.servers[0].command::<u64>(&["LLEN", KEY]).await, 1);

    group.fail_over().await;
    publish_eventually(&queue, 2).await;
    assert_eq!(pop_all(&group.servers[1]).await, [1, 2]);
}

#[tokio::test]
async fn uses_the_promoted_replica_after_the_master_died() {
    let mut group = SentinelGroup::start().await;
    let queue = discovered_queue(group.url());
    queue.publish_batch(&message(1)).await.unwrap();
    eventually("the replica has the message", async || group.servers[1].command::<u64>(&["LLEN", KEY]).await == 1)
        .await;

    group.servers[0].kill().await;
    publish_eventually(&queue, 2).await;
    assert_eq!(group.master().await, 1);
    assert_eq!(pop_all(&group.servers[1]).await, [1, 2]);
}

#[tokio::test]
async fn finds_the_master_although_some_sentinels_are_down_or_hang() {
    let mut group = SentinelGroup::start().await;
    group.kill_sentinel(0).await;
    group.pause_sentinel(1);
    // As by default, the response timeout is as long as the timeout for the whole discovery.
    let limit = Duration::from_secs(3);
    let settings = RedisSettings { connect_timeout: limit, response_timeout: limit, ..settings(group.url()) };
    // Several times, because the first Sentinel to be asked varies.
    for sequence in 1..=4 {
        connect(&settings).publish_batch(&message(sequence)).await.unwrap();
    }
    assert_eq!(pop_all(&group.servers[0]).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn reports_what_a_node_says_although_another_one_hangs() {
    let locked = RedisServer::start_with(&["--requirepass", "secret"]).await;
    // The kernel accepts its connections, and nobody reads them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (locked, hung) = (format!("127.0.0.1:{}", locked.port()), listener.local_addr().unwrap());
    let connect_timeout = Duration::from_secs(1);
    // Several times, because the first node to be asked varies.
    for _ in 0..4 {
        let settings = settings(format!("redis+cluster://{locked},{hung}"));
        let line = rejection(&connect(&RedisSettings { connect_timeout, ..settings })).await;
        assert_eq!(line, format!("cannot push 1 message: rejected: node {locked}: NOAUTH Authentication required."));
    }
}

#[tokio::test]
async fn does_not_write_to_a_server_that_is_not_a_master() {
    let group = SentinelGroup::start().await;
    // Simulates a partitioned Sentinel, which takes a replica for the master.
    let stranger = RedisServer::start().await;
    group.servers[0].command::<()>(&["REPLICAOF", "127.0.0.1", &stranger.port().to_string()]).await;
    let queue = discovered_queue(group.url());
    let error = queue.publish_batch(&message(1)).await.unwrap_err();
    let line = report(&error);
    assert!(line.contains("is named as the master and says that it is a slave"), "{line}");
    assert_eq!(kind::<()>(Err(error)), PublishingErrorKind::Refused);
}

#[tokio::test]
async fn rejects_a_master_name_that_sentinel_does_not_know() {
    let group = SentinelGroup::start().await;
    let queue = discovered_queue(format!("redis+sentinel://{}/other", group.addresses()));
    let line = rejection(&queue).await;
    assert!(line.ends_with("it knows no master named \"other\""), "{line}");
}

#[tokio::test]
async fn uses_separate_credentials_for_sentinel_and_master() {
    let group = SentinelGroup::start_with(
        &["--user", "data", "on", ">one", "~*", "&*", "+@all", "--masteruser", "data", "--masterauth", "one"],
        &["sentinel auth-user telemetry data", "sentinel auth-pass telemetry one"],
    )
    .await;
    let url = format!("redis+sentinel://data:one@{}/telemetry", group.addresses());
    discovered_queue(url).publish_batch(&message(1)).await.unwrap();
    let url = format!("redis+sentinel://data:wrong@{}/telemetry", group.addresses());
    let line = rejection(&discovered_queue(url)).await;
    assert!(line.contains("master 127.0.0.1:") && line.contains(": WRONGPASS ") && !line.contains("wrong"), "{line}");
}

#[tokio::test]
async fn uses_tls_for_sentinel_and_master() {
    let authority = Authority::new();
    let master = TlsServer::start(&authority, "127.0.0.1", false).await;
    let sentinel = TlsSentinel::start(&authority, &master);
    let tls = tls_files(authority.trusted());
    let queue = connect(&RedisSettings { tls, connect_timeout: Duration::from_secs(3), ..settings(sentinel.url()) });
    publish_eventually(&queue, 1).await;
    assert_eq!(pop_all(&master.server).await, [1]);
}

#[tokio::test]
async fn discovers_a_cluster_from_any_node_and_follows_the_slot() {
    let cluster = Cluster::start(false).await;
    let slot = cluster.slot(KEY).await;
    let owner = cluster.owner(slot, 0).await.unwrap();
    for node in 0..3 {
        let url = format!("redis+cluster://127.0.0.1:{}", cluster.nodes[node].port());
        discovered_queue(url).publish_batch(&message(node as u64 + 1)).await.unwrap();
    }

    let queue = discovered_queue(cluster.url());
    queue.publish_batch(&message(4)).await.unwrap();
    let target = (owner + 1) % 3;
    cluster.move_slot(slot, owner, target).await;
    assert_eq!(kind(queue.publish_batch(&message(5)).await), PublishingErrorKind::Refused);
    queue.publish_batch(&message(5)).await.unwrap();
    assert_eq!(queue.queue_length().await.unwrap(), 5);
    assert_eq!(pop_all(&cluster.nodes[target]).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn rejects_a_cluster_node_with_a_url_of_a_single_server() {
    let cluster = Cluster::start(false).await;
    let owner = cluster.owner(cluster.slot(KEY).await, 0).await.unwrap();
    let line = rejection(&discovered_queue(cluster.nodes[(owner + 1) % 3].url())).await;
    assert!(line.contains("MOVED") && line.ends_with("whose URL begins with redis+cluster://"), "{line}");
}

#[tokio::test]
async fn keeps_connections_to_only_one_cluster_node() {
    let cluster = Cluster::start(false).await;
    let owner = cluster.owner(cluster.slot(KEY).await, 0).await.unwrap();
    let queue = discovered_queue(cluster.url());
    queue.publish_batch(&message(1)).await.unwrap();
    queue.health_check().await.unwrap();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let expected = if index == owner { 2 } else { 0 };
        eventually("connections for discovery are closed", async || {
            // The test itself has one connection.
            node.command::<String>(&["CLIENT", "LIST", "TYPE", "normal"]).await.lines().count() == expected + 1
        })
        .await;
    }
}

#[tokio::test]
async fn uses_the_replica_of_a_lost_cluster_node() {
    let mut cluster = Cluster::start(true).await;
    let owner = cluster.owner(cluster.slot(KEY).await, 0).await.unwrap();
    let queue = discovered_queue(cluster.url());
    queue.publish_batch(&message(1)).await.unwrap();
    let replica = owner + 3;
    eventually("the replica has the message", async || {
        cluster.nodes[replica].command::<String>(&["INFO", "keyspace"]).await.contains("keys=1")
    })
    .await;

    let start = Instant::now();
    cluster.nodes[owner].kill().await;
    publish_eventually(&queue, 2).await;
    assert_eq!(pop_all(&cluster.nodes[replica]).await, [1, 2], "after {:?}", start.elapsed());
}
