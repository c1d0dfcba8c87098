//! The control client against a small server.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::error::Error;
use std::time::Duration;

use support::collector::{Collector, client, message, plain, sample};
use telemetry_client::control::{Watch, WatchEvent, WatchOptions};
use telemetry_client::proto::telemetry_message::Payload;
use telemetry_client::proto::watch_snapshots_response::Event;
use telemetry_client::proto::{
    DeliveryState, DeliveryUpdate, GapReason, GroupSnapshot, HealthStatus, MissedEvents, SequenceRange,
    TelemetryMessage, WatchSnapshotsResponse,
};
use telemetry_client::{ControlClient, ControlError, ControlSettings, IntervalRequest};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tonic::Code;

/// A sample of a group that only a newer schema knows.
fn sample_of_newer_group() -> TelemetryMessage {
    let mut message = TelemetryMessage { schema_version: "1.99.0".to_owned(), ..sample() };
    let Some(Payload::Data(data)) = &mut message.payload else { panic!("no data") };
    data.metrics = None;
    message
}

fn snapshot_of(group: &str, message: TelemetryMessage, age_ms: u64) -> GroupSnapshot {
    GroupSnapshot { group: group.to_owned(), message: Some(message), age: Some(Duration::from_millis(age_ms).into()) }
}

#[tokio::test]
async fn every_call_gives_plain_types() {
    let sent = message();
    let collector = client(plain(Collector::with(sent.clone()).serve().await));

    let snapshot = collector.snapshot().await.unwrap();
    assert_eq!((snapshot.message, snapshot.age), (sent, Duration::from_millis(250)));

    let change = collector.set_interval(Duration::from_millis(200)).await.unwrap();
    assert_eq!((change.previous, change.current), (Duration::from_secs(1), Duration::from_millis(200)));

    let health = collector.health().await.unwrap();
    assert_eq!((health.status, health.components[0].name.as_str()), (HealthStatus::Degraded, "sink"));
}

#[tokio::test]
async fn snapshot_returns_the_message_of_each_group() {
    let (cpu, newer) = (sample(), sample_of_newer_group());
    let snapshots = vec![snapshot_of("cpu", cpu.clone(), 250), snapshot_of("pressure", newer.clone(), 4_000)];
    let collector = Collector { snapshots, ..Collector::with(cpu.clone()) };
    let snapshot = client(plain(collector.serve().await)).snapshot().await.unwrap();

    let groups: Vec<_> = snapshot.groups.iter().map(|snapshot| (snapshot.group.as_str(), snapshot.age)).collect();
    assert_eq!(groups, [("cpu", Duration::from_millis(250)), ("pressure", Duration::from_secs(4))]);
    assert_eq!(snapshot.group("cpu").unwrap().message, cpu);
    assert_eq!(snapshot.group("pressure").unwrap().message, newer);
    assert_eq!(snapshot.group("disk"), None);
    assert_eq!((snapshot.message, snapshot.age), (cpu, Duration::from_millis(250)));
}

#[tokio::test]
async fn a_collector_of_schema_1_0_0_has_the_group_of_its_message() {
    let older = TelemetryMessage { schema_version: "1.0.0".to_owned(), ..sample() };
    let snapshot = client(plain(Collector::with(older.clone()).serve().await)).snapshot().await.unwrap();
    let cpu = snapshot.group("cpu").unwrap();
    assert_eq!((snapshot.groups.len(), &cpu.message, cpu.age), (1, &older, Duration::from_millis(250)));
}

#[tokio::test]
async fn a_group_that_breaks_the_schema_is_refused() {
    for (wrong, problem) in [
        (snapshot_of("cpu", TelemetryMessage { sequence: 0, ..sample() }, 1), "sequence: 0 is not a number from 1"),
        (GroupSnapshot { message: None, ..snapshot_of("cpu", sample(), 1) }, "it holds no message"),
        (GroupSnapshot { age: None, ..snapshot_of("cpu", sample(), 1) }, "it lacks a duration"),
    ] {
        let collector = Collector { snapshots: vec![wrong], ..Collector::with(sample()) };
        let error = client(plain(collector.serve().await)).snapshot().await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), problem);
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_collector_said() {
    let collector = client(plain(Collector::with(message()).serve().await));
    let error = collector.set_interval(Duration::from_secs(7200)).await.unwrap_err();
    assert!(matches!(error, ControlError::Refused { .. }) && !error.is_retryable());
    assert!(error.to_string().contains("2h is not a duration from 100ms to 1h"), "{error}");
}

