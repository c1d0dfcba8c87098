//! The tail against real servers: what it tells, and that the queue stays as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

use support::queue::{QUEUE, gap_of, length, message, push, push_numbers};
use telemetry_client::consumer::FailureKind;
use telemetry_client::proto::{GapReason, GapRecord};
use telemetry_client::{QueueTail, TailError, TailEvent, TailSettings, TlsFiles};
use telemetry_testing::{Authority, Cluster, PATIENCE, RedisServer, SentinelGroup, TlsServer, eventually};
use tokio::time::timeout;
use uuid::Uuid;

/// What is told of a queue with messages of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Number(u64),
    Missing(RangeInclusive<u64>),
    Unreadable,
    Skipped,
}

use Told::{Missing, Number, Skipped, Unreadable};

fn settings(url: impl Into<String>) -> TailSettings {
    let settings = TailSettings::new(url, QUEUE).retry(Duration::from_millis(10), Duration::from_millis(100));
    settings.poll_interval(Duration::from_millis(20)).missing_after(Duration::from_millis(500))
}

fn tail(settings: TailSettings) -> QueueTail {
    QueueTail::connect(settings).unwrap()
}

async fn outcome(tail: &mut QueueTail) -> Option<Result<TailEvent, TailError>> {
    timeout(PATIENCE, tail.next()).await.expect("nothing comes")
}

fn told(event: TailEvent) -> Told {
    match event {
        TailEvent::Message(message) => Number(message.sequence),
        TailEvent::Missing { numbers, .. } => Missing(numbers),
        TailEvent::Unreadable { .. } => Unreadable,
        TailEvent::Skipped => Skipped,
        other => panic!("{other:?}"),
    }
}

/// What the tail tells next.
async fn next(tail: &mut QueueTail, count: usize) -> Vec<Told> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(told(outcome(tail).await.expect("the tail goes on").unwrap()));
    }
    events
}

/// Everything that a tail tells which does not follow the queue.
async fn all(settings: TailSettings) -> Vec<Told> {
    let mut tail = tail(settings.follow(false));
    let mut events = Vec::new();
    while let Some(event) = outcome(&mut tail).await {
        events.push(told(event.unwrap()));
    }
    events
}

fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<Told> {
    numbers.into_iter().map(Number).collect()
}

/// Takes the oldest messages, as a consumer does.
async fn take(redis: &RedisServer, count: usize) {
    redis.command::<Vec<Vec<u8>>>(&["RPOP", QUEUE, &count.to_string()]).await;
}

async fn add_to_stream(redis: &RedisServer, instance: Uuid, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let json = message(instance, number).to_json().unwrap();
        redis.run(redis::cmd("XADD").arg(QUEUE).arg("*").arg("message").arg(json)).await;
    }
}

#[tokio::test]
async fn shows_the_newest_messages_of_a_list_and_takes_none() {
    let redis = RedisServer::start().await;
    push_numbers(&redis, Uuid::new_v4(), 1..=100).await;
    let settings = settings(redis.unix_url());
    assert_eq!(all(settings.clone()).await, numbers(91..=100));
    assert_eq!(all(settings.clone().last(0)).await, []);
    assert_eq!(all(settings.clone().last(99)).await, numbers(2..=100));
    assert_eq!(all(settings.last(5000)).await, numbers(1..=100));
    assert_eq!(length(&redis, QUEUE).await, 100);
    assert_eq!(redis.command::<Vec<String>>(&["KEYS", "*"]).await, [QUEUE]);
}

#[tokio::test]
async fn shows_the_newest_messages_of_a_stream_without_a_group() {
    let redis = RedisServer::start().await;
    add_to_stream(&redis, Uuid::new_v4(), 1..=300).await;
    let settings = settings(redis.unix_url());
    assert_eq!(all(settings.clone()).await, numbers(291..=300));
    assert_eq!(all(settings.clone().last(0)).await, []);
    assert_eq!(all(settings.last(300)).await, numbers(1..=300));
    assert_eq!(redis.command::<Vec<redis::Value>>(&["XINFO", "GROUPS", QUEUE]).await, []);
}

