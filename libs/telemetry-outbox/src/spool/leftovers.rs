//! The logs that earlier starts left: found by name, sized up some at a time, and opened a few hundred at a time, the oldest
//! first.
//!
//! A program that crashes again and again leaves a log with each start. However many there are, each is counted against the
//! bound of the spool and is delivered or given up in its turn, while a bounded number of files is open, and no call takes
//! longer than it takes to look into a bounded number of directories.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::context::{self, Context};
use super::log::{self, Log, LogRead};
use crate::observer::Event;

/// Logs that are open at a time. Each keeps its lock open.
pub(super) const OPEN_MAX: usize = 256;
/// Logs whose size is found out with each call.
const MEASURED_AT_A_TIME: usize = 1024;

/// All logs but the live one, the oldest first: first those in `open`, then those in `waiting`, then those in `unmeasured`. Those
/// in `failed` are out of order.
#[derive(Debug)]
pub(super) struct Leftovers {
    directory: PathBuf,
    live_id: Uuid,
    open: VecDeque<Log>,
    open_max: usize,
    /// Their sizes are known. They are opened when others are finished.
    waiting: VecDeque<Waiting>,
    /// Only their names are known.
    unmeasured: VecDeque<PathBuf>,
    /// They could not be opened, and are tried again.
    failed: Vec<Waiting>,
    /// When that was tried last.
    tried_at: Option<Instant>,
    /// The observer was told that they cannot be read.
    reported: BTreeSet<PathBuf>,
    is_listed: bool,
    /// The destination lost messages: each log is delivered from its beginning.
    is_rewound: bool,
    context: Context,
}

#[derive(Debug)]
struct Waiting {
    directory: PathBuf,
    /// Bytes of its messages.
    bytes: u64,
}

impl Leftovers {
    /// What earlier starts left in `directory`, in which `live_id` is written.
    pub(super) fn new(directory: PathBuf, live_id: Uuid, open_max: usize, context: Context) -> Self {
        Self {
            directory,
            live_id,
            open: VecDeque::new(),
            open_max,
            waiting: VecDeque::new(),
            unmeasured: VecDeque::new(),
            failed: Vec::new(),
            tried_at: None,
            reported: BTreeSet::new(),
            is_listed: false,
            is_rewound: false,
            context,
        }
    }

    /// Looks for logs, finds out the size of some more, and opens as many as may be open.
    pub(super) fn find(&mut self) {
        if self.tried_at.is_none_or(|tried| tried.elapsed() >= self.context.open_retry_period) {
            self.tried_at = Some(Instant::now());
            // Those that failed are older than those that were not looked at.
            self.failed.drain(..).rev().for_each(|log| self.unmeasured.push_front(log.directory));
            if !self.is_listed {
                self.list();
            }
        }
        for _ in 0..MEASURED_AT_A_TIME {
            let Some(directory) = self.unmeasured.pop_front() else { break };
            let Some(log) = self.open_log(&directory, 0) else { continue };
            if self.waiting.is_empty() && self.open.len() < self.open_max {
                self.open.push_back(log);
            } else {
                self.waiting.push_back(Waiting { directory, bytes: log.bytes() });
            }
        }
        self.open_waiting();
    }

    fn list(&mut self) {
        let context = self.context.clone();
        match context.file_system.list(&self.directory) {
            Ok(mut found) => {
                found.retain(|path| Log::id_of(path).is_some_and(|id| id != self.live_id));
                found.sort_by_cached_key(|path| Log::made_at(path, &context));
                self.unmeasured = found.into();
                self.is_listed = true;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let directory = self.directory.clone();
                self.report(&directory, &error);
            }
        }
    }

    /// Opens as many logs as may be open.
    pub(super) fn open_waiting(&mut self) {
        while self.open.len() < self.open_max
            && let Some(Waiting { directory, bytes }) = self.waiting.pop_front()
        {
            let log = self.open_log(&directory, bytes);
            self.open.extend(log);
        }
    }

    /// The log in `directory`, which has `bytes` as far as is known, unless there is nothing in it, or it is in use by
    /// another process. After an error it is tried again later.
    fn open_log(&mut self, directory: &Path, bytes: u64) -> Option<Log> {
        let opened = Log::open(directory, self.context.clone()).and_then(|log| match log {
            Some(log) if log.is_finished() => log.delete().map(|()| None),
            Some(mut log) if self.is_rewound => {
                if let Err(error) = log.rewind(0) {
                    self.context.observe(Event::CleanupFailed { error: &error });
                }
                Ok(Some(log))
            }
            log => Ok(log),
        });
        opened.unwrap_or_else(|error| {
            self.report(directory, &error);
            self.failed.push(Waiting { directory: directory.to_owned(), bytes });
            None
        })
    }

