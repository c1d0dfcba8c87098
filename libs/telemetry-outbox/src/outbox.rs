//! Messages in memory, and the account of each number.
//!
//! The outbox gives every message its number, since it is what answers for each of them: a number is either
//! acknowledged by the destination, or named in a gap record. Messages wait in memory, bounded in bytes; when there is no
//! room, the oldest go, but never the newest, nor those in flight. They leave in order, in batches, and a batch is kept
//! until it is acknowledged.

mod gaps;
mod stamper;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{EncodeError, GapReason, TelemetryMessage};
use tokio::sync::Notify;
use uuid::Uuid;

use gaps::Gaps;
pub use stamper::Stamper;

use crate::batch::{BATCH_MAX_BYTES, BATCH_MAX_MESSAGES, Batch, EncodedMessage};
use crate::feed::{Account, Subscription, Tally};
use crate::loss::Loss;
use crate::observer::{Event, Observer};
use crate::settings::{OnFull, OutboxSettings};
use crate::status::OutboxStatus;

/// What a waiting message takes in memory beside its body.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<EncodedMessage>();
/// The share of the outbox that is free after it was decimated, so that this is not done for each sample.
const DECIMATED_SHARE: usize = 8;
/// The share of the outbox that a batch may take, so that an outage does not keep the oldest alone.
const BATCH_MAX_SHARE: usize = 4;

/// Keeps messages until they are acknowledged. A clone is the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

/// Lets others follow what happens to the messages of an outbox. A clone follows the same outbox.
#[derive(Debug, Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    changed: Notify,
}

#[derive(Debug)]
struct Ledger {
    settings: OutboxSettings,
    stamper: Stamper,
    observer: Arc<dyn Observer>,
    waiting: VecDeque<EncodedMessage>,
    status: OutboxStatus,
    /// Numbers that are lost and that no gap record names.
    unreported: Gaps,
    account: Account,
    /// The disk fails: messages are delivered without it.
    bypasses_disk: bool,
    closed: bool,
}

impl Outbox {
    /// An empty outbox that numbers messages by `stamper` and reports what happens to `observer`.
    #[must_use]
    pub fn new(settings: OutboxSettings, stamper: Stamper, observer: Arc<dyn Observer>) -> Self {
        let ledger = Ledger {
            settings,
            stamper,
            observer,
            waiting: VecDeque::new(),
            status: OutboxStatus::default(),
            unreported: Gaps::default(),
            account: Account::new(),
            bypasses_disk: false,
            closed: false,
        };
        Self { shared: Arc::new(Shared { ledger: Mutex::new(ledger), changed: Notify::new() }) }
    }

    /// Makes a message of `payload`, such as a sample, and takes it in, at the cost of the oldest ones if there is no room.
    ///
    /// # Errors
    /// When the payload breaks the schema. Its number is then named in a gap record.
    pub fn append(&self, payload: impl Into<Payload>) -> Result<Arc<TelemetryMessage>, EncodeError> {
        let appended = self.ledger().append(payload.into());
        self.shared.changed.notify_waiters();
        appended
    }

    /// The oldest messages, as soon as there are any; `None` when the outbox is closed and empty.
    ///
    /// The batch must come back to [`acknowledge`](Self::acknowledge) or [`give_back`](Self::give_back).
    pub async fn next_batch(&self) -> Option<Batch> {
        loop {
            let changed = self.changed();
            if let Some(batch) = self.try_next_batch() {
                return Some(batch);
            }
            if self.is_closed() {
                return None;
            }
            changed.await;
        }
    }

    /// The oldest messages, if there are any.
    pub(crate) fn try_next_batch(&self) -> Option<Batch> {
        self.ledger().next_batch()
    }

    /// The oldest messages, if there are any and the disk fails. Those that are on their way to the disk are older than all
    /// that come after it was said to fail no more.
    pub(crate) fn try_next_batch_past_disk(&self) -> Option<Batch> {
        let mut ledger = self.ledger();
        if ledger.bypasses_disk { ledger.next_batch() } else { None }
    }

    /// Says whether messages are delivered without the disk, since it fails.
    pub(crate) fn bypass_disk(&self, bypasses_disk: bool) {
        self.ledger().bypasses_disk = bypasses_disk;
        self.shared.changed.notify_waiters();
    }

