//! The check of every case: no tick skipped, no message missing, no change of the interval but by those who may.

use std::time::{Duration, SystemTime};

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{ControlAction, ControlEvent, TelemetryData, TelemetryMessage, TelemetryMetadata};

/// What the collector says of itself, and what it has delivered.
#[derive(Debug, Default)]
pub struct Account {
    /// Ticks that it has skipped.
    pub skipped: u64,
    /// Changes of the interval that it has counted.
    pub changes: u64,
    /// The queue, oldest first.
    pub messages: Vec<TelemetryMessage>,
}

impl Account {
    /// What is wrong; empty if nothing is. `changes` is the number of calls that were allowed to change the interval.
    pub fn faults(&self, interval: Duration, changes: u64) -> Vec<String> {
        let mut faults = Vec::new();
        if self.skipped > 0 {
            faults.push(format!("ticks skipped: {}", self.skipped));
        }
        let numbers: Vec<_> = self.messages.iter().map(|message| message.sequence).collect();
        if !numbers.iter().copied().eq(1..=numbers.len() as u64) {
            faults.push(format!("the queue holds the numbers {numbers:?}"));
        }
        let events =
            self.messages.iter().filter(|message| matches!(message.payload, Some(Payload::Control(_)))).count();
        if (events as u64, self.changes) != (changes, changes) {
            faults.push(format!("{changes} changes were allowed; {} counted, {events} in the queue", self.changes));
        }
        if self.messages.iter().any(|message| matches!(message.payload, Some(Payload::Gap(_)))) {
            faults.push("messages were lost".to_owned());
        }
        let due: Vec<_> = self.metadata().filter_map(|metadata| time(metadata.scheduled_at)).collect();
        let gaps =
            due.windows(2).filter(|pair| pair[1].duration_since(pair[0]).is_ok_and(|gap| gap > interval * 3 / 2));
        let gaps = gaps.count();
        if gaps > 0 {
            faults.push(format!("gaps of more than a tick: {gaps}"));
        }
        let others = self.metadata().filter(|metadata| metadata.interval != Some(interval.into())).count();
        if others > 0 {
            faults.push(format!("samples with another interval: {others}"));
        }
        faults
    }

    /// The greatest time from when a sample was due until it was taken.
    pub fn latest(&self) -> Duration {
        let late = self.messages.iter().filter_map(|message| {
            let due = time(metadata(message)?.scheduled_at)?;
            time(message.collected_at)?.duration_since(due).ok()
        });
        late.max().unwrap_or_default()
    }

    fn metadata(&self) -> impl Iterator<Item = &TelemetryMetadata> {
        self.messages.iter().filter_map(metadata)
    }
}

fn metadata(message: &TelemetryMessage) -> Option<&TelemetryMetadata> {
    match &message.payload {
        Some(Payload::Data(data)) => data.metadata.as_ref(),
        _ => None,
    }
}

fn time(wire: Option<telemetry_proto::well_known::Timestamp>) -> Option<SystemTime> {
    SystemTime::try_from(wire?).ok()
}

/// Tests the verdict itself.
pub fn detects_every_kind_of_fault() {
    let tick = Duration::from_millis(500);
    let sample = |sequence: u64, half_seconds: u32, interval| {
        let due = SystemTime::UNIX_EPOCH + tick * half_seconds;
        let metadata = TelemetryMetadata {
            interval: Some(Duration::into(interval)),
            scheduled_at: Some(due.into()),
            ..Default::default()
        };
        let data = TelemetryData { metadata: Some(metadata), ..Default::default() };
        TelemetryMessage {
            sequence,
            collected_at: Some((due + Duration::from_millis(7)).into()),
            payload: Some(Payload::Data(data)),
            ..Default::default()
        }
    };
    let change = |sequence| TelemetryMessage {
        sequence,
        payload: Some(Payload::Control(ControlEvent {
            action: ControlAction::IntervalSet.into(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let account =
        |skipped, changes, messages: &[TelemetryMessage]| Account { skipped, changes, messages: messages.to_vec() };
    let good = [sample(1, 1, tick), sample(2, 2, tick), change(3), sample(4, 3, tick)];
    assert_eq!(account(0, 1, &good).faults(tick, 1), Vec::<String>::new());
    assert_eq!(account(0, 1, &good).latest(), Duration::from_millis(7));
    let fault = |account: Account, changes| account.faults(tick, changes).join("; ");
    assert_eq!(fault(account(2, 1, &good), 1), "ticks skipped: 2");
    assert_eq!(fault(account(0, 1, &good), 0), "0 changes were allowed; 1 counted, 1 in the queue");
    assert_eq!(fault(account(0, 0, &good[..2]), 1), "1 changes were allowed; 0 counted, 0 in the queue");
    assert_eq!(
        fault(account(0, 0, &[sample(1, 1, tick), sample(3, 2, tick)]), 0),
        "the queue holds the numbers [1, 3]"
    );
    assert_eq!(fault(account(0, 0, &[sample(1, 1, tick), sample(2, 3, tick)]), 0), "gaps of more than a tick: 1");
    assert_eq!(fault(account(0, 0, &[sample(1, 1, tick * 2)]), 0), "samples with another interval: 1");
}
