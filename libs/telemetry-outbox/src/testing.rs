//! What the unit tests of several modules need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use telemetry_proto::v1::{CoreMetrics, CpuMetrics, DeliveryState, GapReason, TelemetryData, TelemetryMetadata};

use crate::batch::Encoding;
use crate::feed::{FEED_RANGES_MAX, FeedEvent, Subscription};
use crate::observer::NoObserver;
use crate::outbox::{Outbox, Stamper};
use crate::settings::{OnFull, OutboxSettings};

/// A small valid sample.
pub(crate) fn sample() -> TelemetryData {
    let metadata = TelemetryMetadata {
        hostname: "testhost".to_owned(),
        collector_version: env!("CARGO_PKG_VERSION").to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::UNIX_EPOCH.into()),
        collection_duration: Some(Duration::ZERO.into()),
        ..TelemetryMetadata::default()
    };
    TelemetryData::new(metadata, CpuMetrics::new(vec![CoreMetrics::new(0)]))
}

/// An outbox of any size.
pub(crate) fn outbox() -> Outbox {
    outbox_with(OutboxSettings { max_bytes: usize::MAX, on_full: OnFull::DropOldest, encoding: Encoding::Json })
}

pub(crate) fn outbox_with(settings: OutboxSettings) -> Outbox {
    Outbox::new(settings, Stamper::new(SystemTime::now), Arc::new(NoObserver))
}

/// What a subscription was told of each number. It fails the test when that breaks the law of the feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The state of each number, and the reason if it is lost.
    pub(crate) states: BTreeMap<u64, (DeliveryState, Option<GapReason>)>,
    /// The newest message that was told.
    pub(crate) newest: u64,
    /// Numbers that were acknowledged and are pending again.
    pub(crate) again: BTreeSet<u64>,
    has_begun: bool,
}

impl Told {
    /// Reads what `subscription` has.
    pub(crate) fn read(&mut self, subscription: &mut Subscription) {
        while let Some(event) = subscription.try_next() {
            match event {
                FeedEvent::Message(message) => {
                    assert!(message.sequence > self.newest, "{} after {}", message.sequence, self.newest);
                    self.newest = message.sequence;
                    let before = self.states.insert(message.sequence, (DeliveryState::Pending, None));
                    assert_eq!(before, None, "{}", message.sequence);
                }
                FeedEvent::Delivery(update) => {
                    assert!(update.numbers.len() <= FEED_RANGES_MAX);
                    assert_eq!(update.state() == DeliveryState::Lost, update.reason.is_some(), "{update:?}");
                    let numbers = update.numbers.iter().flat_map(|range| range.first..=range.last);
                    let reason = update.reason.map(|_| update.reason());
                    numbers.for_each(|number| self.change(number, update.state(), reason));
                    self.has_begun = true;
                }
                FeedEvent::Missed(count) => panic!("{count} events were missed"),
            }
        }
    }

    fn change(&mut self, number: u64, state: DeliveryState, reason: Option<GapReason>) {
        let before = self.states.insert(number, (state, reason)).map(|(state, _)| state);
        let is_lawful = match state {
            DeliveryState::Acknowledged => before == Some(DeliveryState::Pending),
            // A number for which no message could be made was never told.
            DeliveryState::Lost => before == Some(DeliveryState::Pending) || before.is_none(),
            DeliveryState::Pending if before.is_none() => !self.has_begun || number <= self.newest,
            DeliveryState::Pending => self.again.insert(number) && before == Some(DeliveryState::Acknowledged),
            DeliveryState::Unspecified => false,
        };
        assert!(is_lawful, "{number} is {state:?} after {before:?}");
    }

    /// The numbers that are in `state`.
    pub(crate) fn that_are(&self, state: DeliveryState) -> Vec<u64> {
        self.states.iter().filter(|(_, (of, _))| *of == state).map(|(number, _)| *number).collect()
    }
}
