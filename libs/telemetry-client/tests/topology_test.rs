//! The consumer through Sentinels, in a Cluster, by TLS and by a Unix socket, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use support::queue::{QUEUE, event, held, length, message, next_message, numbers, outcome, push_numbers};
use telemetry_client::consumer::FailureKind;
use telemetry_client::{ConsumerError, ConsumerSettings, Event, QueueConsumer, TlsFiles};
use telemetry_testing::{
    Authority, ClientFiles, Cluster, RedisServer, SentinelGroup, TlsSentinel, TlsServer, eventually,
};
use uuid::Uuid;

const GROUP: &str = "exporter";

/// What the key holds.
#[derive(Debug, Clone, Copy)]
enum Mode {
    List,
    Stream,
}

impl Mode {
    /// A consumer that makes the most of a failover: it retries often and does not wait long for an answer.
    fn consumer(self, url: impl Into<String>) -> QueueConsumer {
        let settings = settings(url);
        QueueConsumer::connect(match self {
            Self::List => settings,
            Self::Stream => settings.stream(GROUP),
        })
        .unwrap()
    }

    /// Adds messages as a collector does.
    async fn push(self, redis: &RedisServer, instance: Uuid, numbers: impl IntoIterator<Item = u64>) {
        match self {
            Self::List => push_numbers(redis, instance, numbers).await,
            Self::Stream => {
                for number in numbers {
                    let mut add = redis::cmd("XADD");
                    add.arg(QUEUE).arg("*").arg("message").arg(message(instance, number).to_json().unwrap());
                    redis.run(&add).await;
                }
            }
        }
    }

    /// How many messages wait for a consumer or for its acknowledgement.
    async fn waiting(self, redis: &RedisServer) -> u64 {
        match self {
            Self::List => length(redis, QUEUE).await + held(redis).await,
            Self::Stream => {
                let lag = "return redis.call('XINFO', 'GROUPS', KEYS[1])[1][12]";
                let pending = redis.command::<Vec<redis::Value>>(&["XPENDING", QUEUE, GROUP, "-", "+", "1000"]).await;
                pending.len() as u64 + redis.command::<u64>(&["EVAL", lag, "1", QUEUE]).await
            }
        }
    }
}

fn settings(url: impl Into<String>) -> ConsumerSettings {
    ConsumerSettings::new(url, QUEUE)
        .retry(Duration::from_millis(10), Duration::from_millis(100))
        .timeouts(Duration::from_secs(5), Duration::from_secs(5))
}

fn files(ClientFiles { ca, cert, key }: ClientFiles) -> TlsFiles {
    TlsFiles { ca, cert, key }
}

fn encrypted(url: impl Into<String>, files: TlsFiles) -> QueueConsumer {
    QueueConsumer::connect(settings(url).tls(files)).unwrap()
}

/// Takes messages until all of `expected` have come, whatever else comes with them. Only failures that pass may be in the
/// way.
async fn takes_all(consumer: &mut QueueConsumer, expected: impl IntoIterator<Item = u64>) {
    let mut missing: BTreeSet<u64> = expected.into_iter().collect();
    while !missing.is_empty() {
        match outcome(consumer).await {
            Ok(delivery) => {
                if let Some(envelope) = delivery.event().envelope() {
                    missing.remove(&envelope.sequence);
                }
                assert!(!matches!(delivery.event(), Event::MissingNumbers { .. }), "{delivery:?}");
                delivery.ack().await.unwrap();
            }
            Err(error) => assert!(error.is_retryable(), "{}", line(&error)),
        }
    }
}

