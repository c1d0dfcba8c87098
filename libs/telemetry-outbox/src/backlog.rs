//! The messages that wait for the destination, in the order in which they are delivered.
//!
//! Without a spool these are the messages in the outbox. With a spool, they are read from disk: those of this start first,
//! then those that earlier starts left, so that a new message waits for one old batch at most. While the disk fails,
//! messages that are not on disk come from the outbox, after those that are.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::batch::{BATCH_MAX_BYTES, BATCH_MAX_MESSAGES, Batch, EncodedMessage};
use crate::loss::Loss;
use crate::outbox::Outbox;
use crate::spool::{Source, Spool, SpoolRead};
use crate::status::BacklogStatus;

/// Gives out batches, one at a time, and keeps track of what was acknowledged.
#[derive(Debug)]
pub struct Backlog {
    outbox: Outbox,
    spool: Option<Spool>,
    live: Queue,
    leftover: Queue,
    /// Whether earlier starts may have left more than is in `leftover`.
    more_leftovers: bool,
    in_flight: Option<Origin>,
    /// A batch from the outbox that the destination did not take. Newer messages may be on disk already, so it waits here for
    /// its place among those.
    returned: Option<Batch>,
}

/// Messages of one instance that were read from disk and wait.
#[derive(Debug)]
struct Queue {
    instance_id: Uuid,
    /// The highest number that the destination acknowledged.
    acknowledged: u64,
    /// The highest number that was read from disk.
    read: u64,
    messages: VecDeque<EncodedMessage>,
}

/// Where a batch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Outbox,
    Spool,
}

/// Waits for messages to arrive in a backlog.
#[derive(Debug)]
pub struct Arrivals {
    outbox: Outbox,
    spool: Option<Spool>,
}

impl Backlog {
    /// The messages in `outbox`, and in `spool`, if there is one.
    #[must_use]
    pub fn new(outbox: Outbox, spool: Option<Spool>) -> Self {
        let live = Queue::of(outbox.instance_id());
        let (more_leftovers, leftover) = (spool.is_some(), Queue::of(Uuid::nil()));
        Self { outbox, more_leftovers, spool, live, leftover, in_flight: None, returned: None }
    }

    /// The next messages, if there are any.
    ///
    /// The batch must come back to [`acknowledge`](Self::acknowledge) or [`rewind`](Self::rewind), and the call must not be
    /// given up half way: what it has read from disk would be passed over.
    pub async fn next_batch(&mut self) -> Option<Batch> {
        let Some(spool) = self.spool.clone() else { return self.take_from_outbox() };
        if let Some(batch) = self.take_from_disk(&spool).await {
            return Some(batch);
        }
        if spool.is_failing() { self.take_from_outbox() } else { None }
    }

    /// Waits for more messages, independently of the backlog.
    #[must_use]
    pub fn arrivals(&self) -> Arrivals {
        Arrivals { outbox: self.outbox.clone(), spool: self.spool.clone() }
    }

    /// Releases the messages of `batch`, which the destination has acknowledged.
    pub fn acknowledge(&mut self, batch: Batch) {
        let last = batch.last_sequence().unwrap_or(batch.acknowledged);
        let origin = self.in_flight.take();
        self.queue(batch.instance_id).acknowledge(last);
        if let Some(spool) = &self.spool {
            spool.acknowledge(batch.instance_id, last);
        }
        if origin == Some(Origin::Outbox) {
            self.outbox.acknowledge(batch);
        }
    }

    /// Goes back to what comes after `newest`, because the destination has lost it. The next batches begin there, as far as
    /// the messages are still kept. Returns how many are not.
    pub async fn rewind(&mut self, batch: Batch, newest: u64) -> u64 {
        let lost = batch.acknowledged.saturating_sub(newest);
        let instance_id = batch.instance_id;
        let again = match &self.spool {
            Some(spool) => spool.rewind(instance_id, newest).await,
            None => None,
        };
        if self.in_flight.take() == Some(Origin::Outbox) {
            self.returned = Some(batch);
        }
        // A server that lost messages of one instance may have lost those of others: the spool offers them anew.
        self.leftover = Queue::of(self.leftover.instance_id);
        self.more_leftovers = self.spool.is_some();
        let queue = self.queue(instance_id);
        *queue = Queue { acknowledged: newest, read: newest, ..Queue::of(instance_id) };
        again.map_or(lost, |first| lost.min(first.saturating_sub(newest + 1)))
    }

    /// What waits now.
    #[must_use]
    pub fn status(&self) -> BacklogStatus {
        BacklogStatus::of(&self.outbox, self.spool.as_ref())
    }

    /// Waits until nothing more will be appended.
    pub async fn closed(&self) {
        self.outbox.closed().await;
    }

