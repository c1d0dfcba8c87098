#![allow(clippy::unwrap_used)]

use std::fs;

use telemetry_proto::v1::{CallerLogin, HealthStatus};
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::clock::manual::Time;
use crate::health::{Component, HealthBoard, HealthReader};
use crate::models::{Payload, TelemetryMessage};
use crate::sampler::Sampler;
use crate::testing::{self, metadata};

const START: Duration = Duration::from_secs(1_000);

struct Rig {
    steering: Steering,
    outbox: Outbox,
    wall: Time,
    health: HealthReader,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start() -> Self {
        Self::start_with(None, None).await
    }

    async fn start_with(state_file: Option<PathBuf>, saved: Option<Saved>) -> Self {
        let (clock, wall) = WallClock::manual(SystemTime::UNIX_EPOCH + START);
        let board = HealthBoard::new(clock.clone()).with(Component::StateFile);
        let outbox = testing::outbox(clock.clone());
        let default = "1s".parse().unwrap();
        let reporter = board.reporter(Component::Sampler);
        let sampler = Sampler::new(Vec::new(), metadata(), default, outbox.clone(), clock.clone(), reporter);
        let steering = Steering::new(sampler.handle(), outbox.clone(), clock, &metadata(), default, 5);
        if let Some(saved) = saved {
            steering.restore(saved);
        }
        let shutdown = CancellationToken::new();
        let run = steering.clone().run(state_file, board.reporter(Component::StateFile), shutdown.clone());
        let task = tokio::spawn(run);
        tokio::task::yield_now().await;
        Self { steering, outbox, wall, health: board.reader(), shutdown, task }
    }

    fn set(&self, interval: &str, ttl: Option<u64>) -> TelemetryResult<Changed> {
        self.steering.set(change(interval, ttl.map(Duration::from_secs)), caller())
    }

    fn in_force(&self) -> (String, Origin) {
        let InForce { interval, origin, .. } = self.steering.reader().interval();
        (interval.to_string(), origin)
    }

    /// Lets `span` pass on both clocks.
    async fn pass(&self, span: Duration) {
        self.wall.advance(span);
        advance(span).await;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }

    /// Number and content of each message.
    async fn events(&self) -> Vec<(u64, ControlEvent)> {
        let batch = self.outbox.next_batch().await.unwrap();
        let read = |body: &[u8]| TelemetryMessage::from_either(body).unwrap();
        let messages: Vec<_> = batch.messages.iter().map(|message| read(&message.body)).collect();
        self.outbox.acknowledge(batch);
        let event = |message: TelemetryMessage| match message.payload {
            Some(Payload::Control(event)) => (message.sequence, event),
            other => panic!("{other:?}"),
        };
        messages.into_iter().map(event).collect()
    }

    /// Number, action, interval before and after, and end of each message.
    async fn told(&self) -> Vec<(u64, ControlAction, String, String, String)> {
        let shown = |(sequence, event): (u64, ControlEvent)| {
            let span = |span: Option<telemetry_proto::well_known::Duration>| span.unwrap().to_string();
            let end = event.reverts_at.map(|at| at.to_string()).unwrap_or_default();
            (sequence, event.action(), span(event.previous_interval), span(event.interval), end)
        };
        self.events().await.into_iter().map(shown).collect()
    }

