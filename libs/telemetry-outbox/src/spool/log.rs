//! The messages of one instance on disk: a directory of segments, read in order and deleted once acknowledged.

mod giving_up;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use telemetry_proto::v1::GapReason;
use uuid::Uuid;

use super::context::{self, Context};
use super::cursor::{self, Cursor};
use super::given_up::GivenUp;
use super::segment::{self, Chunk, Segment};
use crate::batch::EncodedMessage;
use crate::file_system::{FileSystem, Lock};
use crate::loss::Loss;
use crate::observer::Event;

const LOCK_FILE: &str = "lock";
/// Most files of a log that are kept open without being read.
const OPEN_FILES_MAX: usize = 40;
/// Attempts after which an input/output error counts as damage.
const READ_ATTEMPTS: u32 = 10;
/// The error of a disk that cannot read a page.
const EIO: i32 = 5;
/// What a log takes on disk beside its messages, in blocks of 4 KiB: its directory, its cursor, and the rest of the last
/// block of its newest segment.
pub(super) const OVERHEAD_BYTES: u64 = 3 * 4096;

/// The messages of one instance.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) instance_id: Uuid,
    /// This process writes it; an earlier one left it otherwise.
    is_live: bool,
    directory: PathBuf,
    /// Held while the log is ours. The kernel releases it when the process ends, however it ends.
    lock: Lock,
    segments: VecDeque<Segment>,
    /// The highest number that this process appended.
    appended: u64,
    cursor: Cursor,
    /// What is given up, until gap records name it.
    given_up: Vec<GivenUp>,
    position: Position,
    /// What was read before it was asked for.
    ahead: Option<LogRead>,
    /// The highest number that the destination acknowledged.
    pub(super) acknowledged: u64,
    /// When an earlier start last noted an acknowledgement, if the log is one that it left.
    acknowledged_before: Option<Instant>,
    /// The highest number that was read.
    read: u64,
    /// Something after `read` could not be read. The number of the next message shows how much.
    damaged: bool,
    /// The last read failed and is tried again.
    failed_read: Option<FailedRead>,
    /// Directories in which a name is new that a power failure could cost.
    unsynced_directories: BTreeSet<PathBuf>,
    /// The observer was told that there are messages in it.
    pub(super) is_announced: bool,
    context: Context,
}

/// Messages, and what turned out to be lost before them.
pub(super) type LogRead = (Vec<EncodedMessage>, Option<Loss>);

/// A read that is tried again.
#[derive(Debug)]
struct FailedRead {
    last_attempt: Instant,
    attempts: u32,
    /// Bytes that were passed over last.
    passed_over: u64,
}

/// Where the next read begins.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    /// Index of the segment.
    segment: usize,
    offset: u64,
}

impl Log {
    /// A new log below `root`. It has a hidden name until it is locked, so that no other process takes it for a leftover.
    pub(super) fn create(root: &Path, instance_id: Uuid, context: Context) -> io::Result<Self> {
        let directory = root.join(instance_id.to_string());
        let hidden = root.join(format!(".{instance_id}"));
        context.file_system.create_dir_all(&hidden)?;
        let lock = lock(&hidden, &context)?.ok_or(io::ErrorKind::ResourceBusy)?;
        context.file_system.rename(&hidden, &directory)?;
        Ok(Self {
            unsynced_directories: parents(&directory),
            is_live: true,
            ..Self::new(instance_id, directory, lock, context)
        })
    }

