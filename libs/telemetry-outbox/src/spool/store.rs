//! All that is on disk: the log that this start writes, and those that earlier ones left.

use std::io;

use uuid::Uuid;

use super::context::Context;
use super::leftovers::{self, Leftovers};
use super::log::Log;
use crate::batch::EncodedMessage;
use crate::loss::Loss;
use crate::observer::Event;
use crate::settings::{OnFull, SpoolSettings, SyncPolicy};
use crate::status::SpoolStatus;

/// The share of the spool that a file may take: what is given up at a time when it is full.
const SEGMENT_SHARE: u64 = 32;
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
        let segment_bytes = self.settings.max_bytes / SEGMENT_SHARE;
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

    /// Gives up the least valuable until what is kept fits.
    fn make_room(&mut self) -> io::Result<()> {
        while self.disk_bytes() > self.settings.max_bytes {
            if self.release_oldest()? {
                continue;
            }
            self.leftovers.open_waiting();
            let decimated = match self.settings.on_full {
                OnFull::Decimate => self.give_up_by(Log::decimate)?,
                OnFull::DropOldest => None,
            };
            let given_up = match decimated {
                Some(losses) => Some(losses),
                None => self.give_up_by(Log::give_up_oldest)?,
            };
            // All the rest is in flight, or being written, or waits until gap records name what was given up before it.
            let Some(losses) = given_up else { break };
            self.losses.extend(losses);
        }
        Ok(())
    }

    /// Deletes the oldest file that is acknowledged. Whether there was one.
    fn release_oldest(&mut self) -> io::Result<bool> {
        let released = self.logs().find_map(|log| match log.release_oldest() {
            Ok(false) => None,
            released => Some(released),
        });
        self.leftovers.delete_finished()?;
        released.unwrap_or(Ok(false))
    }

    /// What the oldest log gives up by `action` that has something to give up.
    ///
    /// Logs that are not open are older than the live one, which therefore gives up nothing while there are any.
    fn give_up_by(&mut self, action: fn(&mut Log) -> io::Result<Option<Vec<Loss>>>) -> io::Result<Option<Vec<Loss>>> {
        let is_live_next = !self.leftovers.has_more();
        let live = self.live.as_mut().filter(|_| is_live_next);
        self.leftovers.open_logs().chain(live).find_map(|log| action(log).transpose()).transpose()
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
            Source::Leftover => match self.leftovers.read()? {
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
        if let Some(log) = self.log(instance_id) {
            log.acknowledge(sequence)?;
        }
        self.release()
    }

    /// Deletes what was acknowledged and need not be retained longer.
    pub(super) fn release(&mut self) -> io::Result<()> {
        let retain = self.settings.retain;
        if let Some(live) = &mut self.live {
            live.release(retain, SMALL_SEGMENT_BYTES)?;
        }
        self.leftovers.release(retain)
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
        let deleted = self.logs().try_for_each(Log::delete_reported);
        if let Err(error) = deleted.and_then(|()| self.leftovers.delete_finished()) {
            self.context.observe(Event::CleanupFailed { error: &error });
        }
    }
}

#[cfg(test)]
mod tests;
