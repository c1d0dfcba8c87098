//! Values that are made of files, and made again when the files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::error::{InvalidSetting, Problem};
use crate::observer::{Event, Observer};
use crate::settings::Setting;

/// How often files are looked at.
const POLL_PERIOD: Duration = Duration::from_secs(2);
/// Most bytes of a file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A value that is made of files.
pub(crate) trait FromFiles: Sized + Send + Sync + 'static {
    /// Which files.
    type Files: Clone + Send + Sync + 'static;

    /// The setting that its files belong to.
    const SETTING: Setting;

    fn paths(files: &Self::Files) -> Vec<PathBuf>;

    /// Reads the files. `previous` is the value in force.
    fn load(files: &Self::Files, previous: Option<&Self>) -> Result<Self, InvalidSetting>;

    /// It is in force instead of `previous` now.
    fn replaces(&self, _previous: &Self) {}
}

/// The value of the files as they are, or as they were when they could be used last.
#[derive(Debug)]
pub(crate) struct Reloaded<T: FromFiles> {
    files: T::Files,
    current: watch::Sender<Arc<T>>,
    seen: Vec<Option<State>>,
}

/// What changes with each change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T: FromFiles> Reloaded<T> {
    pub(crate) fn load(files: T::Files) -> Result<Self, InvalidSetting> {
        let seen = states(&T::paths(&files));
        let current = watch::Sender::new(Arc::new(T::load(&files, None)?));
        Ok(Self { files, current, seen })
    }

    pub(crate) fn reader(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// Makes the value again whenever a file changes. A file that cannot be used is told, and the value stays.
    pub(crate) async fn follow(mut self, observer: Arc<dyn Observer>) {
        loop {
            sleep(POLL_PERIOD).await;
            let (files, seen, previous) = (self.files.clone(), self.seen.clone(), self.current.borrow().clone());
            let looked = spawn_blocking(move || {
                let now = states(&T::paths(&files));
                let loaded = (now != seen).then(|| T::load(&files, Some(&previous)));
                (now, loaded)
            });
            let Ok((seen, loaded)) = looked.await else { continue };
            self.seen = seen;
            match loaded {
                None => {}
                Some(Ok(value)) => {
                    let value = Arc::new(value);
                    let previous = self.current.send_replace(Arc::clone(&value));
                    value.replaces(&previous);
                    observer.notify(&Event::Reloaded(T::SETTING));
                }
                Some(Err(problem)) => observer.notify(&Event::ReloadFailed(&problem)),
            }
        }
    }
}

/// The contents of `path`.
pub(crate) fn read(setting: Setting, path: &Path) -> Result<Vec<u8>, InvalidSetting> {
    let unreadable = |error| InvalidSetting::new(setting, Problem::Unreadable(path.to_owned(), error));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(damaged(setting, path, "is not a file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(damaged(setting, path, "has more than 1 MiB"));
    }
    fs::read(path).map_err(unreadable)
}

pub(crate) fn damaged(setting: Setting, path: &Path, problem: impl Into<String>) -> InvalidSetting {
    InvalidSetting::new(setting, Problem::Damaged(path.to_owned(), problem.into()))
}

fn states(paths: &[PathBuf]) -> Vec<Option<State>> {
    paths.iter().map(|path| fs::metadata(path).ok().map(|metadata| State::of(&metadata))).collect()
}

impl State {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
