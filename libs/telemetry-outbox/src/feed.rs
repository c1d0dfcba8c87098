//! What becomes of each message, told to whoever follows it.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rangemap::RangeInclusiveSet;
use telemetry_proto::v1::{DeliveryState, DeliveryUpdate, GapReason, SequenceRange, TelemetryMessage};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Events that are kept for the slowest subscription. A subscription that falls further behind misses some.
pub const FEED_EVENTS_MAX: usize = 256;
/// Most ranges in a delivery update, so that the size of an event is bounded.
pub const FEED_RANGES_MAX: usize = 1024;

/// Something that happened to messages of this instance.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedEvent {
    /// A message was made. It is pending. Its content is that of the encoded message.
    Message(Arc<TelemetryMessage>),
    /// The delivery state of messages changed.
    Delivery(Arc<DeliveryUpdate>),
    /// The subscription was too slow, and this many events were dropped. It does not know the state of each message any more:
    /// a new subscription does.
    Missed(u64),
}

/// How many messages of this instance are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Messages that wait, in memory or on disk.
    pub pending: u64,
    /// Messages that the destination has acknowledged. Those that it lost again and that are pending once more do not count.
    pub acknowledged: u64,
    /// Numbers without a message: given up, damaged on disk, or never valid.
    pub lost: u64,
}

/// Follows what happens to the messages of an outbox, in the order in which it happens.
///
/// It begins with updates that name the messages that are pending; there is one even if none is. Every later change follows,
/// none twice. A subscription that is not read costs nobody anything: it misses events, and is told how many.
#[derive(Debug)]
pub struct Subscription {
    pending: VecDeque<Arc<DeliveryUpdate>>,
    events: broadcast::Receiver<FeedEvent>,
}

