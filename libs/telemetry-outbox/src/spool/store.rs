//! All that is on disk: the log that this start of the collector writes, and those that earlier ones left.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use uuid::Uuid;

use super::context::Context;
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
/// Logs of earlier starts that are looked after at a time: each keeps a file open.
const OPEN_LEFTOVERS_MAX: usize = 256;

/// Messages of one instance that come next, and what turned out to be lost.
#[derive(Debug, PartialEq)]
pub(crate) struct SpoolRead {
    pub(crate) instance_id: Uuid,
    /// The highest number that the destination acknowledged.
    pub(crate) acknowledged: u64,
    pub(crate) messages: Vec<EncodedMessage>,
    pub(crate) losses: Vec<Loss>,
}

/// Whose messages are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Those of this start of the collector.
    Live,
    /// Those that earlier ones left.
    Leftover,
}

#[derive(Debug)]
pub(super) struct Store {
    settings: SpoolSettings,
    live_id: Uuid,
    /// Made with the first message.
    live: Option<Log>,
    /// The one that is being read first.
    leftovers: VecDeque<Log>,
    /// The directory may hold logs of earlier starts that are not in `left`.
    more_leftovers: bool,
    /// What was given up and nobody was told of.
    losses: Vec<Loss>,
    context: Context,
}

impl Store {
    /// What is in the directory of `settings`; `live_id` is the instance that will append.
    pub(super) fn new(settings: SpoolSettings, live_id: Uuid, context: Context) -> Self {
        Self {
            settings,
            live_id,
            live: None,
            leftovers: VecDeque::new(),
            more_leftovers: true,
            losses: Vec::new(),
            context,
        }
    }

