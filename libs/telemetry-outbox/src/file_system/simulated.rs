//! A disk in memory that crashes, loses power, fills up and fails as tests ask.
//!
//! What is written is seen at once, but survives a power failure only once it is synced. Of what is not synced, any part
//! may survive, in any order:
//!
//! - a later write without an earlier one; of one write any of its sectors, and of a sector the first bytes alone;
//! - the new length of a file without its content, which then reads as zeros;
//! - a name without the content of its file, or the content without the name;
//! - a renaming as a whole or not at all; a file that was removed is there again.
//!
//! A sync that fails has lost what it should have written, as on Linux: a later sync succeeds without it.
//!
//! That is all that POSIX promises, and less than any file system keeps.

mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{FileSystem, Lock, Open, OpenFile};
pub(crate) use tree::Fate;
use tree::{Change, Inode, Node, ROOT, Tree};

/// The error of a disk that cannot read.
const EIO: i32 = 5;
/// The error of a write to a file that was opened to be read.
const EBADF: i32 = 9;

/// A disk. A clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    hang: Arc<(Mutex<Hang>, Condvar)>,
}

/// What does not return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hang {
    Nothing,
    Syncs,
    Everything,
}

/// How much of a write has happened when the program ends in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Torn {
    Nothing,
    Half,
    Everything,
}

#[derive(Debug)]
struct State {
    /// What programs see.
    seen: Tree,
    /// What survives a power failure.
    durable: Tree,
    /// The changes that `seen` has and `durable` does not.
    unsynced: Vec<Change>,
    next_inode: Inode,
    /// Changes since the start: each takes one tick.
    ticks: u64,
    /// Reads of content, sizes, names and directories since the start.
    reads: u64,
    modified: HashMap<Inode, u64>,
    locked: BTreeSet<Inode>,
    faults: Faults,
    /// The next start of the machine has nothing to do with handles of this one.
    boot: u64,
}

#[derive(Debug, Default)]
struct Faults {
    /// The program ends in the middle of this change.
    crash_at: Option<(u64, Torn)>,
    /// This change alone fails.
    fail_at: Option<u64>,
    /// This read alone fails.
    fail_read_at: Option<u64>,
    /// What of a file can never be read.
    unreadable: Option<(Inode, Range<u64>)>,
    /// A file that cannot be removed.
    unremovable: Option<PathBuf>,
    /// No sync succeeds.
    fails_syncs: bool,
    /// Bytes that all files may take.
    capacity: Option<u64>,
}

#[derive(Debug)]
struct Handle {
    disk: SimulatedDisk,
    inode: Inode,
    boot: u64,
    is_writable: bool,
}

#[derive(Debug)]
struct HeldLock {
    disk: SimulatedDisk,
    inode: Inode,
    boot: u64,
}