    fn state_file_health(&self) -> (HealthStatus, String) {
        let states = self.health.states();
        let state = states.iter().find(|state| state.component == Component::StateFile).unwrap();
        (state.status, state.last_error.clone().unwrap_or_default())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn change(interval: &str, ttl: Option<Duration>) -> Change {
    Change { interval: interval.parse().unwrap(), ttl, reason: "a slow disk".to_owned() }
}

fn caller() -> Caller {
    Caller { name: "anna".to_owned(), login: CallerLogin::Token.into(), address: "192.0.2.1:4711".to_owned() }
}

fn saved(interval: &str, reverts_at: Option<Duration>) -> Saved {
    let reverts_at = reverts_at.map(|at| SystemTime::UNIX_EPOCH + at);
    let event = ControlEvent { reason: "a slow disk".to_owned(), caller: Some(caller()), ..ControlEvent::default() };
    Saved { interval: interval.parse().unwrap(), reverts_at, event }
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_change_says_what_was_and_what_is() {
    let rig = Rig::start().await;
    let changed = rig.set("200ms", Some(600)).unwrap();
    let since = SystemTime::UNIX_EPOCH + START;
    let expected = InForce {
        interval: "200ms".parse().unwrap(),
        default: "1s".parse().unwrap(),
        origin: Origin::Control,
        since,
        reverts_at: Some(since + Duration::from_secs(600)),
    };
    assert_eq!(changed, Changed { previous: "1s".parse().unwrap(), in_force: expected });
    assert_eq!(rig.steering.reader().interval(), expected);
    let (sequence, event) = rig.events().await.remove(0);
    assert_eq!((sequence, event.hostname.as_str(), event.reason.as_str()), (1, "testhost", "a slow disk"));
    assert_eq!(event.caller, Some(caller()));
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_time_limit_stays() {
    let rig = Rig::start().await;
    assert_eq!(rig.set("200ms", None).unwrap().in_force.reverts_at, None);
    rig.pass(8 * MAX_TTL).await;
    assert_eq!(rig.in_force(), (text("200ms"), Origin::Control));
}

#[tokio::test(start_paused = true)]
async fn the_interval_of_the_settings_returns_when_the_time_of_a_change_ends() {
    let rig = Rig::start().await;
    rig.set("200ms", Some(600)).unwrap();
    rig.pass(Duration::from_millis(599_990)).await;
    assert_eq!(rig.in_force(), (text("200ms"), Origin::Control));
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.in_force(), (text("1s"), Origin::Settings));
    rig.pass(Duration::from_secs(3600)).await;
    let told = rig.told().await;
    let set = (1, ControlAction::IntervalSet, text("1s"), text("0.200s"), text("1970-01-01T00:26:40Z"));
    let expired = (2, ControlAction::IntervalExpired, text("0.200s"), text("1s"), text(""));
    assert_eq!(told, [set, expired]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_change_has_its_reason_and_no_caller() {
    let rig = Rig::start().await;
    rig.set("200ms", Some(1)).unwrap();
    rig.pass(Duration::from_secs(2)).await;
    let event = rig.events().await.remove(1).1;
    assert_eq!((event.caller, event.reason.as_str()), (None, "a slow disk"));
}

#[tokio::test(start_paused = true)]
async fn a_second_change_replaces_interval_and_time_limit() {
    let rig = Rig::start().await;
    rig.set("200ms", Some(10)).unwrap();
    rig.pass(Duration::from_secs(5)).await;
    assert_eq!(rig.set("500ms", Some(10)).unwrap().previous.to_string(), "200ms");
    rig.pass(Duration::from_secs(9)).await;
    assert_eq!(rig.in_force().0, "500ms");
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.in_force(), (text("1s"), Origin::Settings));

    rig.set("200ms", Some(10)).unwrap();
    rig.set("300ms", None).unwrap();
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!(rig.in_force(), (text("300ms"), Origin::Control));
}

#[tokio::test(start_paused = true)]
async fn a_reset_returns_to_the_settings_and_ends_the_time_limit() {
    let rig = Rig::start().await;
    rig.set("200ms", Some(10)).unwrap();
    let changed = rig.steering.reset("enough".to_owned(), caller()).unwrap();
    assert_eq!((changed.previous.to_string(), changed.in_force.interval.to_string()), (text("200ms"), text("1s")));
    rig.pass(Duration::from_secs(60)).await;
    let events = rig.events().await;
    assert_eq!(events.len(), 2);
    assert_eq!((events[1].1.action(), events[1].1.reason.as_str()), (ControlAction::IntervalReset, "enough"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_leaves_the_interval_as_it_is_is_told_too() {
    let rig = Rig::start().await;
    rig.steering.reset(String::new(), caller()).unwrap();
    rig.set("1s", None).unwrap();
    let told: Vec<_> = rig.told().await.into_iter().map(|(sequence, action, ..)| (sequence, action)).collect();
    assert_eq!(told, [(1, ControlAction::IntervalReset), (2, ControlAction::IntervalSet)]);
    assert_eq!(rig.in_force(), (text("1s"), Origin::Control));
}

#[tokio::test(start_paused = true)]
async fn rejects_what_is_out_of_range_and_tells_nobody() {
    let rig = Rig::start().await;
    let set = |ttl, reason: String| rig.steering.set(Change { ttl, reason, ..change("200ms", None) }, caller());
    let refused = |ttl| set(Some(ttl), String::new()).unwrap_err().to_string();
    assert_eq!(refused(Duration::from_millis(999)), "ttl: 999ms is not a duration from 1s to 7d");
    assert_eq!(refused(MAX_TTL + Duration::from_nanos(1)), "ttl: 7days 1ns is not a duration from 1s to 7d");
    let long = set(None, "ä".repeat(129)).unwrap_err();
    assert_eq!(long.to_string(), "reason: 258 bytes are too many; 256 are allowed");
    assert_eq!(rig.outbox.status().messages, 0);
    set(Some(MAX_TTL), "ä".repeat(128)).unwrap();
    set(Some(MIN_TTL), String::new()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn accepts_a_number_of_changes_in_any_second() {
    let rig = Rig::start().await;
    rig.set("200ms", None).unwrap();
    rig.pass(Duration::from_millis(500)).await;
    for _ in 0..4 {
        rig.set("200ms", None).unwrap();
    }
    assert!(matches!(rig.set("200ms", None), Err(TelemetryError::TooManyChanges { per_second: 5 })));
    assert!(rig.steering.reset(String::new(), caller()).is_err());
    rig.pass(Duration::from_millis(500)).await;
    rig.set("200ms", None).unwrap();
    assert!(rig.set("200ms", None).is_err());
    rig.pass(Duration::from_secs(1)).await;
    rig.set("200ms", None).unwrap();
    assert_eq!(rig.outbox.status().messages, 7);
}

#[tokio::test(start_paused = true)]
async fn rejects_changes_while_the_collector_stops() {
    let rig = Rig::start().await;
    rig.outbox.close();
    assert_eq!(rig.set("200ms", None).unwrap_err().to_string(), "the collector is stopping");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_earlier_start_is_restored_with_the_time_that_is_left() {
    let rig = Rig::start_with(None, Some(saved("200ms", Some(START + Duration::from_secs(30))))).await;
    assert_eq!(rig.in_force(), (text("200ms"), Origin::Control));
    let event = rig.events().await.remove(0).1;
    assert_eq!(
        (event.action(), event.caller, event.reason.as_str()),
        (ControlAction::IntervalRestored, None, "a slow disk")
    );
    rig.pass(Duration::from_secs(31)).await;
    assert_eq!(rig.in_force(), (text("1s"), Origin::Settings));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_does_not_make_a_restored_change_last_longer_than_any_other() {
    let rig = Rig::start_with(None, Some(saved("200ms", Some(START + 100 * MAX_TTL)))).await;
    assert_eq!(rig.steering.reader().interval().reverts_at, Some(SystemTime::UNIX_EPOCH + START + MAX_TTL));
}

#[tokio::test]
async fn a_change_whose_time_has_ended_is_not_restored_and_its_file_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    fs::write(&path, "an old one").unwrap();
    let rig = Rig::start_with(Some(path.clone()), Some(saved("200ms", Some(START)))).await;
    assert_eq!(rig.in_force(), (text("1s"), Origin::Settings));
    assert_eq!(rig.outbox.status().messages, 0);
    telemetry_testing::eventually("the file is removed", async || !path.exists()).await;
}

#[tokio::test]
async fn the_file_has_the_latest_change_and_is_removed_by_a_reset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let rig = Rig::start_with(Some(path.clone()), None).await;
    rig.set("300ms", None).unwrap();
    rig.set("200ms", Some(60)).unwrap();
    let interval = async || load(&path).await.map(|saved| saved.interval.to_string());
    telemetry_testing::eventually("the change is kept", async || interval().await == Some(text("200ms"))).await;
    let kept = load(&path).await.unwrap();
    assert_eq!(kept.reverts_at, Some(SystemTime::UNIX_EPOCH + START + Duration::from_secs(60)));
    assert_eq!((kept.event.caller, kept.event.reason.as_str()), (Some(caller()), "a slow disk"));
    rig.steering.reset(String::new(), caller()).unwrap();
    telemetry_testing::eventually("the file is removed", async || !path.exists()).await;
}

#[tokio::test]
async fn the_last_change_before_the_end_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let rig = Rig::start_with(Some(path.clone()), None).await;
    rig.set("200ms", None).unwrap();
    rig.stop().await;
    assert_eq!(load(&path).await.unwrap().interval.to_string(), "200ms");
}

#[tokio::test]
async fn a_damaged_file_is_ignored_and_stays_until_the_next_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    fs::write(&path, "{").unwrap();
    assert!(load(&path).await.is_none());
    Rig::start_with(Some(path.clone()), None).await.stop().await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    let rig = Rig::start_with(Some(path.clone()), None).await;
    rig.set("200ms", None).unwrap();
    telemetry_testing::eventually("the change is kept", async || load(&path).await.is_some()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_in_time_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    // A FIFO that nobody writes to: opening it hangs.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(load(&path).await.is_none());
    // Lets the thread end.
    drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
}

#[tokio::test]
async fn a_change_is_in_force_though_the_file_cannot_be_written_and_is_kept_once_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let path = missing.join("state.json");
    let rig = Rig::start_with(Some(path.clone()), None).await;
    assert_eq!(rig.state_file_health().0, HealthStatus::Serving);
    rig.set("200ms", None).unwrap();
    let status = async || rig.state_file_health().0;
    telemetry_testing::eventually("it is told", async || status().await == HealthStatus::Degraded).await;
    assert_eq!(rig.in_force().0, "200ms");
    let error = rig.state_file_health().1;
    assert!(error.starts_with("cannot write the state file /"), "{error}");
    fs::create_dir(&missing).unwrap();
    tokio::time::pause();
    advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    telemetry_testing::eventually("it is kept", async || load(&path).await.is_some()).await;
    telemetry_testing::eventually("it is told", async || status().await == HealthStatus::Serving).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_that_ends_while_the_collector_stops_makes_no_message() {
    let rig = Rig::start().await;
    rig.set("200ms", Some(60)).unwrap();
    assert_eq!(rig.events().await.len(), 1);
    rig.outbox.close();
    rig.pass(Duration::from_secs(61)).await;
    assert!(rig.outbox.next_batch().await.is_none());
    rig.stop().await;
}
