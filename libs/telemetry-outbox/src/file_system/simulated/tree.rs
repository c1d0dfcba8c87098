//! Directories and files of the simulated disk, and changes of them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::Path;

pub(super) type Inode = u64;

/// What a disk writes at a time. Sectors of real disks are larger; with these, a record has several.
const SECTOR_BYTES: usize = 64;

pub(super) const ROOT: Inode = 0;

#[derive(Debug, Clone, Default)]
pub(super) struct Tree(pub(super) HashMap<Inode, Node>);

#[derive(Debug, Clone)]
pub(super) enum Node {
    Directory(BTreeMap<OsString, Inode>),
    File(Vec<u8>),
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write {
        file: Inode,
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        file: Inode,
        len: u64,
    },
    /// Names appear (`Some`) or go (`None`), all at once.
    Names(Vec<(Inode, OsString, Option<Inode>)>),
}

/// What survives of each change that was not synced, in the order of the changes.
pub(crate) trait Fate {
    /// Whether a change of a directory, or of the length of a file, survives.
    fn keeps_metadata(&mut self) -> bool;
    /// How many of the `len` bytes that were written to a sector survive.
    fn kept_bytes(&mut self, len: usize) -> usize;
}

impl Tree {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { file, offset, bytes } => {
                let content = self.content_mut(*file);
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[start..end].copy_from_slice(bytes);
            }
            Change::SetLen { file, len } => self.content_mut(*file).resize(*len as usize, 0),
            Change::Names(names) => {
                for (directory, name, inode) in names {
                    let Some(Node::Directory(names)) = self.0.get_mut(directory) else { continue };
                    match inode {
                        Some(inode) => names.insert(name.clone(), *inode),
                        None => names.remove(name),
                    };
                }
            }
        }
    }

    /// Applies what `fate` keeps of a write.
    pub(super) fn apply_part(&mut self, file: Inode, offset: u64, bytes: &[u8], fate: &mut impl Fate) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let len = self.content_mut(file).len();
        if end > len && fate.keeps_metadata() {
            self.content_mut(file).resize(end, 0);
        }
        let mut at = start;
        while at < end {
            let sector_end = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            let kept = fate.kept_bytes(sector_end - at);
            if kept > 0 {
                let bytes = bytes[at - start..][..kept].to_vec();
                self.apply(&Change::Write { file, offset: at as u64, bytes });
            }
            at = sector_end;
        }
    }

    fn content_mut(&mut self, file: Inode) -> &mut Vec<u8> {
        match self.0.entry(file).or_insert_with(|| Node::File(Vec::new())) {
            Node::File(content) => content,
            Node::Directory(_) => unreachable!("a directory is not written to"),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        path.components().skip(1).try_fold(ROOT, |inode, component| match self.0.get(&inode) {
            Some(Node::Directory(names)) => {
                names.get(component.as_os_str()).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            _ => Err(io::ErrorKind::NotADirectory.into()),
        })
    }

    pub(super) fn names(&self, directory: Inode) -> io::Result<&BTreeMap<OsString, Inode>> {
        match self.0.get(&directory) {
            Some(Node::Directory(names)) => Ok(names),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn content(&self, file: Inode) -> io::Result<&Vec<u8>> {
        match self.0.get(&file) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}
