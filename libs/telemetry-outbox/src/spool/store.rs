//! All that is on disk: the log that this start writes, and those that earlier ones left.

use std::io;

use uuid::Uuid;

use super::context::{self, Context};
use super::leftovers::{self, Leftovers};
use super::log::Log;
use crate::batch::EncodedMessage;
use crate::loss::Loss;
use crate::observer::Event;
use crate::settings::{OnFull, SpoolSettings, SyncPolicy};
use crate::status::SpoolStatus;

/// The share of the spool that a file may take: what is given up at a time when it is full.
const SEGMENT_SHARE: u64 = 32;
/// The most that a file takes, however large the spool: it is held in memory while a part of it is given up.
const SEGMENT_MAX_BYTES: u64 = 32 << 20;
/// The share of the spool that may be given up and not be deleted before no more is written.
const UNDELETED_SHARE: u64 = 8;
/// A file below this is kept for more, though everything in it is acknowledged.
const SMALL_SEGMENT_BYTES: u64 = 1 << 20;

/// Messages of one instance that come next, and what turned out to be lost.
#[derive(Debug, PartialEq)]
pub(crate) struct SpoolRead {
    pub(crate) instance_id: Uuid,
    /// The highest number that the destination acknowledged.
    pub(crate) acknowledged: u64,
    pub(crate) messages: Vec<EncodedMessage>,
    pub(crate) losses: Vec<Loss>,
}

/// Which messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Those of this start.
    Live,
    /// Those that earlier starts left.
    Leftover,
}

#[derive(Debug)]
pub(super) struct Store {
    settings: SpoolSettings,
    live_id: Uuid,
    /// Made with the first message.
    live: Option<Log>,
    leftovers: Leftovers,
    /// What was given up and is not reported yet.
    losses: Vec<Loss>,
    context: Context,
}

impl Store {
    /// What is in the directory of `settings`; `live_id` is the instance that will append.
    pub(super) fn new(settings: SpoolSettings, live_id: Uuid, context: Context) -> Self {
        Self::with_open_leftovers(leftovers::OPEN_MAX, settings, live_id, context)
    }

    /// As [`new`](Self::new), with at most `open_max` logs of earlier starts open at a time.
    pub(super) fn with_open_leftovers(
        open_max: usize,
        settings: SpoolSettings,
        live_id: Uuid,
        context: Context,
    ) -> Self {
        let leftovers = Leftovers::new(settings.directory.clone(), live_id, open_max, context.clone());
        Self { settings, live_id, live: None, leftovers, losses: Vec::new(), context }
    }

    /// Appends messages of this instance, all or none, and makes room for them. What had to be given up for that.
    pub(super) fn append(&mut self, messages: &[EncodedMessage]) -> io::Result<Vec<Loss>> {
        let segment_bytes = (self.settings.max_bytes / SEGMENT_SHARE).min(SEGMENT_MAX_BYTES);
        self.leftovers.find();
        self.make_room()?;
        let live = match &mut self.live {
            Some(live) => live,
            none => none.insert(Log::create(&self.settings.directory, self.live_id, self.context.clone())?),
        };
        if !live.is_in_place() {
            self.context.observe(Event::SpoolRemoved { directory: &self.settings.directory });
            live.restore()?;
        }
        live.append(messages, segment_bytes)?;
        self.mark_reported(messages);
        self.delete_reported();
        Ok(std::mem::take(&mut self.losses))
    }