impl Subscription {
    /// The next event, as soon as there is one; `None` when the outbox is gone. No event is lost if this is given up.
    pub async fn next(&mut self) -> Option<FeedEvent> {
        if let Some(pending) = self.pending.pop_front() {
            return Some(FeedEvent::Delivery(pending));
        }
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(FeedEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next event, if there is one.
    pub fn try_next(&mut self) -> Option<FeedEvent> {
        if let Some(pending) = self.pending.pop_front() {
            return Some(FeedEvent::Delivery(pending));
        }
        match self.events.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Lagged(missed)) => Some(FeedEvent::Missed(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

/// Which numbers of this instance are pending, and who is told of it.
///
/// A number is told as acknowledged or lost only while it is pending, so it is told once, however often the message is
/// delivered. Memory: at most one range for each message that is kept.
#[derive(Debug)]
pub(crate) struct Account {
    pending: RangeInclusiveSet<u64>,
    tally: Tally,
    /// Lost numbers that subscriptions have not been told of.
    untold: Vec<(GapReason, RangeInclusiveSet<u64>)>,
    subscriptions: broadcast::Sender<FeedEvent>,
}

impl Account {
    pub(crate) fn new() -> Self {
        let subscriptions = broadcast::Sender::new(FEED_EVENTS_MAX);
        Self { pending: RangeInclusiveSet::new(), tally: Tally::default(), untold: Vec::new(), subscriptions }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        let pending = updates(self.pending.iter().cloned(), DeliveryState::Pending, None);
        let pending = if pending.is_empty() { vec![update(&[], DeliveryState::Pending, None)] } else { pending };
        Subscription { pending: pending.into_iter().map(Arc::new).collect(), events: self.subscriptions.subscribe() }
    }

    /// `message` was made.
    pub(crate) fn made(&mut self, message: &Arc<TelemetryMessage>) {
        self.pending.insert(message.sequence..=message.sequence);
        self.tally.pending += 1;
        if self.is_followed() {
            self.tell(FeedEvent::Message(Arc::clone(message)));
        }
    }

    /// No message could be made for `number`.
    pub(crate) fn not_made(&mut self, number: u64, reason: GapReason) {
        self.tally.lost += 1;
        if self.is_followed() {
            self.tell_state([number..=number], DeliveryState::Lost, Some(reason));
        }
    }

    /// The destination has acknowledged `numbers`, which ascend.
    pub(crate) fn acknowledged(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let settled: Vec<_> = ranges(numbers).into_iter().flat_map(|numbers| self.settle(&numbers)).collect();
        self.tally.acknowledged += count(&settled);
        self.tell_state(settled, DeliveryState::Acknowledged, None);
    }

    /// `numbers` are lost. It is told with [`tell_losses`](Self::tell_losses).
    pub(crate) fn lost(&mut self, numbers: &RangeInclusive<u64>, reason: GapReason) {
        let settled = self.settle(numbers);
        self.tally.lost += count(&settled);
        if !self.is_followed() {
            return;
        }
        let known = self.untold.iter().position(|(of, _)| *of == reason);
        let index = known.unwrap_or_else(|| {
            self.untold.push((reason, RangeInclusiveSet::new()));
            self.untold.len() - 1
        });
        self.untold[index].1.extend(settled);
    }

    /// Tells what was lost, at once whatever it took to find out.
    pub(crate) fn tell_losses(&mut self) {
        for (reason, numbers) in std::mem::take(&mut self.untold) {
            self.tell_state(numbers, DeliveryState::Lost, Some(reason));
        }
    }

    /// The destination has lost `numbers`, which ascend and were acknowledged, and they will be delivered again.
    pub(crate) fn pending_again(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let ranges = ranges(numbers);
        let again: Vec<_> = ranges.iter().flat_map(|range| self.pending.gaps(range)).collect();
        self.pending.extend(again.iter().cloned());
        self.tally.pending += count(&again);
        self.tally.acknowledged = self.tally.acknowledged.saturating_sub(count(&again));
        self.tell_state(again, DeliveryState::Pending, None);
    }

    /// Those of `numbers` that were pending. None of them is any more.
    fn settle(&mut self, numbers: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let clipped =
            |range: &RangeInclusive<u64>| *range.start().max(numbers.start())..=*range.end().min(numbers.end());
        let settled: Vec<_> = self.pending.overlapping(numbers).map(clipped).collect();
        self.pending.remove(numbers.clone());
        self.tally.pending -= count(&settled);
        settled
    }

    fn is_followed(&self) -> bool {
        self.subscriptions.receiver_count() > 0
    }

    fn tell_state(
        &self,
        numbers: impl IntoIterator<Item = RangeInclusive<u64>>,
        state: DeliveryState,
        reason: Option<GapReason>,
    ) {
        if self.is_followed() {
            for update in updates(numbers, state, reason) {
                self.tell(FeedEvent::Delivery(Arc::new(update)));
            }
        }
    }

    fn tell(&self, event: FeedEvent) {
        // The last subscription may have ended just now.
        let _ = self.subscriptions.send(event);
    }
}

/// As many updates as it takes to name `numbers`.
fn updates(
    numbers: impl IntoIterator<Item = RangeInclusive<u64>>,
    state: DeliveryState,
    reason: Option<GapReason>,
) -> Vec<DeliveryUpdate> {
    let numbers: Vec<_> = numbers.into_iter().map(SequenceRange::from).collect();
    numbers.chunks(FEED_RANGES_MAX).map(|numbers| update(numbers, state, reason)).collect()
}

fn update(numbers: &[SequenceRange], state: DeliveryState, reason: Option<GapReason>) -> DeliveryUpdate {
    DeliveryUpdate { numbers: numbers.to_vec(), state: state.into(), reason: reason.map(Into::into) }
}

/// Ascending numbers as ranges.
fn ranges(numbers: impl IntoIterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if *range.end() + 1 == number => *range = *range.start()..=number,
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

/// How many numbers `ranges`, which do not overlap, have.
fn count(ranges: &[RangeInclusive<u64>]) -> u64 {
    ranges.iter().map(|range| range.end() - range.start() + 1).sum()
}
