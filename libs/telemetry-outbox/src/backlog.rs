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
use crate::spool::{PendingRead, ReadAnswer, Source, Spool, SpoolRead};
use crate::status::BacklogStatus;

/// Gives out batches, one at a time, and keeps track of what was acknowledged.
#[derive(Debug)]
pub struct Backlog {
    outbox: Outbox,
    spool: Option<Spool>,
    live: Queue,
    leftover: Queue,
    /// The highest number of this start that the destination has acknowledged and then lost. What is read up to there is
    /// delivered again.
    forgotten: u64,
    /// Whether earlier starts may have left more than is in `leftover`.
    more_leftovers: bool,
    in_flight: Option<Origin>,
    /// A batch from the outbox that the destination did not take. Newer messages may be on disk already, so it waits here for
    /// its place among those.
    returned: Option<Batch>,
    /// What the disk was asked for and has not answered: it may hang.
    pending: Option<(Source, PendingRead)>,
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
        Self {
            outbox,
            more_leftovers,
            spool,
            live,
            leftover,
            forgotten: 0,
            in_flight: None,
            returned: None,
            pending: None,
        }
    }

    /// The next messages, if there are any that can be had.
    ///
    /// The batch must come back to [`acknowledge`](Self::acknowledge) or [`rewind`](Self::rewind).
    pub async fn next_batch(&mut self) -> Option<Batch> {
        let Some(spool) = self.spool.clone() else {
            let batch = self.returned.take().or_else(|| self.outbox.try_next_batch())?;
            return Some(self.take_from_memory(batch));
        };
        let is_read = self.read_live(&spool).await;
        let returned = self.returned.as_ref().and_then(|batch| batch.messages.first());
        if let Some(batch) = self.live.next_batch(returned.map(|message| message.sequence)) {
            self.in_flight = Some(Origin::Spool);
            return Some(batch);
        }
        // What is in memory is newer than what is on disk and cannot be read now.
        if is_read && let Some(batch) = self.returned.take().or_else(|| self.outbox.try_next_batch_past_disk()) {
            return Some(self.take_from_memory(batch));
        }
        self.read_leftovers(&spool).await;
        let batch = self.leftover.next_batch(None)?;
        self.in_flight = Some(Origin::Spool);
        Some(batch)
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
        } else if batch.instance_id == self.live.instance_id {
            self.outbox.note_acknowledged(&batch);
        }
    }

    /// Goes back to what comes after `newest`, because the destination has lost it. The next batches begin there, as far as
    /// the messages are still kept. Returns how many are not.
    pub async fn rewind(&mut self, batch: Batch, newest: u64) -> u64 {
        let lost = batch.acknowledged.saturating_sub(newest);
        let instance_id = batch.instance_id;
        if instance_id == self.live.instance_id {
            self.forgotten = self.forgotten.max(batch.acknowledged);
        }
        let again = match &self.spool {
            Some(spool) => tokio::select! {
                biased;
                again = spool.rewind(instance_id, newest) => again,
                // It goes back before it reads again.
                () = self.outbox.bypasses_disk() => None,
            },
            None => None,
        };
        // What was read before the disk went back comes again; messages of this start do not if it did not go back in them.
        self.pending.take_if(|(source, _)| *source == Source::Leftover || instance_id == self.live.instance_id);
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

    fn take_from_memory(&mut self, batch: Batch) -> Batch {
        self.in_flight = Some(Origin::Outbox);
        Batch { acknowledged: self.live.acknowledged, ..batch }
    }

    /// Reads messages of this start, if there are more on disk. Whether nothing on disk is left that cannot be read now.
    async fn read_live(&mut self, spool: &Spool) -> bool {
        while self.live.messages.is_empty() && spool.written() > self.live.read {
            match self.read(spool, Source::Live).await {
                ReadAnswer::Found(found) => self.take_in(Source::Live, found),
                ReadAnswer::Nothing => break,
                ReadAnswer::Later => match spool.newest_after(self.live.read) {
                    Some(newest) => self.take_in(Source::Live, newest),
                    None => return false,
                },
            }
        }
        true
    }

    /// Reads messages that earlier starts left, if there are any.
    async fn read_leftovers(&mut self, spool: &Spool) {
        // Some may have to wait until others are deleted, so the spool is asked again as long as it has any.
        self.more_leftovers |= spool.status().leftovers > 0;
        while self.more_leftovers && self.leftover.messages.is_empty() {
            match self.read(spool, Source::Leftover).await {
                ReadAnswer::Found(found) => self.take_in(Source::Leftover, found),
                ReadAnswer::Nothing => self.more_leftovers = false,
                ReadAnswer::Later => break,
            }
        }
    }

    /// Asks the disk for messages. It is not waited for while it fails; its answer is taken in at a later call.
    async fn read(&mut self, spool: &Spool, source: Source) -> ReadAnswer {
        loop {
            let (asked_for, pending) = self.pending.get_or_insert_with(|| (source, spool.read(source)));
            let asked_for = *asked_for;
            let answer = tokio::select! {
                biased;
                answer = spool.answer(pending) => answer,
                () = self.outbox.bypasses_disk() => return ReadAnswer::Later,
            };
            self.pending = None;
            match answer {
                answer if asked_for == source => return answer,
                ReadAnswer::Found(found) => self.take_in(asked_for, found),
                ReadAnswer::Nothing | ReadAnswer::Later => {}
            }
        }
    }

    fn take_in(&mut self, source: Source, found: SpoolRead) {
        let queue = match source {
            Source::Live => &mut self.live,
            Source::Leftover => &mut self.leftover,
        };
        if found.instance_id != queue.instance_id {
            *queue = Queue { acknowledged: found.acknowledged, ..Queue::of(found.instance_id) };
        }
        let lost = queue.extend(found);
        self.outbox.report(lost);
        if source == Source::Live && self.forgotten > 0 {
            self.note_forgotten();
        }
    }

    /// Notes which of the messages that were read are delivered again.
    fn note_forgotten(&mut self) {
        let numbers = self.live.messages.iter().map(|message| message.sequence);
        self.outbox.note_pending_again(numbers.take_while(|number| *number <= self.forgotten));
        if self.live.read >= self.forgotten {
            self.forgotten = 0;
        }
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
        let read = self.read;
        self.messages.extend(found.messages.into_iter().filter(|message| message.sequence > read));
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