    /// Tells the observer once that `directory` cannot be read.
    fn report(&mut self, directory: &Path, error: &io::Error) {
        if self.reported.insert(directory.to_owned()) {
            self.context.observe(Event::LeftoverUnreadable { directory, error });
        }
    }

    /// Whether there are logs that are not open and can be opened at once.
    pub(super) fn has_more(&self) -> bool {
        !(self.waiting.is_empty() && self.unmeasured.is_empty())
    }

    /// The next messages that are not acknowledged, with their log, if there are any.
    pub(super) fn read(&mut self) -> Option<(&Log, LogRead)> {
        loop {
            self.find();
            if let Some((index, found)) = self.read_open() {
                return Some((&self.open[index], found));
            }
            if !self.has_more() {
                return None;
            }
            // What is delivered makes way, retained or not.
            if let Err(error) = self.release(Duration::ZERO) {
                self.context.observe(Event::CleanupFailed { error: &error });
            }
            if self.open.len() >= self.open_max {
                return None;
            }
        }
    }

    fn read_open(&mut self) -> Option<(usize, LogRead)> {
        for (index, log) in self.open.iter_mut().enumerate() {
            let Some(found) = log.read() else {
                log.mark_read();
                continue;
            };
            if !std::mem::replace(&mut log.is_announced, true) {
                let (instance_id, bytes) = (log.instance_id, log.bytes());
                self.context.observe(Event::LeftoverFound { instance_id, bytes });
            }
            return Some((index, found));
        }
        None
    }

    /// Reads what the next [`read`](Self::read) will give, while nobody waits for it. Whether there is anything.
    pub(super) fn read_ahead(&mut self) -> bool {
        self.open.iter_mut().any(Log::read_ahead)
    }

    /// Deletes what was acknowledged longer than `retain` ago.
    pub(super) fn release(&mut self, retain: Duration) -> io::Result<()> {
        let released = context::all(self.open.iter_mut().map(|log| log.release(retain, 0)));
        released.and(self.delete_finished())
    }

    /// Deletes logs in which nothing is needed any more.
    pub(super) fn delete_finished(&mut self) -> io::Result<()> {
        let mut deleted = Ok(());
        while let Some(index) = self.open.iter().position(Log::is_finished) {
            let Some(log) = self.open.remove(index) else { break };
            if log.is_announced {
                self.context.observe(Event::LeftoverDelivered { instance_id: log.instance_id });
            }
            deleted = deleted.and(log.delete());
        }
        deleted
    }

    /// Goes back to the beginning of every log but that of `instance_id`.
    pub(super) fn rewind_others(&mut self, instance_id: Uuid) {
        self.is_rewound = true;
        for log in self.open.iter_mut().filter(|log| log.instance_id != instance_id) {
            if let Err(error) = log.rewind(0) {
                self.context.observe(Event::CleanupFailed { error: &error });
            }
        }
    }

    /// The logs that are open.
    pub(super) fn open_logs(&mut self) -> impl Iterator<Item = &mut Log> {
        self.open.iter_mut()
    }

    /// What all logs take on disk that were sized up.
    pub(super) fn disk_bytes(&self) -> u64 {
        let open = self.open.iter().map(Log::disk_bytes);
        open.chain(self.waiting.iter().chain(&self.failed).map(|log| log::OVERHEAD_BYTES + log.bytes)).sum()
    }

    /// Bytes of all messages, as far as is known.
    pub(super) fn bytes(&self) -> u64 {
        let open = self.open.iter().map(Log::bytes);
        open.chain(self.waiting.iter().chain(&self.failed).map(|log| log.bytes)).sum()
    }

    /// Logs that may hold messages that the destination does not have.
    pub(super) fn undelivered(&self) -> usize {
        let open = self.open.iter().filter(|log| log.is_undelivered()).count();
        open + self.waiting.len() + self.unmeasured.len() + self.failed.len()
    }

    /// Logs that are open, that wait, and of which only the names are known.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.open.len(), self.waiting.len(), self.unmeasured.len())
    }
}