#[tokio::test]
async fn before_the_first_sample_trying_again_helps() {
    let error = client(plain(Collector::default().serve().await)).snapshot().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }) && error.is_retryable());
    assert_eq!(error.to_string(), "cannot get the snapshot: not available: no sample yet");
}

#[tokio::test]
async fn an_answer_that_breaks_the_schema_is_refused() {
    let wrong = TelemetryMessage { sequence: 0, ..message() };
    let error = client(plain(Collector::with(wrong).serve().await)).snapshot().await.unwrap_err();
    assert!(matches!(error, ControlError::WrongAnswer { .. }));
    assert_eq!(error.source().unwrap().to_string(), "sequence: 0 is not a number from 1");
}

#[tokio::test]
async fn a_call_ends_at_its_time_limit() {
    let port = Collector::default().serve().await;
    let limit = Duration::from_millis(50);
    let error = client(plain(port).timeouts(limit, limit)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::TimedOut { .. }) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_unavailable() {
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let error = client(plain(free)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot get the health: not available: tcp connect error: Connection refused (os error 111)"
    );
}

/// The server closes each connection after the first bytes of a call.
#[tokio::test]
async fn a_connection_that_breaks_during_a_call_is_unavailable() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            connection.read_exact(&mut [0; 24]).await.unwrap();
        }
    });
    let error = client(plain(port)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    assert!(error.to_string().starts_with("cannot get the health: not available: transport error: "), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let refused = |settings| ControlClient::connect_lazily(settings).unwrap_err();
    let why = |settings| refused(settings).to_string();
    assert_eq!(why(ControlSettings::new("not a url")), "the address of the control API is wrong");
    assert_eq!(why(plain(1).ca_certificate("PEM")), "the certificate of the control API is wrong");
    assert_eq!(why(plain(1).client_certificate("PEM", "PEM")), "the certificate of the control API is wrong");
    assert_eq!(why(ControlSettings::new("unix:control.sock")), "the address of the control API is wrong");
    assert_eq!(why(plain(1).bearer_token_file("/nowhere/token")), "the token of the control API is wrong");
    assert_eq!(why(plain(1).bearer_token("")), "the token of the control API is wrong");
    let readable = ControlSettings::new("http://collector:1").bearer_token("s3cret");
    assert_eq!(
        refused(readable).source().unwrap().to_string(),
        "beyond loopback a token requires https: plain http would expose it"
    );
    for address in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "unix:///nowhere"] {
        client(ControlSettings::new(address).bearer_token("s3cret"));
    }
}

#[tokio::test]
async fn omits_secrets_from_debug_output() {
    let settings = plain(1).bearer_token("s3cret");
    let shown = format!("{settings:?} {:?}", client(settings.clone()));
    assert!(!shown.contains("s3cret"), "{shown}");
    let settings = ControlSettings::new("https://localhost:1").client_certificate("certificate", "k3y");
    assert!(!format!("{settings:?}").contains("k3y"));
}