    /// Whether nothing more will be appended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.outbox.is_closed()
    }

    fn take_from_outbox(&mut self) -> Option<Batch> {
        let batch = self.returned.take().or_else(|| self.outbox.try_next_batch())?;
        self.in_flight = Some(Origin::Outbox);
        Some(Batch { acknowledged: self.live.acknowledged, ..batch })
    }

    async fn take_from_disk(&mut self, spool: &Spool) -> Option<Batch> {
        if let Some(batch) = self.take_live_from_disk(spool).await {
            return Some(batch);
        }
        // Some may have to wait until others are deleted, so the spool is asked again as long as it has any.
        self.more_leftovers |= spool.status().leftovers > 0;
        while self.more_leftovers && self.leftover.messages.is_empty() {
            match spool.read(Source::Leftover).await {
                Some(found) => {
                    if found.instance_id != self.leftover.instance_id {
                        self.leftover = Queue { acknowledged: found.acknowledged, ..Queue::of(found.instance_id) };
                    }
                    self.outbox.report(self.leftover.extend(found));
                }
                None => self.more_leftovers = false,
            }
        }
        let batch = self.leftover.next_batch(None)?;
        self.in_flight = Some(Origin::Spool);
        Some(batch)
    }

    /// The next messages of this start: those on disk, and what was returned in its place among them.
    async fn take_live_from_disk(&mut self, spool: &Spool) -> Option<Batch> {
        while self.live.messages.is_empty() && spool.written() > self.live.read {
            let Some(found) = spool.read(Source::Live).await else { break };
            self.outbox.report(self.live.extend(found));
        }
        let returned = self.returned.as_ref().and_then(|batch| batch.messages.first());
        if let Some(batch) = self.live.next_batch(returned.map(|message| message.sequence)) {
            self.in_flight = Some(Origin::Spool);
            return Some(batch);
        }
        if self.returned.is_some() { self.take_from_outbox() } else { None }
    }

    fn queue(&mut self, instance_id: Uuid) -> &mut Queue {
        if instance_id == self.live.instance_id { &mut self.live } else { &mut self.leftover }
    }
}

impl BacklogStatus {
    /// What waits in `outbox` and `spool`.
    #[must_use]
    pub fn of(outbox: &Outbox, spool: Option<&Spool>) -> Self {
        Self { outbox: outbox.status(), spool: spool.map(Spool::status) }
    }
}

impl Arrivals {
    /// Waits until there may be more. Begins to listen at once.
    pub fn next(&self) -> impl Future<Output = ()> {
        let (in_memory, on_disk) = (self.outbox.changed(), self.spool.as_ref().map(Spool::changed));
        async move {
            match on_disk {
                Some(on_disk) => tokio::select! {
                    () = in_memory => {}
                    () = on_disk => {}
                },
                None => in_memory.await,
            }
        }
    }

    /// Whether nothing more will come than there is.
    #[must_use]
    pub fn have_ended(&self) -> bool {
        self.spool.as_ref().map_or_else(|| self.outbox.is_closed(), Spool::is_finished)
    }
}

impl Queue {
    fn of(instance_id: Uuid) -> Self {
        Self { instance_id, acknowledged: 0, read: 0, messages: VecDeque::new() }
    }

    /// Takes in what was read, and gives out what turned out to be lost.
    fn extend(&mut self, found: SpoolRead) -> Vec<Loss> {
        self.messages.extend(found.messages);
        let lost = found.losses.iter().flat_map(|loss| &loss.numbers).map(|numbers| *numbers.end()).max();
        self.read = self.messages.back().map(|message| message.sequence).max(lost).unwrap_or(0).max(self.read);
        found.losses
    }

    /// Notes that the destination has everything up to `last`.
    fn acknowledge(&mut self, last: u64) {
        self.acknowledged = last;
        // What was delivered from memory may have been written as well.
        while self.messages.pop_front_if(|next| next.sequence <= last).is_some() {}
    }

    /// The next messages, of those that come before number `end` if there is one.
    fn next_batch(&mut self, end: Option<u64>) -> Option<Batch> {
        let mut messages = Vec::new();
        let mut bytes = 0;
        while let Some(message) = self.messages.pop_front_if(|next| {
            let fits = messages.len() < BATCH_MAX_MESSAGES && bytes + next.body.len() <= BATCH_MAX_BYTES;
            (fits || messages.is_empty()) && end.is_none_or(|end| next.sequence < end)
        }) {
            bytes += message.body.len();
            messages.push(message);
        }
        let (instance_id, acknowledged) = (self.instance_id, self.acknowledged);
        (!messages.is_empty()).then_some(Batch { instance_id, acknowledged, messages })
    }
}

#[cfg(test)]
mod tests;
