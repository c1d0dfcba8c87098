//! The file operations that the spool uses, as a trait, so that tests run against a simulated disk.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[cfg(test)]
pub(crate) mod simulated;

/// A tree of directories and files.
pub(crate) trait FileSystem: Debug + Send + Sync {
    /// Makes a directory and those above it. It is no error if they are there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// What is in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// The size of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// When a file, or the list of what is in a directory, last changed.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;
    /// Whether there is something at `path`.
    fn exists(&self, path: &Path) -> bool;
    /// Opens a file. It stays usable if it is renamed or removed.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn OpenFile>>;
    /// Locks a file, which is made if it is not there; `None` when somebody else has the lock.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
    /// Renames a file or a directory. A file at `to` is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory survive a power failure.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// To read what is there.
    Read,
    /// To read and write an empty file: a file that is there is emptied.
    New,
    /// To read and write what is there; the file is made if it is not.
    Update,
    /// To read and write what is there.
    Existing,
}

/// A file that is open.
pub(crate) trait OpenFile: Debug + Send {
    /// Reads from `offset` on: fewer bytes than `buffer` takes at the end of the file, none after it.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` from `offset` on. After an error a part of them may be written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file, or extends it by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the content survive a power failure.
    fn sync_data(&self) -> io::Result<()>;
}

/// Held until it is dropped, or the process ends, however it does.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: Box<dyn Debug + Send>,
}

impl Lock {
    fn of(held: impl Debug + Send + 'static) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// The file system of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostFileSystem;

impl FileSystem for HostFileSystem {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn OpenFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match how {
            Open::Read => &mut options,
            Open::New => options.write(true).create(true).truncate(true),
            Open::Update => options.write(true).create(true).truncate(false),
            Open::Existing => options.write(true),
        };
        Ok(Box::new(options.open(path)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock::of(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

impl OpenFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }
}
