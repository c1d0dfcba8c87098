//! The way out: what is between the sampler and the publisher, and the ledger of what was sent.
//!
//! The outbox gives every message its number, since it is what answers for each of them: a number is either
//! acknowledged by the destination, or named in a gap record. Messages wait in memory, bounded in bytes; when there is no
//! room, the oldest go. They leave in order, in batches, and a batch is kept until it is acknowledged.

mod gaps;
mod stamper;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use gaps::Gaps;
pub use stamper::Stamper;

use crate::errors::TelemetryResult;
use crate::events;
use crate::models::{GapReason, GapRecord, Payload, TelemetryData, TelemetryMessage};
use crate::publishers::EncodedMessage;

/// What a waiting message takes beside its JSON.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Entry>();
/// Most messages in a batch: beyond it a round trip is no longer what costs.
const BATCH_MAX_MESSAGES: usize = 128;
/// Most JSON in a batch, but for its first message: one round trip stays well within its time limit.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// Keeps messages until they are acknowledged. A clone is the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

/// Messages on their way, the oldest first.
#[derive(Debug)]
pub struct Batch {
    entries: Vec<Entry>,
    messages: Vec<EncodedMessage>,
}

/// What the outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStatus {
    /// Messages that are not acknowledged, on their way or waiting.
    pub messages: usize,
    /// Memory they take.
    pub bytes: usize,
    /// Messages given up since the start.
    pub lost: u64,
}

#[derive(Debug)]
struct Shared {
    max_bytes: usize,
    ledger: Mutex<Ledger>,
    changed: Notify,
}

#[derive(Debug)]
struct Ledger {
    stamper: Stamper,
    waiting: VecDeque<Entry>,
    status: OutboxStatus,
    /// Numbers that are lost and that no gap record in the outbox names.
    untold: Gaps,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    message: EncodedMessage,
    /// When the message is a gap record: what it says, so that its loss does not make others vanish.
    tells: Option<Box<GapRecord>>,
}

impl Outbox {
    /// An empty outbox that holds at most `max_bytes` and numbers messages by `stamper`.
    #[must_use]
    pub fn new(max_bytes: usize, stamper: Stamper) -> Self {
        let ledger = Ledger {
            stamper,
            waiting: VecDeque::new(),
            status: OutboxStatus::default(),
            untold: Gaps::default(),
            closed: false,
        };
        Self { shared: Arc::new(Shared { max_bytes, ledger: Mutex::new(ledger), changed: Notify::new() }) }
    }

    /// Makes a message of `data` and takes it in, at the cost of the oldest ones if there is no room.
    ///
    /// # Errors
    /// When the sample breaks the schema. Its number is then named in a gap record.
    pub fn append(&self, data: TelemetryData) -> TelemetryResult<TelemetryMessage> {
        let appended = self.ledger().append(data.into(), self.shared.max_bytes);
        self.shared.changed.notify_waiters();
        appended
    }

    /// The oldest messages, as soon as there are any; `None` when the outbox is closed and empty.
    ///
    /// The batch must come back to [`acknowledge`](Self::acknowledge); there is one at a time.
    pub async fn next_batch(&self) -> Option<Batch> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut ledger = self.ledger();
                if let Some(batch) = ledger.next_batch() {
                    return Some(batch);
                }
                if ledger.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Lets go of a batch that the destination has acknowledged. Losses that nobody was told of yet are told now that
    /// somebody listens.
    pub fn acknowledge(&self, batch: Batch) {
        let mut ledger = self.ledger();
        ledger.release(&batch.entries);
        ledger.tell_of_gaps(self.shared.max_bytes);
    }

    /// Says that nothing more will be appended.
    pub fn close(&self) {
        self.ledger().closed = true;
        self.shared.changed.notify_waiters();
    }

    /// Waits until the outbox is closed.
    pub async fn closed(&self) {
        loop {
            let changed = self.shared.changed.notified();
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
        self.ledger().status
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// The messages, in the order in which they must go.
    #[must_use]
    pub fn messages(&self) -> &[EncodedMessage] {
        &self.messages
    }
}

impl Ledger {
    fn append(&mut self, payload: Payload, max_bytes: usize) -> TelemetryResult<TelemetryMessage> {
        let message = self.stamper.stamp(payload);
        let encoded = EncodedMessage::encode(&message).inspect_err(|error| {
            self.lose(message.sequence, GapReason::Invalid);
            events::message_invalid(message.sequence, error);
        })?;
        let tells = match &message.payload {
            Some(Payload::Gap(gap)) => Some(Box::new(gap.clone())),
            _ => None,
        };
        let entry = Entry { message: encoded, tells };
        self.status.messages += 1;
        self.status.bytes += entry.bytes();
        self.waiting.push_back(entry);
        self.make_room(max_bytes);
        Ok(message)
    }

    fn make_room(&mut self, max_bytes: usize) {
        let lost_before = self.status.lost;
        while self.status.bytes > max_bytes {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.release(std::slice::from_ref(&oldest));
            self.lose(oldest.message.sequence, GapReason::OutboxFull);
            if let Some(gap) = oldest.tells {
                self.untold.add_record(&gap);
            }
        }
        if self.status.lost > lost_before {
            events::messages_lost(self.status.lost - lost_before, self.status);
        }
    }

    fn lose(&mut self, sequence: u64, reason: GapReason) {
        self.untold.add(sequence..=sequence, reason);
        self.status.lost += 1;
    }

    fn tell_of_gaps(&mut self, max_bytes: usize) {
        for gap in self.untold.take() {
            // An invalid gap record cannot be: it is made of ascending ranges that are not empty.
            let _ = self.append(gap.into(), max_bytes);
        }
    }

    fn next_batch(&mut self) -> Option<Batch> {
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(BATCH_MAX_MESSAGES).take_while(|entry| {
            bytes += entry.message.json.len();
            bytes <= BATCH_MAX_BYTES
        });
        let count = fitting.count().max(1).min(self.waiting.len());
        let entries: Vec<_> = self.waiting.drain(..count).collect();
        let messages: Vec<_> = entries.iter().map(|entry| entry.message.clone()).collect();
        (!entries.is_empty()).then_some(Batch { entries, messages })
    }

    fn release(&mut self, entries: &[Entry]) {
        self.status.messages -= entries.len();
        self.status.bytes -= entries.iter().map(Entry::bytes).sum::<usize>();
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.message.json.len() + ENTRY_OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests;