    /// Appends messages of this instance, all or none, and makes room for them. What had to be given up for that.
    pub(super) fn append(&mut self, messages: &[EncodedMessage]) -> io::Result<Vec<Loss>> {
        let segment_bytes = self.settings.max_bytes / SEGMENT_SHARE;
        self.find_leftovers();
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

    /// Lets go of the least valuable until what is kept fits.
    fn make_room(&mut self) -> io::Result<()> {
        while self.bytes() > self.settings.max_bytes {
            if self.try_each(|log, _| log.release_oldest().map(|released| released.then_some(())))?.is_some() {
                continue;
            }
            let thinned = match self.settings.on_full {
                OnFull::Decimate => self.try_each(Log::thin)?,
                OnFull::DropOldest => None,
            };
            let given_up = match thinned {
                Some(losses) => Some(losses),
                None => self.try_each(Log::give_up_oldest)?,
            };
            // All the rest is on its way or being written.
            let Some(losses) = given_up else { break };
            self.losses.extend(losses);
        }
        Ok(())
    }

    /// Takes back losses that nobody heard of.
    pub(super) fn keep_unreported(&mut self, losses: Vec<Loss>) {
        self.losses.extend(losses);
    }

    /// The next messages, if there are any.
    pub(super) fn read(&mut self, source: Source) -> io::Result<Option<SpoolRead>> {
        match source {
            Source::Live => Ok(self.live.as_mut().and_then(|live| read(live, true))),
            Source::Leftover => {
                self.find_leftovers();
                loop {
                    if let Some(found) = self.read_leftover()? {
                        return Ok(Some(found));
                    }
                    if !self.make_way_for_more()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn read_leftover(&mut self) -> io::Result<Option<SpoolRead>> {
        for log in &mut self.leftovers {
            if let Some(found) = read(log, false) {
                if !std::mem::replace(&mut log.is_announced, true) {
                    let (instance_id, bytes) = (log.instance_id, log.bytes());
                    self.context.observe(Event::LeftoverFound { instance_id, bytes });
                }
                return Ok(Some(found));
            }
            // A log that was delivered to its end before this start will hear of no acknowledgement.
            log.acknowledge(log.acknowledged)?;
        }
        Ok(None)
    }

    /// Deletes logs that are delivered whole, retained or not, where others wait to be looked after. Whether there are new ones.
    fn make_way_for_more(&mut self) -> io::Result<bool> {
        if !self.more_leftovers {
            return Ok(false);
        }
        self.release_leftovers(Duration::ZERO)?;
        let kept = self.leftovers.len();
        self.find_leftovers();
        Ok(self.leftovers.len() > kept)
    }

    /// Reads what the next [`read`](Self::read) will give, while nobody waits for it.
    pub(super) fn read_ahead(&mut self, source: Source) {
        match source {
            Source::Live => self.live.as_mut().is_some_and(Log::read_ahead),
            Source::Leftover => self.leftovers.iter_mut().any(Log::read_ahead),
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
        self.release_leftovers(retain)
    }

    fn release_leftovers(&mut self, retain: Duration) -> io::Result<()> {
        for log in &mut self.leftovers {
            log.release(retain, 0)?;
        }
        while let Some(log) = self.leftovers.pop_front_if(|log| log.is_finished()) {
            if log.is_announced {
                self.context.observe(Event::LeftoverDelivered { instance_id: log.instance_id });
            }
            log.delete()?;
        }
        Ok(())
    }

    /// Goes back to what comes after `newest`, and in the logs of other starts to their beginning. The lowest number of the
    /// instance that is still there, if there is anything.
    pub(super) fn rewind(&mut self, instance_id: Uuid, newest: u64) -> io::Result<Option<u64>> {
        for log in self.leftovers.iter_mut().filter(|log| log.instance_id != instance_id) {
            log.rewind(0)?;
        }
        self.log(instance_id).map_or(Ok(None), |log| log.rewind(newest))
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
            bytes: self.bytes(),
            leftovers: self.leftovers.iter().filter(|log| log.is_undelivered()).count(),
            waiting: 0,
        }
    }

    /// Finds what earlier starts left, as many logs as may be looked after at a time, the oldest first. Another collector's
    /// log that is in use is not ours.
    fn find_leftovers(&mut self) {
        if !self.more_leftovers || self.leftovers.len() >= OPEN_LEFTOVERS_MAX {
            return;
        }
        self.more_leftovers = false;
        let Ok(mut found) = self.context.file_system.list(&self.settings.directory) else { return };
        found.retain(|path| Log::id_of(path).is_some_and(|id| !self.holds(id)));
        found.sort_by_cached_key(|path| self.context.file_system.modified(path).ok());
        for directory in found {
            if self.leftovers.len() >= OPEN_LEFTOVERS_MAX {
                self.more_leftovers = true;
                return;
            }
            match Log::adopt(&directory, self.context.clone()) {
                Ok(Some(log)) if log.is_finished() => drop(log.delete()),
                Ok(Some(log)) => self.leftovers.push_back(log),
                Ok(None) => {}
                Err(error) => self.context.observe(Event::LeftoverUnreadable { directory: &directory, error: &error }),
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.leftovers.iter().chain(&self.live).map(Log::bytes).sum()
    }

    fn holds(&self, instance_id: Uuid) -> bool {
        self.leftovers.iter().chain(&self.live).any(|log| log.instance_id == instance_id)
    }

    fn log(&mut self, instance_id: Uuid) -> Option<&mut Log> {
        self.live.iter_mut().chain(&mut self.leftovers).find(|log| log.instance_id == instance_id)
    }

    fn logs(&mut self) -> impl Iterator<Item = (&mut Log, bool)> {
        let left = self.leftovers.iter_mut().map(|log| (log, false));
        left.chain(self.live.as_mut().map(|log| (log, true)))
    }

    /// The first result of `action`, which is told whether a log is live; the oldest log is asked first.
    fn try_each<T>(
        &mut self,
        mut action: impl FnMut(&mut Log, bool) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        self.logs().find_map(|(log, is_live)| action(log, is_live).transpose()).transpose()
    }

    /// Notes what the gap records among `messages`, which are on disk, name.
    fn mark_reported(&mut self, messages: &[EncodedMessage]) {
        for gap in messages.iter().filter_map(EncodedMessage::gap_record) {
            let loss = Loss::named_by(&gap, self.live_id);
            self.logs().for_each(|(log, _)| log.mark_reported(&loss));
        }
    }

    /// Deletes what was given up and is named. The gap records must outlive it, so they are synced first.
    fn delete_reported(&mut self) {
        if !self.logs().any(|(log, _)| log.has_reported()) {
            return;
        }
        let context = self.context.clone();
        if self.settings.sync != SyncPolicy::Never
            && let Err(error) = self.sync()
        {
            context.observe(Event::SyncFailed { error: &error });
            return;
        }
        for (log, is_live) in self.logs() {
            if let Err(error) = log.delete_reported(is_live) {
                context.observe(Event::CleanupFailed { error: &error });
            }
        }
    }
}

fn read(log: &mut Log, is_live: bool) -> Option<SpoolRead> {
    let (messages, loss) = match log.read() {
        Some(found) => found,
        // Behind the newest message of a log that grows no more there may be half a record: nobody was promised that one.
        None => (Vec::new(), Some(log.damage_at_end().filter(|_| is_live)?)),
    };
    let (instance_id, acknowledged) = (log.instance_id, log.acknowledged);
    Some(SpoolRead { instance_id, acknowledged, messages, losses: loss.into_iter().collect() })
}

#[cfg(test)]
mod tests;
