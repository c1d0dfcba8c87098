//! The way out: what is between the sampler and the publisher, and the ledger of what was sent.
//!
//! The outbox gives every message its number, since it is what answers for each of them: a number is either
//! acknowledged by the destination, or named in a gap record. Messages wait in memory, bounded in bytes; when there is no
//! room, the oldest go, but never the newest, nor those on their way. They leave in order, in batches, and a batch is kept
//! until it is acknowledged.

mod gaps;
mod stamper;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use gaps::Gaps;
pub use stamper::Stamper;

use crate::batch::{BATCH_MAX_BYTES, BATCH_MAX_MESSAGES, Batch, EncodedMessage};
use crate::errors::TelemetryResult;
use crate::events;
use crate::models::{GapReason, Payload, TelemetryData, TelemetryMessage};

/// What a waiting message takes beside its JSON.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<EncodedMessage>();
/// The share of the outbox that a batch may take, so that an outage does not keep the oldest alone.
const BATCH_MAX_SHARE: usize = 4;

/// Keeps messages until they are acknowledged. A clone is the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

/// What the outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStatus {
    /// Messages that are not acknowledged, on their way or waiting.
    pub messages: usize,
    /// Memory they take.
    pub bytes: usize,
    /// Numbers without a message since the start: given up, or never valid.
    pub lost: u64,
    /// Those of them that no gap record names yet.
    pub untold: u64,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    changed: Notify,
}

#[derive(Debug)]
struct Ledger {
    max_bytes: usize,
    stamper: Stamper,
    waiting: VecDeque<EncodedMessage>,
    /// The highest number that was acknowledged.
    acknowledged: u64,
    status: OutboxStatus,
    /// Numbers that are lost and that no gap record names.
    untold: Gaps,
    closed: bool,
}

impl Outbox {
    /// An empty outbox that holds at most `max_bytes`, or one message, and numbers messages by `stamper`.
    #[must_use]
    pub fn new(max_bytes: usize, stamper: Stamper) -> Self {
        let ledger = Ledger {
            max_bytes,
            stamper,
            waiting: VecDeque::new(),
            acknowledged: 0,
            status: OutboxStatus::default(),
            untold: Gaps::default(),
            closed: false,
        };
        Self { shared: Arc::new(Shared { ledger: Mutex::new(ledger), changed: Notify::new() }) }
    }

    /// Makes a message of `data` and takes it in, at the cost of the oldest ones if there is no room.
    ///
    /// # Errors
    /// When the sample breaks the schema. Its number is then named in a gap record.
    pub fn append(&self, data: TelemetryData) -> TelemetryResult<TelemetryMessage> {
        let appended = self.ledger().append(data.into());
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
        ledger.acknowledged = batch.last_sequence().unwrap_or(ledger.acknowledged);
        for message in &batch.messages {
            ledger.release(message);
        }
        ledger.tell_of_losses();
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

impl Ledger {
    fn append(&mut self, payload: Payload) -> TelemetryResult<TelemetryMessage> {
        let message = self.stamper.stamp(payload);
        let encoded = EncodedMessage::encode(&message).inspect_err(|error| {
            self.untold.add(message.sequence..=message.sequence, GapReason::Invalid);
            self.status.lost += 1;
            self.status.untold += 1;
            events::message_invalid(message.sequence, error);
        })?;
        let is_gap_record = encoded.is_gap_record;
        self.status.messages += 1;
        self.status.bytes += memory_of(&encoded);
        self.waiting.push_back(encoded);
        // A gap record is small, and if it cost a message it would need another one.
        if !is_gap_record {
            self.make_room();
        }
        Ok(message)
    }

    fn make_room(&mut self) {
        let lost_before = self.status.lost;
        let first_of_these = self.status.untold == 0;
        while self.status.bytes > self.max_bytes && self.waiting.len() > 1 {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.release(&oldest);
            self.untold.add(oldest.sequence..=oldest.sequence, GapReason::OutboxFull);
            self.status.lost += 1;
            self.status.untold += 1;
            if let Some(gap) = oldest.gap_record() {
                self.status.untold += gap.count;
                self.untold.add_record(&gap);
            }
        }
        if self.status.lost > lost_before {
            events::messages_lost(self.status.lost - lost_before, first_of_these, self.status);
        }
    }

    fn tell_of_losses(&mut self) {
        self.status.untold = 0;
        for gap in self.untold.take() {
            // It cannot be invalid: it is made of ascending ranges that are not empty.
            let _ = self.append(gap.into());
        }
    }

    fn next_batch(&mut self) -> Option<Batch> {
        if self.waiting.is_empty() {
            self.tell_of_losses();
        }
        let max_bytes = BATCH_MAX_BYTES.min(self.max_bytes / BATCH_MAX_SHARE);
        let mut messages = Vec::new();
        let mut bytes = 0;
        while let Some(message) = self.waiting.pop_front_if(|next| {
            let fits = messages.len() < BATCH_MAX_MESSAGES && bytes + memory_of(next) <= max_bytes;
            fits || messages.is_empty()
        }) {
            bytes += memory_of(&message);
            messages.push(message);
        }
        let (instance_id, acknowledged) = (self.stamper.instance_id(), self.acknowledged);
        (!messages.is_empty()).then_some(Batch { instance_id, acknowledged, messages })
    }

    fn release(&mut self, message: &EncodedMessage) {
        self.status.messages -= 1;
        self.status.bytes -= memory_of(message);
    }
}

fn memory_of(message: &EncodedMessage) -> usize {
    message.json.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