impl SimulatedDisk {
    pub(crate) fn new() -> Self {
        let mut tree = Tree::default();
        tree.0.insert(ROOT, Node::Directory(BTreeMap::new()));
        let state = State {
            seen: tree.clone(),
            durable: tree,
            unsynced: Vec::new(),
            next_inode: ROOT + 1,
            ticks: 0,
            reads: 0,
            modified: HashMap::new(),
            locked: BTreeSet::new(),
            faults: Faults::default(),
            boot: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), hang: Arc::new((Mutex::new(Hang::Nothing), Condvar::new())) }
    }

    /// Changes so far.
    pub(crate) fn ticks(&self) -> u64 {
        self.state().ticks
    }

    /// Ends the program in the middle of change number `tick`: what comes after it fails, too.
    pub(crate) fn crash_at(&self, tick: u64, torn: Torn) {
        self.state().faults.crash_at = Some((tick, torn));
    }

    /// Whether the change at which the program ends has come.
    pub(crate) fn has_ended_program(&self) -> bool {
        let state = self.state();
        state.faults.crash_at.is_some_and(|(at, _)| state.ticks >= at)
    }

    /// Fails change number `tick`, and no other.
    pub(crate) fn fail_at(&self, tick: u64) {
        self.state().faults.fail_at = Some(tick);
    }

    /// Reads so far.
    pub(crate) fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Fails read number `read`, and no other.
    pub(crate) fn fail_read_at(&self, read: u64) {
        self.state().faults.fail_read_at = Some(read);
    }

    /// Fails each read of `bytes` of a file, as a disk with bad sectors does.
    pub(crate) fn make_unreadable(&self, path: &Path, bytes: Range<u64>) {
        let mut state = self.state();
        let inode = state.seen.find(path);
        state.faults.unreadable = inode.ok().map(|inode| (inode, bytes));
    }

    /// Fails each attempt to remove the file at `path`.
    pub(crate) fn make_unremovable(&self, path: PathBuf) {
        self.state().faults.unremovable = Some(path);
    }

    /// Fails each sync, or no more.
    pub(crate) fn fail_syncs(&self, fails: bool) {
        self.state().faults.fails_syncs = fails;
    }

    /// Lets all files together take `bytes`.
    pub(crate) fn limit(&self, bytes: Option<u64>) {
        self.state().faults.capacity = bytes;
    }

    /// Bytes that all files take.
    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }

    /// The program has ended and starts again; what it wrote is there.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.faults = Faults::default();
        state.locked.clear();
        state.boot += 1;
    }

    /// The power fails; of what was not synced there is what `fate` says.
    pub(crate) fn fail_power(&self, fate: &mut impl Fate) {
        let mut state = self.state();
        for change in std::mem::take(&mut state.unsynced) {
            match change {
                Change::Write { file, offset, bytes } => state.durable.apply_part(file, offset, &bytes, fate),
                change if fate.keeps_metadata() => state.durable.apply(&change),
                _ => {}
            }
        }
        state.seen = state.durable.clone();
        drop(state);
        self.restart();
    }

    /// Every file that can be reached, the oldest first.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let mut found = Vec::new();
        let mut directories = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, inode)) = directories.pop() {
            if let Some(Node::Directory(names)) = state.seen.0.get(&inode) {
                for (name, inode) in names {
                    match state.seen.0.get(inode) {
                        Some(Node::File(_)) => found.push((*inode, path.join(name))),
                        _ => directories.push((path.join(name), *inode)),
                    }
                }
            }
        }
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// Changes the content of a file behind everybody's back, for good.
    pub(crate) fn damage(&self, path: &Path, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Ok(inode) = state.seen.find(path) else { return };
        if let Some(Node::File(content)) = state.seen.0.get_mut(&inode) {
            damage(content);
            let content = content.clone();
            state.durable.0.insert(inode, Node::File(content));
        }
    }

    /// Lets calls hang from now on, or end.
    pub(crate) fn hang(&self, what: Hang) {
        *self.hang.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.hang.1.notify_all();
    }

    fn wait_while(&self, hangs: impl Fn(Hang) -> bool) {
        let hang = self.hang.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.hang.1.wait_while(hang, |hang| hangs(*hang)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.wait_while(|hang| hang == Hang::Everything);
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a change. It fails if a fault was set for it.
    fn tick(&mut self) -> io::Result<()> {
        self.ticks += 1;
        if self.faults.crash_at.is_some_and(|(at, _)| self.ticks >= at) {
            return Err(io::Error::other("the program has ended"));
        }
        if self.faults.fail_at == Some(self.ticks) {
            return Err(io::Error::other("the disk failed"));
        }
        Ok(())
    }

    /// Counts a read. It fails if a fault was set for it.
    fn tick_read(&mut self) -> io::Result<()> {
        self.reads += 1;
        if self.faults.fail_read_at == Some(self.reads) { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    /// How many of `len` bytes the write that fails now has written.
    fn torn(&self, len: usize) -> usize {
        match self.faults.crash_at {
            Some((at, Torn::Everything)) if at == self.ticks => len,
            Some((at, Torn::Half)) if at == self.ticks => len / 2,
            _ if self.faults.fail_at == Some(self.ticks) => len / 2,
            _ => 0,
        }
    }

    fn change(&mut self, change: Change) {
        match &change {
            Change::Write { file, .. } | Change::SetLen { file, .. } => {
                self.modified.insert(*file, self.ticks);
            }
            Change::Names(names) => {
                for (directory, ..) in names {
                    self.modified.insert(*directory, self.ticks);
                }
            }
        }
        self.seen.apply(&change);
        self.unsynced.push(change);
    }

    fn make(&mut self, directory: Inode, name: OsString, node: Node) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.seen.0.insert(inode, node.clone());
        self.durable.0.insert(inode, node);
        self.modified.insert(inode, self.ticks);
        self.change(Change::Names(vec![(directory, name, Some(inode))]));
        inode
    }

    fn sync_outcome(&self) -> io::Result<()> {
        if self.faults.fails_syncs { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    /// Makes the changes that `is_synced` durable.
    fn sync(&mut self, is_synced: impl Fn(&Change) -> bool) {
        let (synced, unsynced) = std::mem::take(&mut self.unsynced).into_iter().partition(is_synced);
        self.unsynced = unsynced;
        for change in &synced as &Vec<_> {
            self.durable.apply(change);
        }
    }

    /// Bytes that may still be written.
    fn free(&self) -> u64 {
        self.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn used(&self) -> u64 {
        self.contents().map(|content| content.len() as u64).sum()
    }

    /// The content of each file that has a name.
    fn contents(&self) -> impl Iterator<Item = &Vec<u8>> {
        let named: BTreeSet<_> = self
            .seen
            .0
            .values()
            .filter_map(|node| match node {
                Node::Directory(names) => Some(names.values()),
                Node::File(_) => None,
            })
            .flatten()
            .collect();
        named.into_iter().filter_map(|inode| match self.seen.0.get(inode) {
            Some(Node::File(content)) => Some(content),
            _ => None,
        })
    }
}

fn folder_and_name(path: &Path) -> io::Result<(&Path, OsString)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((path.parent().ok_or(io::ErrorKind::InvalidInput)?, name.to_owned()))
}

impl FileSystem for SimulatedDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let mut directory = ROOT;
        for component in path.components().skip(1) {
            let name = component.as_os_str().to_owned();
            directory = match state.seen.names(directory)?.get(&name) {
                Some(inode) => *inode,
                None => {
                    state.tick()?;
                    state.make(directory, name, Node::Directory(BTreeMap::new()))
                }
            };
        }
        state.seen.names(directory).map(drop)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.tick_read()?;
        let names = state.seen.names(state.seen.find(directory)?)?;
        Ok(names.keys().map(|name| directory.join(name)).collect())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.state();
        state.tick_read()?;
        Ok(state.seen.content(state.seen.find(path)?)?.len() as u64)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        let state = self.state();
        let ticks = state.modified.get(&state.seen.find(path)?).copied().unwrap_or_default();
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(ticks))
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().seen.find(path).is_ok()
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn OpenFile>> {
        let mut state = self.state();
        let (directory, name) = folder_and_name(path)?;
        let directory = state.seen.find(directory)?;
        let there = state.seen.names(directory)?.get(&name).copied();
        let inode = match (there, how) {
            (Some(inode), Open::New) => {
                state.tick()?;
                state.change(Change::SetLen { file: inode, len: 0 });
                inode
            }
            (Some(inode), Open::Read) => {
                state.tick_read()?;
                inode
            }
            (Some(inode), Open::Update | Open::Existing) => inode,
            (None, Open::Read | Open::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, Open::New | Open::Update) => {
                state.tick()?;
                state.make(directory, name, Node::File(Vec::new()))
            }
        };
        Ok(Box::new(Handle { disk: self.clone(), inode, boot: state.boot, is_writable: how != Open::Read }))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.open(path, Open::Update)?;
        let mut state = self.state();
        let inode = state.seen.find(path)?;
        let boot = state.boot;
        Ok(state.locked.insert(inode).then(|| Lock::of(HeldLock { disk: self.clone(), inode, boot })))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.seen.find(from)?;
        let ((from, old), (to, new)) = (folder_and_name(from)?, folder_and_name(to)?);
        let (from, to) = (state.seen.find(from)?, state.seen.find(to)?);
        state.tick()?;
        state.change(Change::Names(vec![(from, old, None), (to, new, Some(inode))]));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.seen.find(path)?;
        if state.faults.unremovable.as_deref() == Some(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (directory, name) = folder_and_name(path)?;
        let directory = state.seen.find(directory)?;
        state.tick()?;
        state.change(Change::Names(vec![(directory, name, None)]));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.remove_file(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let directory = state.seen.find(directory)?;
        state.tick()?;
        state.sync_outcome()?;
        state.sync(
            |change| matches!(change, Change::Names(names) if names.iter().any(|(parent, ..)| *parent == directory)),
        );
        Ok(())
    }
}

impl OpenFile for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        state.tick_read()?;
        let content = state.seen.content(self.inode)?;
        let rest = content.get(offset as usize..).unwrap_or_default();
        let mut count = rest.len().min(buffer.len());
        if let Some((_, bad)) = state.faults.unreadable.as_ref().filter(|(inode, _)| *inode == self.inode) {
            if bad.contains(&offset) {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            // What is before it is read.
            count = if offset < bad.start { count.min((bad.start - offset) as usize) } else { count };
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if !self.is_writable {
            return Err(io::Error::from_raw_os_error(EBADF));
        }
        let mut state = self.state()?;
        let outcome = state.tick();
        let new = (offset + bytes.len() as u64).saturating_sub(state.seen.content(self.inode)?.len() as u64);
        let beyond = new.saturating_sub(state.free()) as usize;
        let (written, outcome) = match outcome {
            Err(error) => (state.torn(bytes.len()), Err(error)),
            Ok(()) if beyond > 0 => (bytes.len() - beyond, Err(io::ErrorKind::StorageFull.into())),
            Ok(()) => (bytes.len(), Ok(())),
        };
        if written > 0 {
            state.change(Change::Write { file: self.inode, offset, bytes: bytes[..written].to_vec() });
        }
        outcome
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.tick()?;
        state.change(Change::SetLen { file: self.inode, len });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.wait_while(|hang| hang == Hang::Syncs);
        let mut state = self.state()?;
        let is_of_file = |change: &Change| match change {
            Change::Write { file, .. } | Change::SetLen { file, .. } => *file == self.inode,
            Change::Names(_) => false,
        };
        let outcome = state.tick().and_then(|()| state.sync_outcome());
        if outcome.is_ok() {
            state.sync(is_of_file);
        } else {
            state.unsynced.retain(|change| !is_of_file(change));
        }
        outcome
    }
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.boot == self.boot { Ok(state) } else { Err(io::Error::other("a file of an earlier start")) }
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locked.remove(&self.inode);
        }
    }
}