    /// Waits until messages are delivered without the disk.
    pub(crate) async fn bypasses_disk(&self) {
        loop {
            let changed = self.changed();
            if self.ledger().bypasses_disk {
                return;
            }
            changed.await;
        }
    }

    /// Waits until a message comes or the outbox is closed. Begins to listen at once.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.shared.changed.notified()
    }

    /// Takes a batch back, each message to its place: the oldest are the next ones again.
    pub fn give_back(&self, batch: Batch) {
        self.ledger().give_back(batch);
        self.shared.changed.notify_waiters();
    }

    /// Takes note of messages that were lost behind the outbox: gap records will name them.
    pub(crate) fn report(&self, losses: impl IntoIterator<Item = Loss>) {
        for loss in losses {
            self.ledger().report(loss);
            self.shared.changed.notify_waiters();
        }
    }

    /// Releases a batch that the destination has acknowledged, and appends gap records for losses that are not reported yet.
    pub fn acknowledge(&self, batch: Batch) {
        self.note_acknowledged(&batch);
        self.release(batch);
    }

    /// Notes that the destination has acknowledged a batch of this instance, which is not in memory.
    pub(crate) fn note_acknowledged(&self, batch: &Batch) {
        self.ledger().account.acknowledged(batch.messages.iter().map(|message| message.sequence));
    }

    /// Notes that the destination has lost messages of this instance that it had acknowledged, and gets them again.
    pub(crate) fn note_pending_again(&self, numbers: impl IntoIterator<Item = u64>) {
        self.ledger().account.pending_again(numbers);
    }

    /// Releases a batch that need not be in memory any more, and appends gap records for losses that are not reported yet.
    pub(crate) fn release(&self, batch: Batch) {
        let has_reported = {
            let mut ledger = self.ledger();
            batch.messages.iter().for_each(|message| ledger.release(message));
            let has_unreported = ledger.unreported.count() > 0;
            ledger.append_gap_records();
            has_unreported
        };
        if has_reported {
            self.shared.changed.notify_waiters();
        }
    }

    /// Says that nothing more will be appended.
    pub fn close(&self) {
        self.ledger().closed = true;
        self.shared.changed.notify_waiters();
    }

    /// Waits until the outbox is closed.
    pub async fn closed(&self) {
        loop {
            let changed = self.changed();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// Whether nothing more will be appended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ledger().closed
    }

    /// What the outbox holds now.
    #[must_use]
    pub fn status(&self) -> OutboxStatus {
        let ledger = self.ledger();
        OutboxStatus { unreported: ledger.unreported.count(), ..ledger.status }
    }

    /// The identity of this instance.
    #[must_use]
    pub fn instance_id(&self) -> Uuid {
        self.ledger().stamper.instance_id()
    }

    /// Lets others follow what happens to the messages.
    #[must_use]
    pub fn feed(&self) -> Feed {
        Feed { shared: Arc::clone(&self.shared) }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }
}