#[tokio::test]
async fn follows_new_messages_of_a_list_and_tells_copies_once() {
    let redis = RedisServer::start().await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    push_numbers(&redis, one, 1..=20).await;
    let mut tail = tail(settings(redis.unix_url()).last(3));
    assert_eq!(next(&mut tail, 3).await, numbers(18..=20));
    push_numbers(&redis, one, 21..=400).await;
    assert_eq!(next(&mut tail, 380).await, numbers(21..=400));
    // A push without an answer is repeated; another collector pushes in between.
    push_numbers(&redis, other, [1001]).await;
    push_numbers(&redis, one, 398..=400).await;
    assert_eq!(next(&mut tail, 1).await, numbers([1001]));
    push_numbers(&redis, one, [401]).await;
    assert_eq!(next(&mut tail, 1).await, numbers([401]));
}

#[tokio::test]
async fn follows_a_stream() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    add_to_stream(&redis, instance, 1..=5).await;
    let mut tail = tail(settings(redis.unix_url()).last(0));
    assert!(timeout(Duration::from_millis(100), tail.next()).await.is_err());
    add_to_stream(&redis, instance, (6..=400).chain([400])).await;
    assert_eq!(next(&mut tail, 395).await, numbers(6..=400));
    // Trimmed before the tail looks again.
    add_to_stream(&redis, instance, 401..=410).await;
    redis.command::<u64>(&["XTRIM", QUEUE, "MAXLEN", "3"]).await;
    assert_eq!(next(&mut tail, 4).await, [numbers(408..=410), vec![Missing(401..=407)]].concat());
}

#[tokio::test]
async fn waits_for_a_queue_that_is_not_there_yet() {
    let redis = RedisServer::start().await;
    assert_eq!(all(settings(redis.unix_url())).await, []);
    let mut tail = tail(settings(redis.unix_url()));
    assert!(timeout(Duration::from_millis(100), tail.next()).await.is_err());
    push_numbers(&redis, Uuid::new_v4(), 1..=3).await;
    assert_eq!(next(&mut tail, 3).await, numbers(1..=3));
}

#[tokio::test]
async fn tells_what_a_consumer_took_between_two_looks_as_missing() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, 1..=3).await;
    let mut tail = tail(settings(redis.unix_url()));
    assert_eq!(next(&mut tail, 3).await, numbers(1..=3));
    push_numbers(&redis, instance, 4..=6).await;
    take(&redis, 5).await;
    assert_eq!(next(&mut tail, 2).await, [Number(6), Missing(4..=5)]);
    // Everything that the tail knows is gone.
    push_numbers(&redis, instance, 7..=9).await;
    take(&redis, 3).await;
    assert_eq!(next(&mut tail, 2).await, [Number(9), Missing(7..=8)]);
}

#[tokio::test]
async fn finds_what_a_consumer_gave_back_instead_of_calling_it_missing() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, 1..=400).await;
    let mut tail = tail(settings(redis.unix_url()));
    assert_eq!(next(&mut tail, 10).await, numbers(391..=400));
    let given_back = message(instance, 401).to_json().unwrap();
    redis.run(redis::cmd("RPUSH").arg(QUEUE).arg(given_back)).await;
    push_numbers(&redis, instance, 403..=403).await;
    assert_eq!(next(&mut tail, 3).await, [Number(403), Number(401), Missing(402..=402)]);
}

#[tokio::test]
async fn a_gap_record_explains_what_is_missing() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, [1]).await;
    let mut tail = tail(settings(redis.unix_url()));
    assert_eq!(next(&mut tail, 1).await, numbers([1]));
    push_numbers(&redis, instance, [9]).await;
    let record = GapRecord::new([2..=6], GapReason::OutboxFull);
    push(&redis, gap_of(instance, 10, record).to_json().unwrap()).await;
    assert_eq!(next(&mut tail, 3).await, [Number(9), Number(10), Missing(7..=8)]);
}

