//! One file of a log: a sequence of records, only ever appended to.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::record::{self, Parsed};
use crate::batch::EncodedMessage;
use crate::file_system::{FileSystem, Open, OpenFile};

const EXTENSION: &str = "log";
/// The extension of a copy that will take the place of a segment.
const COPY_EXTENSION: &str = "new";
/// Digits of a number in the name of a file.
const NAME_DIGITS: usize = 20;
/// What is read at a time: some batches, so that a spool is drained without a call for each.
const CHUNK_BYTES: usize = 1 << 20;
/// The unit in which a file system reads from the disk, and fails to.
pub(super) const PAGE_BYTES: u64 = 4096;

/// A file of records.
#[derive(Debug)]
pub(super) struct Segment {
    file_system: Arc<dyn FileSystem>,
    path: PathBuf,
    /// Kept open from the first use on: what was written stays readable, whatever becomes of the directory.
    file: Option<Box<dyn OpenFile>>,
    /// No message in it has a lower number.
    pub(super) first: u64,
    /// Its highest number, when that is known: it was written or read to the end.
    pub(super) last: Option<u64>,
    /// Bytes of whole records, as far as is known.
    pub(super) len: u64,
    /// Since when all of it is acknowledged.
    pub(super) acknowledged_since: Option<Instant>,
    /// How often every second sample was taken out of it.
    pub(super) decimated: u32,
    /// Something was written that a power failure could cost.
    is_unsynced: bool,
    /// The last sync failed.
    sync_failed: bool,
}

/// What a read found.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) messages: Vec<EncodedMessage>,
    /// Where the next read begins.
    pub(super) end: u64,
    /// There is something that is no record after the messages and before `end`.
    pub(super) damaged: bool,
}

/// The number from which on messages are in the segment at `path`, by its name; `None` when it is no segment.
pub(super) fn first_of(path: &Path) -> Option<u64> {
    number_with(EXTENSION, path)
}

/// Whether a crash left the file at `path` before it took the place of a segment.
pub(super) fn is_unfinished_copy(path: &Path) -> bool {
    number_with(COPY_EXTENSION, path).is_some()
}

fn number_with(extension: &str, path: &Path) -> Option<u64> {
    let stem = path.file_name()?.to_str()?.strip_suffix(extension)?.strip_suffix('.')?;
    // Other names, such as `+5.log`, are not ours.
    let is_ours = stem.len() == NAME_DIGITS && stem.bytes().all(|digit| digit.is_ascii_digit());
    is_ours.then(|| stem.parse().ok()).flatten()
}

impl Segment {
    /// A new file for messages from number `first` on.
    pub(super) fn create(directory: &Path, first: u64, file_system: Arc<dyn FileSystem>) -> io::Result<Self> {
        let path = directory.join(format!("{first:0NAME_DIGITS$}.{EXTENSION}"));
        let file = file_system.open(&path, Open::New)?;
        Ok(Self { file: Some(file), ..Self::at(path, first, 0, file_system) })
    }

    /// The file at `path`, if its name is that of a segment.
    pub(super) fn found(path: PathBuf, file_system: Arc<dyn FileSystem>) -> io::Result<Option<Self>> {
        let Some(first) = first_of(&path) else { return Ok(None) };
        let len = file_system.len(&path)?;
        Ok(Some(Self::at(path, first, len, file_system)))
    }

    fn at(path: PathBuf, first: u64, len: u64, file_system: Arc<dyn FileSystem>) -> Self {
        Self {
            file_system,
            path,
            file: None,
            first,
            last: None,
            len,
            acknowledged_since: None,
            decimated: 0,
            is_unsynced: false,
            sync_failed: false,
        }
    }

    /// Whether the file is still where it was made.
    pub(super) fn is_in_place(&self) -> bool {
        self.file_system.exists(&self.path)
    }

