//! What all parts of the spool need.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::file_system::FileSystem;
use crate::observer::{Event, Observer};

/// Time until a read that failed is tried again.
const READ_RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Time until logs that could not be found or opened are looked for again.
const OPEN_RETRY_PERIOD: Duration = Duration::from_secs(10);

/// Does all of `steps`, and gives out the first error.
pub(super) fn all(steps: impl IntoIterator<Item = io::Result<()>>) -> io::Result<()> {
    steps.into_iter().fold(Ok(()), Result::and)
}

/// The file system and the observer.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) file_system: Arc<dyn FileSystem>,
    observer: Arc<dyn Observer>,
    /// Time until a read that failed is tried again.
    pub(super) read_retry_period: Duration,
    /// Time until logs that could not be found or opened are looked for again.
    pub(super) open_retry_period: Duration,
}

impl Context {
    pub(super) fn new(file_system: Arc<dyn FileSystem>, observer: Arc<dyn Observer>) -> Self {
        let (read_retry_period, open_retry_period) = (READ_RETRY_PERIOD, OPEN_RETRY_PERIOD);
        Self { file_system, observer, read_retry_period, open_retry_period }
    }

    /// The same, but what failed is tried again at the next call.
    #[cfg(test)]
    pub(super) fn retrying_at_once(self) -> Self {
        Self { read_retry_period: Duration::ZERO, open_retry_period: Duration::ZERO, ..self }
    }

    pub(super) fn observe(&self, event: Event<'_>) {
        self.observer.observe(event);
    }
}