#[tokio::test]
async fn errors_tell_a_login_a_role_a_limit_and_an_older_collector_apart() {
    type Is = fn(&ControlError) -> bool;
    let cases: [(Code, Is, bool, &str); 6] = [
        (
            Code::Unauthenticated,
            |error| matches!(error, ControlError::Unauthenticated { .. }),
            false,
            "valid bearer token",
        ),
        (Code::PermissionDenied, |error| matches!(error, ControlError::PermissionDenied { .. }), false, "another role"),
        (Code::ResourceExhausted, |error| matches!(error, ControlError::Limited { .. }), true, "try again later"),
        (Code::Unimplemented, |error| matches!(error, ControlError::Older { .. }), false, "older than schema 1.1.0"),
        (Code::Internal, |error| matches!(error, ControlError::Refused { .. }), false, "Internal"),
        (Code::DeadlineExceeded, |error| matches!(error, ControlError::TimedOut { .. }), true, "no answer in time"),
    ];
    for (code, is_expected, retryable, hint) in cases {
        let refusing = Collector { refusal: Some(code), ..Collector::with(message()) };
        let collector = client(plain(refusing.serve().await));
        let errors = [
            collector.snapshot().await.unwrap_err(),
            collector.watch(WatchOptions::default()).await.unwrap_err(),
            collector.set_interval(Duration::from_secs(1)).await.unwrap_err(),
            collector.reset_interval("").await.unwrap_err(),
            collector.capabilities().await.unwrap_err(),
            collector.config().await.unwrap_err(),
            collector.health().await.unwrap_err(),
        ];
        for error in errors {
            assert!(is_expected(&error) && error.is_retryable() == retryable, "{code:?}: {error:?}");
            assert!(error.to_string().contains(hint), "{code:?}: {error}");
        }
    }
}

#[tokio::test]
async fn calls_that_an_older_collector_does_not_know_say_so() {
    let collector = client(plain(Collector::with(sample()).serve().await));
    let errors = [
        collector.snapshot_within(Duration::from_secs(1)).await.unwrap_err(),
        collector.reset_interval("").await.unwrap_err(),
        collector.capabilities().await.unwrap_err(),
        collector.config().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, ControlError::Older { .. }), "{error:?}");
    }
    let request = IntervalRequest::new(Duration::from_millis(200)).ttl(Duration::from_secs(60));
    let error = collector.set_interval(request).await.unwrap_err();
    let ControlError::TtlIgnored { previous, current } = error else { panic!("{error:?}") };
    assert_eq!((previous, current), (Duration::from_secs(1), Duration::from_millis(200)));
}

fn event(event: Event) -> WatchSnapshotsResponse {
    WatchSnapshotsResponse { event: Some(event) }
}

async fn watch_of(events: Vec<WatchSnapshotsResponse>) -> Watch {
    let collector = Collector { events, ..Collector::with(message()) };
    client(plain(collector.serve().await)).watch(WatchOptions::default().delivery(true)).await.unwrap()
}

#[tokio::test]
async fn a_watch_gives_plain_types_and_ends_with_an_error() {
    let sent = message();
    let (numbers, reason) = (vec![SequenceRange { first: 3, last: 7 }], Some(GapReason::OutboxFull.into()));
    let mut watch = watch_of(vec![
        event(Event::Message(sent.clone())),
        // An event that only a newer schema knows.
        WatchSnapshotsResponse { event: None },
        event(Event::Missed(MissedEvents { count: 4 })),
        event(Event::Delivery(DeliveryUpdate { numbers, state: DeliveryState::Lost.into(), reason })),
    ])
    .await;
    let lost =
        WatchEvent::Delivery { numbers: vec![3..=7], state: DeliveryState::Lost, reason: Some(GapReason::OutboxFull) };
    for expected in [WatchEvent::Message(Box::new(sent)), WatchEvent::Missed(4), lost] {
        assert_eq!(watch.next().await.unwrap().unwrap(), expected);
    }
    let error = watch.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    assert_eq!(error.to_string(), "cannot watch the collector: not available: the collector is stopping");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_at_an_event_that_breaks_the_schema() {
    let wrong_ranges = DeliveryUpdate { numbers: vec![SequenceRange { first: 7, last: 3 }], ..Default::default() };
    for wrong in [Event::Message(TelemetryMessage { sequence: 0, ..message() }), Event::Delivery(wrong_ranges)] {
        let mut watch = watch_of(vec![event(wrong), event(Event::Message(message()))]).await;
        let error = watch.next().await.unwrap().unwrap_err();
        assert!(matches!(error, ControlError::WrongAnswer { .. }), "{error:?}");
        assert!(watch.next().await.is_none());
    }
}
