//! What is known of the targets of a watch.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::SystemTime;

use rangemap::RangeInclusiveSet;
use telemetry_client::WatchEvent;
use telemetry_client::control::Health;
use telemetry_proto::v1::{CpuMetrics, DeliveryState, GapReason, HealthStatus, TelemetryMessage, TelemetryMetadata};

use super::feed::Update;
use crate::messages::sample;

/// Samples whose usage is remembered: more than a screen has columns.
const HISTORY: usize = 512;
/// Messages whose delivery state is remembered one by one.
const RECENT: usize = 512;

/// A target and all that is known of it.
#[derive(Debug)]
pub(super) struct Host {
    /// What the user calls it.
    pub(super) target: String,
    pub(super) link: Link,
    pub(super) latest: Option<(TelemetryMetadata, CpuMetrics)>,
    /// Usage in percent, the newest first; `None` for a sample without.
    pub(super) history: VecDeque<Option<f64>>,
    pub(super) delivery: Delivery,
    pub(super) health: Option<Condition>,
}

/// Whether a target is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    Live,
    /// Why not.
    Down(String),
}

/// The health of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) status: HealthStatus,
    pub(super) components: Vec<Component>,
}

/// The health of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) status: HealthStatus,
    pub(super) since: Option<SystemTime>,
    pub(super) last_error: Option<String>,
}

/// What became of the messages since the watch began.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pending: RangeInclusiveSet<u64>,
    pub(super) acknowledged: u64,
    pub(super) lost: BTreeMap<GapReason, u64>,
    /// Events that were dropped because this reader is too slow.
    pub(super) missed: u64,
    /// The newest messages and their states, the newest first.
    pub(super) recent: VecDeque<(u64, DeliveryState)>,
    instance_id: String,
}

impl Host {
    pub(super) fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            link: Link::Connecting,
            latest: None,
            history: VecDeque::new(),
            delivery: Delivery::default(),
            health: None,
        }
    }

    /// Takes note of an update.
    pub(super) fn apply(&mut self, update: Update) {
        match update {
            Update::Begun => {
                self.link = Link::Live;
                self.delivery.begin();
            }
            Update::Event(WatchEvent::Message(message)) => self.message(&message),
            Update::Event(WatchEvent::Missed(count)) => self.delivery.missed += count,
            Update::Event(WatchEvent::Delivery { numbers, state, reason }) => {
                numbers.into_iter().for_each(|range| self.delivery.change(range, state, reason));
            }
            Update::Event(_) => {}
            Update::Health(health) => self.health = Some(health.into()),
            Update::Failed(failure) => {
                self.link = Link::Down(failure.to_string());
                self.health = None;
            }
        }
    }

    fn message(&mut self, message: &TelemetryMessage) {
        self.delivery.message(message);
        if let Some((metadata, cpu)) = sample(message) {
            push(&mut self.history, cpu.usage_percent, HISTORY);
            self.latest = Some((metadata.clone(), cpu.clone()));
        }
    }
}

impl Delivery {
    /// A new watch begins with the messages that are pending.
    fn begin(&mut self) {
        self.pending.clear();
    }

    fn message(&mut self, message: &TelemetryMessage) {
        if self.instance_id != message.instance_id {
            // The collector has restarted, and counts from 1.
            let first = self.instance_id.is_empty();
            self.instance_id.clone_from(&message.instance_id);
            if !first {
                self.pending.clear();
                self.recent.clear();
            }
        }
        self.pending.insert(message.sequence..=message.sequence);
        push(&mut self.recent, (message.sequence, DeliveryState::Pending), RECENT);
    }

    fn change(&mut self, numbers: RangeInclusive<u64>, state: DeliveryState, reason: Option<GapReason>) {
        let count = numbers.end().saturating_sub(*numbers.start()).saturating_add(1);
        self.recent.iter_mut().filter(|(number, _)| numbers.contains(number)).for_each(|recent| recent.1 = state);
        match state {
            DeliveryState::Pending => return self.pending.insert(numbers),
            DeliveryState::Acknowledged => self.acknowledged = self.acknowledged.saturating_add(count),
            DeliveryState::Lost => {
                let lost = self.lost.entry(reason.unwrap_or_default()).or_default();
                *lost = lost.saturating_add(count);
            }
            DeliveryState::Unspecified => return,
        }
        self.pending.remove(numbers);
    }

    /// Messages that wait.
    pub(super) fn pending(&self) -> u64 {
        self.pending.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    /// Messages that will never be delivered.
    pub(super) fn lost(&self) -> u64 {
        self.lost.values().sum()
    }
}

impl From<Health> for Condition {
    fn from(health: Health) -> Self {
        let components = health.components.into_iter().map(|component| Component {
            name: component.name,
            status: component.status,
            since: component.since,
            last_error: component.last_error,
        });
        Self { status: health.status, components: components.collect() }
    }
}

/// Puts `item` at the front, and forgets the oldest beyond `limit`.
fn push<T>(items: &mut VecDeque<T>, item: T, limit: usize) {
    items.push_front(item);
    items.truncate(limit);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn delivered(host: &mut Host, numbers: RangeInclusive<u64>, state: DeliveryState) {
        let reason = (state == DeliveryState::Lost).then_some(GapReason::OutboxFull);
        host.apply(Update::Event(WatchEvent::Delivery { numbers: vec![numbers], state, reason }));
    }

    fn message(host: &mut Host, instance_id: &str, sequence: u64) {
        let instance_id = instance_id.to_owned();
        let message = TelemetryMessage { instance_id, sequence, ..TelemetryMessage::default() };
        host.apply(Update::Event(WatchEvent::Message(Box::new(message))));
    }

    #[test]
    fn counts_what_is_pending_acknowledged_and_lost() {
        let mut host = Host::new("a");
        host.apply(Update::Begun);
        delivered(&mut host, 1..=10, DeliveryState::Pending);
        message(&mut host, "i", 11);
        delivered(&mut host, 1..=4, DeliveryState::Lost);
        delivered(&mut host, 5..=11, DeliveryState::Acknowledged);
        message(&mut host, "i", 12);
        assert_eq!((host.delivery.pending(), host.delivery.acknowledged, host.delivery.lost()), (1, 7, 4));
        assert_eq!(host.delivery.recent, [(12, DeliveryState::Pending), (11, DeliveryState::Acknowledged)]);
        delivered(&mut host, 11..=11, DeliveryState::Pending);
        assert_eq!(host.delivery.pending(), 2, "Redis lost it, and it is sent again");
    }

    #[test]
    fn a_restart_of_the_collector_leaves_nothing_pending() {
        let mut host = Host::new("a");
        message(&mut host, "first", 7);
        message(&mut host, "second", 1);
        assert_eq!((host.delivery.pending(), host.delivery.recent.len()), (1, 1));
    }

    #[test]
    fn another_watch_begins_with_what_is_pending_then() {
        let mut host = Host::new("a");
        delivered(&mut host, 1..=10, DeliveryState::Pending);
        host.apply(Update::Begun);
        delivered(&mut host, 9..=10, DeliveryState::Pending);
        assert_eq!(host.delivery.pending(), 2);
    }

    #[test]
    fn remembers_no_more_than_it_shows() {
        let mut host = Host::new("a");
        (1..=2000).for_each(|number| message(&mut host, "i", number));
        assert_eq!(host.delivery.recent.len(), RECENT);
    }
}