impl Feed {
    /// Follows the outbox from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.shared.ledger().account.subscribe()
    }

    /// How many messages are in each state now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.ledger().account.tally()
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn append(&mut self, payload: Payload) -> Result<Arc<TelemetryMessage>, EncodeError> {
        let message = Arc::new(self.stamper.stamp(payload));
        let encoded = EncodedMessage::encode(&message, self.settings.encoding).inspect_err(|error| {
            self.lose(message.sequence, GapReason::Invalid);
            self.account.not_made(message.sequence, GapReason::Invalid);
            self.observer.observe(Event::MessageInvalid { sequence: message.sequence, error });
        })?;
        let is_gap_record = encoded.is_gap_record;
        self.status.messages += 1;
        self.status.bytes += memory_bytes(&encoded);
        self.waiting.push_back(encoded);
        self.account.made(&message);
        // A gap record is small, and if it cost a message it would need another one.
        if !is_gap_record {
            self.make_room();
        }
        Ok(message)
    }

    fn give_back(&mut self, batch: Batch) {
        for message in batch.messages.into_iter().rev() {
            let at = self.waiting.partition_point(|waiting| waiting.sequence < message.sequence);
            self.waiting.insert(at, message);
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        let lost_before = self.status.lost;
        let is_first = self.unreported.count() == 0;
        if self.is_too_full() && self.settings.on_full == OnFull::Decimate {
            self.decimate();
        }
        while self.is_too_full() {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.give_up(&oldest, GapReason::OutboxFull);
        }
        if self.status.lost > lost_before {
            self.account.tell_losses();
            let reason = match self.settings.on_full {
                OnFull::DropOldest => GapReason::OutboxFull,
                OnFull::Decimate => GapReason::Decimated,
            };
            let count = self.status.lost - lost_before;
            let outbox = self.status;
            self.observer.observe(Event::MessagesGivenUp { count, reason, is_first, outbox });
        }
    }

    fn is_too_full(&self) -> bool {
        self.status.bytes > self.settings.max_bytes && self.waiting.len() > 1
    }

    /// Makes the samples sparser, where they are the densest first, until a good part of the outbox is free.
    fn decimate(&mut self) {
        let enough = self.settings.max_bytes - self.settings.max_bytes / DECIMATED_SHARE;
        let sequence = |message: Option<&EncodedMessage>| message.map_or(0, |message| message.sequence);
        let whole = sequence(self.waiting.back()) - sequence(self.waiting.front());
        let mut distance = 2;
        while self.status.bytes > enough && distance <= whole {
            self.thin(distance);
            distance *= 2;
        }
    }

    /// Gives up samples whose neighbours are then not more than `distance` numbers apart.
    fn thin(&mut self, distance: u64) {
        let mut before: Option<u64> = None;
        for _ in 0..self.waiting.len() {
            let Some(message) = self.waiting.pop_front() else { break };
            // Those that stay go to the back: at the oldest one's turn it is the newest's neighbour again.
            let after = self.waiting.front().map(|next| next.sequence).filter(|next| *next > message.sequence);
            let is_spare = before.zip(after).is_some_and(|(before, after)| after - before <= distance);
            if is_spare && message.is_sample {
                self.give_up(&message, GapReason::Decimated);
            } else {
                before = Some(message.sequence);
                self.waiting.push_back(message);
            }
        }
    }

    fn give_up(&mut self, message: &EncodedMessage, reason: GapReason) {
        self.release(message);
        self.lose(message.sequence, reason);
        self.account.lost(&(message.sequence..=message.sequence), reason);
        if let Some(gap) = message.gap_record() {
            let loss = Loss::named_by(&gap, self.stamper.instance_id());
            self.unreported.add(self.other_instance(&loss), loss);
        }
    }

    fn lose(&mut self, sequence: u64, reason: GapReason) {
        self.status.lost += 1;
        self.unreported
            .add(None, Loss { instance_id: self.stamper.instance_id(), numbers: vec![sequence..=sequence], reason });
    }

    fn report(&mut self, loss: Loss) {
        let count = loss.count();
        self.status.lost += count;
        let (reason, instance_id) = (loss.reason, loss.instance_id);
        self.observer.observe(Event::SpooledMessagesLost { count, reason, instance_id });
        let other_instance = self.other_instance(&loss);
        if other_instance.is_none() {
            loss.numbers.iter().for_each(|numbers| self.account.lost(numbers, reason));
            self.account.tell_losses();
        }
        self.unreported.add(other_instance, loss);
    }

    /// Whose numbers they are, when not those of this instance.
    fn other_instance(&self, loss: &Loss) -> Option<Uuid> {
        Some(loss.instance_id).filter(|id| *id != self.stamper.instance_id())
    }

    fn append_gap_records(&mut self) {
        for gap in self.unreported.take() {
            // It cannot be invalid: it is made of ascending ranges that are not empty.
            let _ = self.append(gap.into());
        }
    }

    fn next_batch(&mut self) -> Option<Batch> {
        if self.waiting.is_empty() {
            self.append_gap_records();
        }
        let max_bytes = BATCH_MAX_BYTES.min(self.settings.max_bytes / BATCH_MAX_SHARE);
        let mut messages = Vec::new();
        let mut bytes = 0;
        while let Some(message) = self.waiting.pop_front_if(|next| {
            let fits = messages.len() < BATCH_MAX_MESSAGES && bytes + memory_bytes(next) <= max_bytes;
            fits || messages.is_empty()
        }) {
            bytes += memory_bytes(&message);
            messages.push(message);
        }
        let instance_id = self.stamper.instance_id();
        (!messages.is_empty()).then_some(Batch { instance_id, acknowledged: 0, messages })
    }

    fn release(&mut self, message: &EncodedMessage) {
        self.status.messages -= 1;
        self.status.bytes -= memory_bytes(message);
    }
}

fn memory_bytes(message: &EncodedMessage) -> usize {
    message.body.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