#[tokio::test]
async fn marks_gaps_among_the_newest_messages_in_their_place() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, [1, 2, 5, 6, 8]).await;
    let expected = [Number(1), Number(2), Missing(3..=4), Number(5), Number(6), Missing(7..=7), Number(8)];
    assert_eq!(all(settings(redis.unix_url())).await, expected);
    assert_eq!(all(settings(redis.unix_url()).last(2)).await, expected[4..]);
    redis.command::<()>(&["DEL", QUEUE]).await;
    add_to_stream(&redis, instance, [1, 2, 5, 6, 8]).await;
    assert_eq!(all(settings(redis.unix_url())).await, expected);
}

#[tokio::test]
async fn skips_what_a_look_cannot_hold_without_calling_it_missing() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, [1]).await;
    let mut tail = tail(settings(redis.unix_url()));
    assert_eq!(next(&mut tail, 1).await, numbers([1]));
    let many: Vec<_> = (2..=10_500).map(|number| message(instance, number).to_json().unwrap()).collect();
    redis.run(redis::cmd("LPUSH").arg(QUEUE).arg(many)).await;
    assert_eq!(next(&mut tail, 1).await, [Skipped]);
    let first = match next(&mut tail, 1).await[..] {
        [Number(first)] => first,
        ref other => panic!("{other:?}"),
    };
    assert!((400..=501).contains(&first), "{first}");
    let rest = usize::try_from(10_500 - first).unwrap();
    assert_eq!(next(&mut tail, rest).await, numbers(first + 1..=10_500));
    push_numbers(&redis, instance, [10_502]).await;
    assert_eq!(next(&mut tail, 2).await, [Number(10_502), Missing(10_501..=10_501)]);
}

#[tokio::test]
async fn tells_elements_that_are_no_messages_once() {
    let redis = RedisServer::start().await;
    let instance = Uuid::new_v4();
    push(&redis, "hello").await;
    let mut tail = tail(settings(redis.unix_url()));
    let Some(Ok(TailEvent::Unreadable { reason, payload })) = outcome(&mut tail).await else { panic!("no element") };
    assert_eq!((reason.as_str(), &payload[..]), ("it begins neither like JSON nor like protobuf", &b"hello"[..]));
    push_numbers(&redis, instance, [1]).await;
    push(&redis, "world").await;
    push(&redis, message(instance, 2).to_protobuf().unwrap()).await;
    assert_eq!(next(&mut tail, 3).await, [Number(1), Unreadable, Number(2)]);
}

#[tokio::test]
async fn goes_on_after_an_outage_and_reports_it_once() {
    let mut redis = RedisServer::start_with(RedisServer::PERSISTENT).await;
    let instance = Uuid::new_v4();
    push_numbers(&redis, instance, 1..=3).await;
    let mut tail = tail(settings(redis.unix_url()));
    assert_eq!(next(&mut tail, 3).await, numbers(1..=3));
    redis.kill().await;
    let error = outcome(&mut tail).await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    // Longer than several tries take.
    assert!(timeout(Duration::from_millis(500), tail.next()).await.is_err(), "the outage is reported once");
    redis.restart().await;
    push_numbers(&redis, instance, 4..=5).await;
    assert_eq!(next(&mut tail, 2).await, numbers(4..=5));
}

#[tokio::test]
async fn ends_at_the_first_error_unless_it_follows() {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let mut tail = tail(settings(redis.unix_url()).follow(false));
    assert!(outcome(&mut tail).await.unwrap().is_err());
    assert!(outcome(&mut tail).await.is_none());
}