    /// The log that an earlier start left in `directory`; `None` when that is no log, or one in use by another process.
    pub(super) fn open(directory: &Path, context: Context) -> io::Result<Option<Self>> {
        let Some(instance_id) = Self::id_of(directory) else { return Ok(None) };
        let entries = match context.file_system.list(directory) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            entries => entries?,
        };
        if !entries.is_empty() && !entries.iter().any(|path| is_own_file(path)) {
            return Ok(None);
        }
        let Some(lock) = lock(directory, &context)? else { return Ok(None) };
        let mut log = Self::new(instance_id, directory.to_owned(), lock, context);
        for path in log.context.file_system.list(directory)? {
            if segment::is_unfinished_copy(&path) {
                log.context.file_system.remove_file(&path)?;
            }
            log.segments.extend(Segment::found(path, log.file_system())?);
        }
        log.segments.make_contiguous().sort_unstable_by_key(|segment| segment.first);
        log.acknowledged = log.cursor.read();
        log.acknowledged_before = log.cursor.written_at().and_then(instant_of);
        log.seek(log.acknowledged);
        Ok(Some(log))
    }

    /// The instance whose log is in `directory`, by its name; `None` when it is no log.
    ///
    /// A crash, or a power failure that undid the renaming, leaves the hidden name of a new log.
    pub(super) fn id_of(directory: &Path) -> Option<Uuid> {
        let name = directory.file_name()?.to_str()?;
        let name = name.strip_prefix('.').unwrap_or(name);
        Uuid::try_parse(name).ok().filter(|id| id.to_string() == name)
    }

    /// When the log in `directory` was made, as far as can be told. The time of the directory is later: it changes with each
    /// file that is deleted in it.
    pub(super) fn made_at(directory: &Path, context: &Context) -> Option<SystemTime> {
        let modified = |path: &Path| context.file_system.modified(path);
        modified(&directory.join(LOCK_FILE)).or_else(|_| modified(directory)).ok()
    }

    fn new(instance_id: Uuid, directory: PathBuf, lock: Lock, context: Context) -> Self {
        Self {
            instance_id,
            is_live: false,
            cursor: Cursor::of(&directory, Arc::clone(&context.file_system)),
            directory,
            lock,
            segments: VecDeque::new(),
            appended: 0,
            given_up: Vec::new(),
            position: Position::default(),
            ahead: None,
            acknowledged: 0,
            acknowledged_before: None,
            read: 0,
            damaged: false,
            failed_read: None,
            unsynced_directories: BTreeSet::new(),
            is_announced: false,
            context,
        }
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.context.file_system)
    }

    /// Bytes of all that is not given up.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len - self.given_up_bytes(segment.first)).sum()
    }

    /// What all that is not given up takes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        if self.segments.is_empty() { 0 } else { OVERHEAD_BYTES + self.bytes() }
    }

    /// Whether the directory and the newest file are still where they were made.
    pub(super) fn is_in_place(&self) -> bool {
        self.is_locked() && self.segments.back().is_none_or(Segment::is_in_place)
    }

    /// Whether the file that this process holds the lock of is still there.
    fn is_locked(&self) -> bool {
        self.context.file_system.exists(&self.directory.join(LOCK_FILE))
    }

    /// Makes what is missing of the directory again after somebody removed it, or files in it. What was in them is still
    /// readable, but only by this process.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        self.unsynced_directories.append(&mut parents(&self.directory));
        self.context.file_system.create_dir_all(&self.directory)?;
        // A lock that is in place is ours, and cannot be taken twice.
        if !self.is_locked() {
            self.lock = lock(&self.directory, &self.context)?.ok_or(io::ErrorKind::ResourceBusy)?;
        }
        self.cursor = Cursor::of(&self.directory, self.file_system());
        self.cursor.write(self.acknowledged)
    }

    /// Appends all messages or none, to a new file when the newest has reached `segment_bytes` or is gone.
    ///
    /// Those that are here already are passed over: an append that took so long that it was given up was carried out later.
    pub(super) fn append(&mut self, messages: &[EncodedMessage], segment_bytes: u64) -> io::Result<()> {
        let messages = &messages[messages.partition_point(|message| message.sequence <= self.appended)..];
        self.append_new(messages, segment_bytes)?;
        self.appended = messages.last().map_or(self.appended, |message| message.sequence);
        Ok(())
    }

    fn append_new(&mut self, messages: &[EncodedMessage], segment_bytes: u64) -> io::Result<()> {
        let Some(first) = messages.first() else { return Ok(()) };
        let may_grow = |newest: &&mut Segment| newest.len < segment_bytes && newest.is_in_place();
        if let Some(newest) = self.segments.back_mut().filter(may_grow) {
            return newest.append(messages);
        }
        let mut new = Segment::create(&self.directory, first.sequence, self.file_system())?;
        if let Err(error) = new.append(messages) {
            let _ = new.delete();
            return Err(error);
        }
        self.segments.push_back(new);
        self.unsynced_directories.insert(self.directory.clone());
        self.close_files();
        Ok(())
    }

    /// Makes what was appended survive a power failure.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        context::all(self.segments.iter_mut().map(Segment::sync))?;
        while let Some(directory) = self.unsynced_directories.first() {
            match self.context.file_system.sync_dir(directory) {
                // A directory that must not be read, or that cannot change, was not made by us.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
                synced => synced?,
            }
            self.unsynced_directories.pop_first();
        }
        Ok(())
    }

    /// Closes files that are neither new nor being read: an outage may make many.
    fn close_files(&mut self) {
        let old = self.segments.len().saturating_sub(OPEN_FILES_MAX);
        for (index, segment) in self.segments.iter_mut().enumerate().take(old) {
            if index != self.position.segment {
                segment.close();
            }
        }
    }

    /// The next messages that are not acknowledged, if there are any, and what turned out to be lost before them.
    pub(super) fn read(&mut self) -> Option<LogRead> {
        self.ahead.take().or_else(|| self.read_files())
    }

    /// Reads what the next [`read`](Self::read) will give, while nobody waits for it. Whether there is anything.
    pub(super) fn read_ahead(&mut self) -> bool {
        if self.ahead.is_none() {
            self.ahead = self.read_files();
        }
        self.ahead.is_some()
    }

    fn read_files(&mut self) -> Option<LogRead> {
        let waits = |failed: &FailedRead| failed.last_attempt.elapsed() < self.context.read_retry_period;
        if self.failed_read.as_ref().is_some_and(waits) {
            return None;
        }
        while let Some(segment) = self.segments.get_mut(self.position.segment) {
            if self.position.offset >= segment.len {
                let last = *segment.last.get_or_insert(self.read);
                // The file was truncated by somebody else if it ends before its last message.
                self.damaged |= last > self.read.max(self.acknowledged);
                if self.position.segment + 1 == self.segments.len() {
                    return None;
                }
                self.position = Position { segment: self.position.segment + 1, offset: 0 };
                self.close_files();
                continue;
            }
            let Chunk { mut messages, end, damaged } = match segment.read(self.position.offset) {
                Ok(chunk) => {
                    self.failed_read = None;
                    chunk
                }
                Err(error) => self.after_failed_read(&error)?,
            };
            self.position.offset = end;
            self.damaged |= damaged;
            let mut last = self.acknowledged.max(self.read);
            messages.retain(|message| {
                let is_new = message.sequence > last;
                last = last.max(message.sequence);
                is_new
            });
            if let Some(first) = messages.first().map(|message| message.sequence) {
                let missing = self.read.max(self.acknowledged) + 1..=first - 1;
                let is_loss = std::mem::take(&mut self.damaged) && !missing.is_empty();
                self.read = messages.last().map_or(self.read, |message| message.sequence);
                return Some((messages, is_loss.then(|| self.damage(missing))));
            }
        }
        None
    }

    /// Whether the last read failed, and is tried again later.
    pub(super) fn must_read_again(&self) -> bool {
        self.failed_read.is_some()
    }

    /// What a read that failed with `error` found; `None` when it must be tried again.
    ///
    /// A file that is gone holds nothing any more. What a disk cannot read after some attempts counts as damage, page by
    /// page, then in steps that double. All other errors may pass.
    fn after_failed_read(&mut self, error: &io::Error) -> Option<Chunk> {
        let segment = self.segments.get(self.position.segment)?;
        let failed = self.failed_read.get_or_insert_with(|| {
            self.context.observe(Event::ReadFailed { error });
            FailedRead { last_attempt: Instant::now(), attempts: 0, passed_over: 0 }
        });
        failed.last_attempt = Instant::now();
        failed.attempts += 1;
        if error.kind() == io::ErrorKind::NotFound {
            self.failed_read = None;
            return Some(Chunk { end: segment.len, damaged: true, ..Chunk::default() });
        }
        if error.raw_os_error() != Some(EIO) || failed.attempts < READ_ATTEMPTS {
            return None;
        }
        failed.passed_over = (2 * failed.passed_over).max(1);
        Some(segment.pass_over(self.position.offset, failed.passed_over))
    }

    /// What could not be read at the end of the log, as far as is known what was there.
    pub(super) fn damage_at_end(&mut self) -> Option<Loss> {
        if !self.is_at_end() {
            return None;
        }
        let last = self.segments.back()?.last?;
        let missing = self.read.max(self.acknowledged) + 1..=last;
        (std::mem::take(&mut self.damaged) && !missing.is_empty()).then(|| {
            self.read = last;
            self.damage(missing)
        })
    }

    fn damage(&self, missing: RangeInclusive<u64>) -> Loss {
        Loss { instance_id: self.instance_id, numbers: vec![missing], reason: GapReason::SpoolDamaged }
    }

    /// Notes that the destination has everything up to `sequence`.
    pub(super) fn acknowledge(&mut self, sequence: u64) -> io::Result<()> {
        self.acknowledged = self.acknowledged.max(sequence);
        self.mark_acknowledged(Instant::now());
        self.cursor.write(self.acknowledged)
    }

    /// Notes that there is nothing more to read in a log that grows no more. What an earlier start had delivered counts as
    /// acknowledged since then.
    pub(super) fn mark_read(&mut self) {
        if self.is_undelivered() {
            return;
        }
        self.mark_acknowledged(self.acknowledged_before.unwrap_or_else(Instant::now));
        self.segments.iter_mut().for_each(Segment::close);
        self.cursor.close();
    }

    fn mark_acknowledged(&mut self, since: Instant) {
        let newest = self.segments.len().saturating_sub(1);
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let is_read = index < self.position.segment || (index == newest && self.position.offset >= segment.len);
            if !is_read || segment.last.is_some_and(|last| last > self.acknowledged) {
                break;
            }
            segment.acknowledged_since.get_or_insert(since);
        }
    }

    /// Goes back to what comes after `newest`.
    pub(super) fn rewind(&mut self, newest: u64) -> io::Result<()> {
        self.acknowledged = newest;
        self.acknowledged_before = None;
        self.seek(newest);
        self.cursor.write(newest)
    }

    /// The lowest number that will be read, if there is anything.
    pub(super) fn next_sequence(&mut self) -> Option<u64> {
        self.read_ahead();
        self.ahead.as_ref().and_then(|(messages, _)| messages.first()).map(|message| message.sequence)
    }

    /// Moves to the segment that holds what comes after `sequence`, or to the first one.
    fn seek(&mut self, sequence: u64) {
        let after = self.segments.partition_point(|segment| segment.first <= sequence.saturating_add(1));
        self.position = Position { segment: after.saturating_sub(1), offset: 0 };
        self.ahead = None;
        self.read = sequence;
        for segment in self.segments.iter_mut().skip(self.position.segment) {
            segment.acknowledged_since = None;
        }
    }

    /// Deletes what was acknowledged longer than `retain` ago, but not the newest file while it is below
    /// `keep_newest_below`.
    pub(super) fn release(&mut self, retain: Duration, keep_newest_below: u64) -> io::Result<()> {
        while let Some(oldest) = self.segments.front() {
            let is_due = oldest.acknowledged_since.is_some_and(|since| since.elapsed() >= retain);
            let is_kept = self.segments.len() == 1 && oldest.len < keep_newest_below;
            if !is_due || is_kept {
                break;
            }
            self.delete_oldest()?;
        }
        Ok(())
    }

    /// Deletes the oldest file if all of it is acknowledged and nothing will be appended to it. Whether it did.
    pub(super) fn release_oldest(&mut self) -> io::Result<bool> {
        let is_free = self.segments.len() > usize::from(self.is_live) && self.segments[0].acknowledged_since.is_some();
        if is_free {
            self.delete_oldest()?;
        }
        Ok(is_free)
    }

    fn delete_oldest(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.segments.front() {
            // What cannot be deleted still counts.
            oldest.delete()?;
            self.segments.pop_front();
            self.position = match self.position.segment {
                0 => Position::default(),
                segment => Position { segment: segment - 1, ..self.position },
            };
        }
        Ok(())
    }

    /// Whether there may be messages in the log that the destination does not have.
    pub(super) fn is_undelivered(&self) -> bool {
        !self.is_at_end() || self.ahead.is_some() || self.read > self.acknowledged
    }

    /// Whether everything was read.
    fn is_at_end(&self) -> bool {
        self.segments.get(self.position.segment).is_none_or(|segment| self.position.offset >= segment.len)
            && self.position.segment + 1 >= self.segments.len()
    }

    /// Whether nothing in the log is needed any more.
    pub(super) fn is_finished(&self) -> bool {
        self.segments.is_empty() && self.given_up.is_empty()
    }

    /// Deletes the log. A directory in which there are files of others stays, with these files.
    pub(super) fn delete(self) -> io::Result<()> {
        let file_system = &self.context.file_system;
        let mut files = match file_system.list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        // Segments come first by their names: after a crash half way, none is left without the cursor.
        files.sort();
        files.iter().filter(|path| is_own_file(path)).try_for_each(|path| file_system.remove_file(path))?;
        match file_system.remove_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether a file in the directory of a log is one that a log consists of.
fn is_own_file(path: &Path) -> bool {
    let is_named = |name| path.file_name().is_some_and(|file| file == name);
    is_named(LOCK_FILE)
        || is_named(cursor::FILE)
        || segment::first_of(path).is_some()
        || segment::is_unfinished_copy(path)
}

/// `time` on the monotonic clock; `None` when that clock did not run then.
fn instant_of(time: SystemTime) -> Option<Instant> {
    Instant::now().checked_sub(SystemTime::now().duration_since(time).ok()?)
}

/// The directories above `directory`. Any of them may have been made by this start, or by one that ended before it synced.
fn parents(directory: &Path) -> BTreeSet<PathBuf> {
    // A relative path has the working directory above it.
    let here = |parent: &Path| if parent == Path::new("") { ".".into() } else { parent.to_owned() };
    directory.ancestors().skip(1).map(here).collect()
}

/// The lock of the log in `directory`; `None` when another process has it.
fn lock(directory: &Path, context: &Context) -> io::Result<Option<Lock>> {
    context.file_system.lock(&directory.join(LOCK_FILE))
}
