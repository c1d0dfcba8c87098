//! How far a log was acknowledged, on disk, so that the next start does not send everything again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::file_system::{FileSystem, Open, OpenFile};

pub(super) const FILE: &str = "cursor";

/// The file that says up to which number a log is acknowledged: the number and its checksum.
///
/// It is not synced: after a loss of power it may be late, and then some messages go out once more.
#[derive(Debug)]
pub(super) struct Cursor {
    file_system: Arc<dyn FileSystem>,
    path: PathBuf,
    file: Option<Box<dyn OpenFile>>,
}

impl Cursor {
    pub(super) fn of(directory: &Path, file_system: Arc<dyn FileSystem>) -> Self {
        Self { file_system, path: directory.join(FILE), file: None }
    }

    /// The number; 0, which sends everything, when the file is missing or damaged.
    pub(super) fn read(&self) -> u64 {
        let mut content = [0; 12];
        let file = self.file_system.open(&self.path, Open::Read);
        let Ok(12) = file.and_then(|file| file.read_at(&mut content, 0)) else { return 0 };
        let sequence = u64::from_le_bytes(std::array::from_fn(|index| content[index]));
        if content == Self::content(sequence) { sequence } else { 0 }
    }

    pub(super) fn write(&mut self, sequence: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.file_system.open(&self.path, Open::Update)?),
        };
        file.write_all_at(&Self::content(sequence), 0)
    }

    /// When the number was last written, if it ever was.
    pub(super) fn written_at(&self) -> Option<SystemTime> {
        self.file_system.modified(&self.path).ok()
    }

    /// Closes the file until it is used again.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    fn content(sequence: u64) -> [u8; 12] {
        let number = sequence.to_le_bytes();
        let checksum = crc32fast::hash(&number).to_le_bytes();
        std::array::from_fn(|index| if index < 8 { number[index] } else { checksum[index - 8] })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file_system::HostFileSystem;

    fn cursor_of(directory: &Path) -> Cursor {
        Cursor::of(directory, Arc::new(HostFileSystem))
    }

    #[test]
    fn the_number_is_read_as_it_was_written_and_damage_counts_as_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(cursor_of(directory.path()).read(), 0);
        let mut cursor = cursor_of(directory.path());
        cursor.write(7).unwrap();
        cursor.write(300).unwrap();
        assert_eq!(cursor_of(directory.path()).read(), 300);

        let path = directory.path().join(FILE);
        let mut content = fs::read(&path).unwrap();
        content[0] ^= 1;
        fs::write(&path, content).unwrap();
        assert_eq!(cursor_of(directory.path()).read(), 0);
    }
}