#[tokio::test]
async fn reports_a_key_that_holds_something_else() {
    let redis = RedisServer::start().await;
    redis.command::<()>(&["SET", QUEUE, "1"]).await;
    let error = outcome(&mut tail(settings(redis.unix_url()))).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot find out what the key holds: rejected");
    assert_eq!(error.source().unwrap().to_string(), "it holds a string, and a queue is a list or a stream");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn needs_no_permission_but_those_of_its_documentation() {
    let redis = RedisServer::start().await;
    let permissions = ["+type", "+lrange", "+xrevrange", "+xread"];
    let user = [&["ACL", "SETUSER", "reader", "on", ">secret", "%R~telemetry:*", "-@all"], &permissions[..]].concat();
    redis.command::<()>(&user).await;
    push_numbers(&redis, Uuid::new_v4(), [1, 3]).await;
    let settings = settings(redis.url_with_login("reader:secret"));
    assert_eq!(all(settings.clone()).await, [Number(1), Missing(2..=2), Number(3)]);
    redis.command::<()>(&["DEL", QUEUE]).await;
    add_to_stream(&redis, Uuid::new_v4(), [1]).await;
    let mut tail = tail(settings);
    assert_eq!(next(&mut tail, 1).await, numbers([1]));
    add_to_stream(&redis, Uuid::new_v4(), [2]).await;
    assert_eq!(next(&mut tail, 1).await, numbers([2]));
}

#[tokio::test]
async fn follows_a_master_through_a_failover() {
    let mut group = SentinelGroup::start().await;
    let instance = Uuid::new_v4();
    push_numbers(&group.servers[0], instance, 1..=3).await;
    let mut tail = tail(settings(group.url()));
    assert_eq!(next(&mut tail, 3).await, numbers(1..=3));
    eventually("the replica has the messages", async || length(&group.servers[1], QUEUE).await == 3).await;
    group.servers[0].kill().await;
    group.promoted_after(0).await;
    push_numbers(&group.servers[1], instance, 4..=5).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match outcome(&mut tail).await.unwrap() {
            Ok(event) => seen.push(told(event)),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    assert_eq!(seen, numbers(4..=5));
}

#[tokio::test]
async fn follows_a_slot_of_a_cluster_to_another_node() {
    let cluster = Cluster::start(false).await;
    let slot = cluster.slot(QUEUE).await;
    let owner = cluster.owner(slot, 0).await.unwrap();
    let target = (owner + 1) % 3;
    let instance = Uuid::new_v4();
    push_numbers(&cluster.nodes[owner], instance, 1..=3).await;
    let mut tail = tail(settings(format!("redis+cluster://127.0.0.1:{}", cluster.nodes[target].port())));
    assert_eq!(next(&mut tail, 3).await, numbers(1..=3));
    cluster.move_slot(slot, owner, target).await;
    push_numbers(&cluster.nodes[target], instance, 4..=5).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match outcome(&mut tail).await.unwrap() {
            Ok(event) => seen.push(told(event)),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    assert_eq!(seen, numbers(4..=5));
}

#[tokio::test]
async fn reads_a_server_by_tls_with_a_client_certificate() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", true).await;
    push_numbers(&server.server, Uuid::new_v4(), 1..=3).await;
    let files = authority.trusted_with_certificate();
    let files = TlsFiles { ca: files.ca, cert: files.cert, key: files.key };
    assert_eq!(all(settings(server.url()).tls(files)).await, numbers(1..=3));
    let mut stranger = tail(settings(server.url()));
    let error = outcome(&mut stranger).await.unwrap().unwrap_err();
    assert!(matches!(error, TailError::Redis { kind: FailureKind::Rejected, .. }), "{error:?}");
}

#[tokio::test]
async fn refuses_settings_that_cannot_be_used_at_once() {
    let error = QueueTail::connect(settings("redis+sentinel://host")).unwrap_err();
    assert!(matches!(error, TailError::Settings(_)) && !error.is_retryable());
    assert!(error.to_string().starts_with("url: the value is not redis[s]://"), "{error}");
    let debug = format!("{:?}", settings("redis://user:s3cret@host"));
    assert!(!debug.contains("s3cret"), "{debug}");
}

#[tokio::test]
async fn goes_on_when_the_key_changes_its_type() {
    let redis = RedisServer::start().await;
    push_numbers(&redis, Uuid::new_v4(), [1]).await;
    let mut tail = tail(settings(redis.url()));
    assert_eq!(next(&mut tail, 1).await, numbers([1]));
    // At once: a look that finds no key would look for its type again.
    let instance = Uuid::new_v4();
    let json = message(instance, 1).to_json().unwrap();
    let mut change = redis::pipe();
    change.atomic().cmd("DEL").arg(QUEUE).cmd("XADD").arg(QUEUE).arg("*").arg("message").arg(json);
    let _: (u64, String) = change.query_async(&mut redis.connect().await.unwrap()).await.unwrap();
    let error = outcome(&mut tail).await.unwrap().unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert_eq!(next(&mut tail, 1).await, numbers([1]), "of the stream");
}