    /// Appends all messages or none.
    pub(super) fn append(&mut self, messages: &[EncodedMessage]) -> io::Result<()> {
        let mut records = Vec::with_capacity(messages.iter().map(record::size).sum::<u64>() as usize);
        messages.iter().for_each(|message| record::write(message, &mut records));
        let len = self.len;
        let file = self.file()?;
        if let Err(error) = file.write_all_at(&records, len) {
            // If this fails too, what is after `len` is ignored: it is written over, or it is no whole record.
            let _ = file.set_len(len);
            return Err(error);
        }
        self.len += records.len() as u64;
        self.is_unsynced = true;
        self.acknowledged_since = None;
        self.last = messages.last().map(|message| message.sequence).or(self.last);
        Ok(())
    }

    /// Reads messages from `offset` on, as many as fit into a chunk. At the end there are none, and no damage.
    pub(super) fn read(&mut self, offset: u64) -> io::Result<Chunk> {
        let mut bytes = self.bytes(offset, CHUNK_BYTES)?;
        let mut chunk = Chunk { end: offset, ..Chunk::default() };
        let mut at = 0;
        while at < bytes.len() {
            match record::read(&bytes, at) {
                Parsed::Message { message, end } => {
                    chunk.messages.push(message);
                    at = end;
                }
                Parsed::Incomplete { missing } if offset + (bytes.len() + missing) as u64 <= self.len => {
                    if !chunk.messages.is_empty() {
                        break;
                    }
                    // A message that is larger than what is read at a time, or one that reaches into what cannot be read.
                    let end = offset + bytes.len() as u64;
                    let more = self.bytes(end, missing)?;
                    bytes = [bytes, more].concat().into();
                }
                Parsed::Incomplete { .. } | Parsed::Damage => {
                    if chunk.messages.is_empty() {
                        chunk.damaged = true;
                        at = self.skip_damage(offset)?;
                    }
                    break;
                }
            }
        }
        chunk.end = offset + at as u64;
        if chunk.end >= self.len && self.last.is_none() {
            self.last = chunk.messages.last().map(|message| message.sequence);
        }
        Ok(chunk)
    }

    /// Bytes from `offset` to the next whole record, or to the end.
    fn skip_damage(&mut self, offset: u64) -> io::Result<usize> {
        let mut rest = self.bytes(offset, usize::MAX)?;
        loop {
            if let Some(found) = record::find(&rest, 1) {
                return Ok(found);
            }
            let end = offset + rest.len() as u64;
            if end >= self.len {
                return Ok(rest.len());
            }
            // Behind it is something that could not be read.
            let more = self.bytes(end, usize::MAX)?;
            rest = [rest, more].concat().into();
        }
    }

    /// Passes over what cannot be read at `offset`: at least `bytes`, up to the end of a page.
    pub(super) fn pass_over(&self, offset: u64, bytes: u64) -> Chunk {
        let end = (offset + bytes).next_multiple_of(PAGE_BYTES).min(self.len);
        Chunk { end, damaged: true, ..Chunk::default() }
    }

    /// Every message that can be read, and the numbers of those that cannot, as far as their neighbours tell. The next file
    /// of the log begins with number `end`, if there is one.
    ///
    /// # Errors
    /// When nothing is known of what cannot be read: it is at the end of the last file.
    pub(super) fn read_all(&mut self, end: Option<u64>) -> io::Result<(Vec<EncodedMessage>, Vec<RangeInclusive<u64>>)> {
        let (mut messages, mut unreadable): (Vec<EncodedMessage>, Vec<_>) = (Vec::new(), Vec::new());
        let (mut offset, mut next, mut damaged) = (0, self.first, false);
        let (mut passed_over, mut failed) = (1, None);
        while offset < self.len {
            let chunk = self.read(offset).unwrap_or_else(|error| {
                failed = Some(error);
                passed_over *= 2;
                self.pass_over(offset, passed_over)
            });
            offset = chunk.end;
            damaged |= chunk.damaged;
            if let [first, .., last] | [first @ last] = chunk.messages.as_slice() {
                if std::mem::take(&mut damaged) && next < first.sequence {
                    unreadable.push(next..=first.sequence - 1);
                }
                next = last.sequence + 1;
                failed = None;
            }
            messages.extend(chunk.messages);
        }
        let last = self.last.or_else(|| end.filter(|_| failed.is_some()).map(|end| end.saturating_sub(1)));
        match (failed, last) {
            (Some(error), None) => return Err(error),
            (_, last) => unreadable.extend(last.filter(|last| damaged && next <= *last).map(|last| next..=last)),
        }
        Ok((messages, unreadable))
    }