    /// Gives up the least valuable until what is kept fits. An error of one file is one of the call only if no other makes
    /// room.
    fn make_room(&mut self) -> io::Result<()> {
        if self.is_undeleted_too_much() {
            self.delete_reported();
            if self.is_undeleted_too_much() {
                return Err(io::Error::other("files that were given up cannot be deleted"));
            }
        }
        while self.disk_bytes() > self.settings.max_bytes {
            let released = self.release_oldest();
            if let Ok(true) = released {
                continue;
            }
            self.leftovers.open_waiting();
            let has_memory = self.logs().map(|log| log.kept_in_memory()).sum::<u64>() < SEGMENT_MAX_BYTES;
            let decimated = match self.settings.on_full {
                OnFull::Decimate if has_memory => self.give_up_by(Log::decimate),
                // The rest is decimated once gap records name what was given up before it.
                OnFull::Decimate => break,
                OnFull::DropOldest => Ok(None),
            };
            let given_up = match decimated {
                Ok(Some(losses)) => Ok(Some(losses)),
                decimated => self.give_up_by(Log::give_up_oldest).and_then(|given_up| match given_up {
                    None => decimated,
                    given_up => Ok(given_up),
                }),
            };
            match given_up {
                Ok(Some(losses)) => self.losses.extend(losses),
                // All the rest is in flight, or being written, or waits until gap records name what was given up before it.
                Ok(None) => return released.map(drop),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_undeleted_too_much(&mut self) -> bool {
        let undeleted: u64 = self.logs().map(|log| log.undeleted_bytes()).sum();
        undeleted > self.settings.max_bytes / UNDELETED_SHARE
    }

    /// Deletes the oldest file that is acknowledged. Whether there was one.
    fn release_oldest(&mut self) -> io::Result<bool> {
        let released = first_that(self.logs(), |log| log.release_oldest().map(|released| released.then_some(())));
        let released = released.map(|released| released.is_some());
        match self.leftovers.delete_finished() {
            Err(error) if !matches!(released, Ok(true)) => Err(error),
            _ => released,
        }
    }

    /// What the oldest log gives up by `action` that has something to give up.
    ///
    /// Logs that are not open are older than the live one, which therefore gives up nothing while there are any.
    fn give_up_by(&mut self, action: fn(&mut Log) -> io::Result<Option<Vec<Loss>>>) -> io::Result<Option<Vec<Loss>>> {
        let is_live_next = !self.leftovers.has_more();
        let live = self.live.as_mut().filter(|_| is_live_next);
        first_that(self.leftovers.open_logs().chain(live), action)
    }

    /// Takes back losses that nobody heard of.
    pub(super) fn keep_unreported(&mut self, losses: Vec<Loss>) {
        self.losses.extend(losses);
    }

    /// The next messages, if there are any.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there are messages of this start that could not be read and are tried
    /// again later.
    pub(super) fn read(&mut self, source: Source) -> io::Result<Option<SpoolRead>> {
        let (log, (messages, loss)) = match source {
            Source::Live => {
                let Some(live) = &mut self.live else { return Ok(None) };
                // Behind the newest message of a log that grows no more there may be half a record, which was never
                // promised: only what is missing at the end of the live log is a loss.
                let found = live.read().or_else(|| live.damage_at_end().map(|loss| (Vec::new(), Some(loss))));
                let Some(found) = found else {
                    return if live.must_read_again() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(None) };
                };
                (&*live, found)
            }
            Source::Leftover => match self.leftovers.read() {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let (instance_id, acknowledged) = (log.instance_id, log.acknowledged);
        Ok(Some(SpoolRead { instance_id, acknowledged, messages, losses: loss.into_iter().collect() }))
    }

    /// Reads what the next [`read`](Self::read) will give, while nobody waits for it.
    pub(super) fn read_ahead(&mut self, source: Source) {
        match source {
            Source::Live => self.live.as_mut().is_some_and(Log::read_ahead),
            Source::Leftover => self.leftovers.read_ahead(),
        };
    }

    /// Notes that the destination has all messages of an instance up to `sequence`, and deletes what is free by that.
    pub(super) fn acknowledge(&mut self, instance_id: Uuid, sequence: u64) -> io::Result<()> {
        let noted = self.log(instance_id).map_or(Ok(()), |log| log.acknowledge(sequence));
        noted.and(self.release())
    }

    /// Deletes what was acknowledged and need not be retained longer.
    pub(super) fn release(&mut self) -> io::Result<()> {
        let retain = self.settings.retain;
        let released = self.live.as_mut().map_or(Ok(()), |live| live.release(retain, SMALL_SEGMENT_BYTES));
        released.and(self.leftovers.release(retain))
    }

    /// Goes back to what comes after `newest`, and in the logs of other starts to their beginning. The lowest number of the
    /// instance that is still there, if there is anything.
    ///
    /// A cursor that cannot be written costs nothing while the program runs. The next start may pass messages over then, so
    /// it is told to the observer.
    pub(super) fn rewind(&mut self, instance_id: Uuid, newest: u64) -> Option<u64> {
        let context = self.context.clone();
        let report = |error| context.observe(Event::CleanupFailed { error: &error });
        let next = self.log(instance_id).and_then(|log| {
            log.rewind(newest).unwrap_or_else(report);
            log.next_sequence()
        });
        self.leftovers.rewind_others(instance_id);
        next
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.live.as_mut().map_or(Ok(()), Log::sync)
    }

    /// Leaves nothing behind of a log that was delivered whole and is not retained.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.release()?;
        if let Some(live) = &mut self.live {
            live.release(self.settings.retain, 0)?;
        }
        self.live.take_if(|live| live.is_finished()).map_or(Ok(()), Log::delete)
    }

    pub(super) fn status(&self) -> SpoolStatus {
        SpoolStatus {
            bytes: self.leftovers.bytes() + self.live.as_ref().map_or(0, Log::bytes),
            leftovers: self.leftovers.undelivered(),
            waiting: 0,
        }
    }

    /// What is kept takes on disk.
    fn disk_bytes(&self) -> u64 {
        self.leftovers.disk_bytes() + self.live.as_ref().map_or(0, Log::disk_bytes)
    }

    fn log(&mut self, instance_id: Uuid) -> Option<&mut Log> {
        self.logs().find(|log| log.instance_id == instance_id)
    }

    /// The logs that are open, the oldest first.
    fn logs(&mut self) -> impl Iterator<Item = &mut Log> {
        self.leftovers.open_logs().chain(&mut self.live)
    }

    /// Notes what the gap records among `messages`, which are on disk, name.
    fn mark_reported(&mut self, messages: &[EncodedMessage]) {
        for gap in messages.iter().filter_map(EncodedMessage::gap_record) {
            let loss = Loss::named_by(&gap, self.live_id);
            self.logs().for_each(|log| log.mark_reported(&loss));
        }
    }

    /// Deletes what was given up and is named. The gap records must outlive it, so they are synced first.
    fn delete_reported(&mut self) {
        if !self.logs().any(|log| log.has_reported()) {
            return;
        }
        if self.settings.sync != SyncPolicy::Never
            && let Err(error) = self.sync()
        {
            self.context.observe(Event::SyncFailed { error: &error });
            return;
        }
        let deleted = context::all(self.logs().map(Log::delete_reported));
        if let Err(error) = deleted.and(self.leftovers.delete_finished()) {
            self.context.observe(Event::CleanupFailed { error: &error });
        }
    }
}

/// What the first log gives that has anything to give. An error counts only if none has.
fn first_that<'a, T>(
    logs: impl Iterator<Item = &'a mut Log>,
    mut action: impl FnMut(&mut Log) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let mut outcome = Ok(None);
    for log in logs {
        match action(log) {
            Ok(Some(given)) => return Ok(Some(given)),
            given => outcome = outcome.and(given),
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