/// The error with everything that caused it.
fn line(error: &ConsumerError) -> String {
    let (mut line, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

/// The line of the failure that needs somebody's action.
async fn rejection(mut consumer: QueueConsumer) -> String {
    let error = outcome(&mut consumer).await.unwrap_err();
    let ConsumerError::Redis { kind: FailureKind::Rejected, .. } = error else { panic!("{}", line(&error)) };
    line(&error)
}

async fn follows_a_master_that_is_killed(mode: Mode) {
    let mut group = SentinelGroup::start().await;
    let instance = Uuid::new_v4();
    let mut consumer = mode.consumer(group.url());
    mode.push(&group.servers[0], instance, 1..=3).await;
    assert_eq!(numbers(&mut consumer, 3).await, [1, 2, 3]);
    // Taken, and not acknowledged before the master is gone.
    mode.push(&group.servers[0], instance, [4]).await;
    let (_, fourth) = next_message(&mut consumer).await;
    eventually("the replica has the message", async || mode.waiting(&group.servers[1]).await == 1).await;

    group.servers[0].kill().await;
    group.promoted_after(0).await;
    mode.push(&group.servers[1], instance, 5..=8).await;
    let acknowledging = tokio::spawn(fourth.ack());
    takes_all(&mut consumer, 5..=8).await;
    acknowledging.await.unwrap().unwrap();
    eventually("nothing waits", async || mode.waiting(&group.servers[1]).await == 0).await;
    assert!(consumer.counters().is_connected());
}

#[tokio::test]
async fn follows_a_killed_master_to_its_replica() {
    follows_a_master_that_is_killed(Mode::List).await;
}

#[tokio::test]
async fn follows_a_killed_master_to_its_replica_with_a_stream() {
    follows_a_master_that_is_killed(Mode::Stream).await;
}

#[tokio::test]
async fn follows_a_master_that_becomes_a_replica() {
    let group = SentinelGroup::start().await;
    let instance = Uuid::new_v4();
    let mut consumer = Mode::List.consumer(group.url());
    push_numbers(&group.servers[0], instance, [1]).await;
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
    // The old master stays up, with the consumer blocked on it.
    group.fail_over().await;
    push_numbers(&group.servers[1], instance, [2]).await;
    takes_all(&mut consumer, [2]).await;
    eventually("nothing waits", async || Mode::List.waiting(&group.servers[1]).await == 0).await;
}

#[tokio::test]
async fn reports_a_master_that_no_sentinel_knows() {
    let group = SentinelGroup::start().await;
    let consumer = Mode::List.consumer(format!("redis+sentinel://{}/other", group.addresses()));
    let line = rejection(consumer).await;
    assert!(line.starts_with("cannot connect to Redis: rejected: Sentinel 127.0.0.1:"), "{line}");
    assert!(line.ends_with("it knows no master named \"other\""), "{line}");
}

async fn follows_a_slot(mode: Mode) {
    let cluster = Cluster::start(false).await;
    let slot = cluster.slot(QUEUE).await;
    let owner = cluster.owner(slot, 0).await.unwrap();
    let target = (owner + 1) % 3;
    let instance = Uuid::new_v4();
    // Any node leads to the one that holds the key.
    let mut consumer = mode.consumer(format!("redis+cluster://127.0.0.1:{}", cluster.nodes[target].port()));
    mode.push(&cluster.nodes[owner], instance, 1..=50).await;
    let (_, first) = next_message(&mut consumer).await;

    let moving = async {
        cluster.move_slot(slot, owner, target).await;
        mode.push(&cluster.nodes[target], instance, 51..=100).await;
        first.ack().await.unwrap();
    };
    tokio::join!(moving, takes_all(&mut consumer, 2..=100));
    eventually("nothing waits", async || mode.waiting(&cluster.nodes[target]).await == 0).await;
    assert_eq!(consumer.counters().messages(), 100);
}

#[tokio::test]
async fn follows_a_slot_that_moves_to_another_node() {
    follows_a_slot(Mode::List).await;
}

#[tokio::test]
async fn follows_a_slot_that_moves_to_another_node_with_a_stream() {
    follows_a_slot(Mode::Stream).await;
}

#[tokio::test]
async fn reports_a_node_of_a_cluster_that_is_taken_for_one_server() {
    let cluster = Cluster::start(false).await;
    let owner = cluster.owner(cluster.slot(QUEUE).await, 0).await.unwrap();
    let line = rejection(Mode::List.consumer(cluster.nodes[(owner + 1) % 3].url())).await;
    assert!(line.contains("MOVED") && line.ends_with("whose URL begins with redis+cluster://"), "{line}");
}

#[tokio::test]
async fn reads_a_server_with_a_certificate_of_a_private_ca() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", false).await;
    push_numbers(&server.server, Uuid::new_v4(), 1..=3).await;
    assert_eq!(numbers(&mut encrypted(server.url(), files(authority.trusted())), 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn shows_its_certificate_to_a_server_that_asks_for_one() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", true).await;
    push_numbers(&server.server, Uuid::new_v4(), [1]).await;
    let line = rejection(encrypted(server.url(), files(authority.trusted()))).await;
    assert!(line.contains("CertificateRequired"), "{line}");
    let mut consumer = encrypted(server.url(), files(authority.trusted_with_certificate()));
    assert_eq!(numbers(&mut consumer, 1).await, [1]);
}

#[tokio::test]
async fn refuses_a_server_with_a_certificate_of_another_ca() {
    let server = TlsServer::start(&Authority::new(), "127.0.0.1", false).await;
    let stranger = Authority::new();
    for files in [files(stranger.trusted()), TlsFiles::default()] {
        let line = rejection(encrypted(server.url(), files)).await;
        assert!(
            line.starts_with("cannot connect to Redis: rejected: ") && line.contains("invalid peer certificate"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn reaches_sentinel_and_master_by_tls() {
    let authority = Authority::new();
    let master = TlsServer::start(&authority, "127.0.0.1", false).await;
    let sentinel = TlsSentinel::start(&authority, &master);
    push_numbers(&master.server, Uuid::new_v4(), [1]).await;
    takes_all(&mut encrypted(sentinel.url(), files(authority.trusted())), [1]).await;
}

#[tokio::test]
async fn reads_by_a_unix_socket() {
    let redis = RedisServer::start().await;
    for mode in [Mode::List, Mode::Stream] {
        redis.command::<()>(&["FLUSHALL"]).await;
        mode.push(&redis, Uuid::new_v4(), 1..=3).await;
        let mut consumer = mode.consumer(redis.unix_url());
        assert!(matches!(event(&mut consumer).await.event(), Event::InstanceStarted { .. }), "{mode:?}");
        assert_eq!(numbers(&mut consumer, 3).await, [1, 2, 3], "{mode:?}");
    }
}

#[tokio::test]
async fn refuses_settings_that_cannot_be_used_at_once() {
    let missing = TlsFiles { ca: Some("/nowhere/ca.pem".into()), ..TlsFiles::default() };
    let no_key = TlsFiles { cert: Some("/dev/null".into()), ..TlsFiles::default() };
    for (url, files, expected) in [
        ("redis+sentinel://host", TlsFiles::default(), "url: the value is not redis[s]://"),
        ("redis://host", missing.clone(), "tls.ca: is for rediss, and url does not begin with it"),
        ("rediss://host", missing, "tls.ca: cannot read \"/nowhere/ca.pem\": No such file"),
        ("rediss+cluster://host", no_key, "tls.cert: needs tls.key, too"),
    ] {
        let error = QueueConsumer::connect(settings(url).tls(files)).unwrap_err();
        assert!(matches!(error, ConsumerError::Settings(_)) && !error.is_retryable());
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