    /// Puts `messages` in the place of all that the file holds.
    pub(super) fn replace(&mut self, messages: &[EncodedMessage]) -> io::Result<()> {
        let mut copy = Self::at(self.path.with_extension(COPY_EXTENSION), self.first, 0, Arc::clone(&self.file_system));
        copy.file = Some(self.file_system.open(&copy.path, Open::New)?);
        copy.append(messages)?;
        copy.sync()?;
        self.file_system.rename(&copy.path, &self.path)?;
        (self.file, self.len, self.last) = (copy.file, copy.len, copy.last);
        (self.is_unsynced, self.sync_failed) = (false, false);
        self.decimated += 1;
        Ok(())
    }

    /// Makes what was written survive a power failure.
    ///
    /// After a sync that failed, the operating system may hold what it could not write for written. So everything is written
    /// once more before the next attempt.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_unsynced {
            return Ok(());
        }
        if self.sync_failed {
            let all = self.bytes(0, usize::MAX)?;
            if (all.len() as u64) < self.len {
                return Err(io::Error::other("a part of the file cannot be read"));
            }
            self.file()?.write_all_at(&all, 0)?;
        }
        let synced = self.file()?.sync_data();
        self.sync_failed = synced.is_err();
        self.is_unsynced = synced.is_err();
        synced
    }

    /// Closes the file until it is read again, unless it must still be written to.
    pub(super) fn close(&mut self) {
        self.file.take_if(|_| !self.sync_failed);
    }

    pub(super) fn delete(&self) -> io::Result<()> {
        match self.file_system.remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// At most `max` bytes from `offset` on: fewer before the end if what is behind them cannot be read. An error says that
    /// the first one cannot.
    fn bytes(&mut self, offset: u64, max: usize) -> io::Result<Bytes> {
        let there = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; there.min(max)];
        let mut filled = 0;
        let file = self.file()?;
        // The file ends early if it was truncated meanwhile.
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(_) => {
                    bytes.truncate(filled);
                    return Ok(bytes.into());
                }
            }
        }
        if filled < bytes.len() {
            bytes.truncate(filled);
            self.len = offset + filled as u64;
        }
        Ok(bytes.into())
    }

    fn file(&mut self) -> io::Result<&dyn OpenFile> {
        match &mut self.file {
            Some(file) => Ok(&**file),
            none => {
                // What a failed sync has lost is written once more.
                let how = if self.is_unsynced { Open::Existing } else { Open::Read };
                Ok(&**none.insert(self.file_system.open(&self.path, how)?))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::file_system::simulated::SimulatedDisk;

    #[test]
    fn a_file_that_was_closed_before_its_sync_failed_is_synced_later() {
        let disk = SimulatedDisk::new();
        let mut segment = Segment::create(Path::new("/"), 1, Arc::new(disk.clone())).unwrap();
        let message = EncodedMessage { sequence: 1, body: "message".into(), is_gap_record: false, is_sample: true };
        segment.append(&[message]).unwrap();
        segment.close();
        disk.fail_syncs(true);
        assert!(segment.sync().is_err());
        disk.fail_syncs(false);
        segment.sync().unwrap();
    }

    #[test]
    fn other_names_are_not_those_of_segments() {
        assert_eq!(first_of(Path::new("00000000000000000005.log")), Some(5));
        for name in
            ["5.log", "+5.log", "+0000000000000000005.log", "00000000000000000005.txt", "000000000000000000005.log"]
        {
            assert_eq!(first_of(Path::new(name)), None, "{name}");
        }
    }
}
