//! Access to the host's files: below `/` in production, below a recorded tree in tests.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::errors::{Cause, TelemetryError, TelemetryResult};

/// Initial buffer size. It holds the `/proc/stat` of a host with about 40 CPUs.
const INITIAL_BUFFER_BYTES: usize = 8 * 1024;

/// The directory that contains the host's `/proc`, `/sys` and `/etc`.
///
/// Its methods take relative paths, without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoot(PathBuf);

impl HostRoot {
    /// The host whose files are below `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    pub(super) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.0.join(relative)
    }

    pub(super) fn has(&self, relative: impl AsRef<Path>) -> bool {
        self.path(relative).exists()
    }

    /// The content of a text file, trimmed.
    pub(super) fn text(&self, relative: impl AsRef<Path>) -> io::Result<String> {
        let text = fs::read_to_string(self.path(relative))?;
        Ok(text.trim().to_owned())
    }

    /// The number that a sysfs file contains.
    pub(super) fn number<N: FromStr>(&self, relative: impl AsRef<Path>) -> io::Result<N> {
        let text = self.text(relative)?;
        text.parse().map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("{text:?} is not a number")))
    }
}

impl Default for HostRoot {
    /// The host this process runs on.
    fn default() -> Self {
        Self::new("/")
    }
}

/// A file that stays open and is read repeatedly from its start, with one system call per reading.
///
/// It is meant for files whose content the kernel generates on each read at offset 0, such as `/proc/stat`.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl KeptFile {
    /// Does not open the file yet. Opening it is part of a reading, so a file that is missing now may be read later.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, buffer: vec![0; INITIAL_BUFFER_BYTES] }
    }

    /// Reads the file and passes its bytes to `parse`. Reports a failure of either as a collection error of `metric`.
    pub(super) fn collect<T, E: Into<Cause>>(
        &mut self,
        metric: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> TelemetryResult<T> {
        let outcome = self.read().map_err(Cause::from).and_then(|bytes| parse(bytes).map_err(Into::into));
        outcome.map_err(|source| TelemetryError::collection(metric, Unreadable { path: self.path.clone(), source }))
    }

    /// The current content of the file.
    fn read(&mut self) -> io::Result<&[u8]> {
        let file = match &mut self.file {
            Some(file) => file,
            closed => closed.insert(File::open(&self.path)?),
        };
        loop {
            match file.read_at(&mut self.buffer, 0) {
                Ok(length) if length < self.buffer.len() => return Ok(&self.buffer[..length]),
                // A full buffer may have truncated the file. Read it again as a whole: joining two reads would mix two
                // points in time.
                Ok(_) => self.buffer.resize(self.buffer.len() * 2, 0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.file = None;
                    return Err(error);
                }
            }
        }
    }
}

/// A file that could not be read or parsed.
#[derive(Debug, Error)]
#[error("cannot read {}", path.display())]
struct Unreadable {
    path: PathBuf,
    #[source]
    source: Cause,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_returns_the_current_content_at_each_reading() {
        let directory = tempfile::tempdir().unwrap();
        let root = HostRoot::new(directory.path());
        let mut kept = KeptFile::new(root.path("file"));
        assert_eq!(kept.read().unwrap_err().kind(), ErrorKind::NotFound);

        for length in [0, 10, INITIAL_BUFFER_BYTES, 5 * INITIAL_BUFFER_BYTES + 1, 3] {
            let content: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            fs::write(root.path("file"), &content).unwrap();
            assert!(kept.read().unwrap() == content, "{length} bytes");
        }
    }

    #[test]
    fn rejects_text_that_is_not_a_number() {
        let directory = tempfile::tempdir().unwrap();
        let root = HostRoot::new(directory.path());
        fs::write(root.path("khz"), "<unknown>\n").unwrap();

        let error = root.number::<u64>("khz").unwrap_err();

        assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidData, "\"<unknown>\" is not a number".into()));
    }
}
