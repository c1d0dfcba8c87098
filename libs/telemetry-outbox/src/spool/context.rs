//! What all parts of the spool need.

use std::sync::Arc;

use crate::file_system::FileSystem;
use crate::observer::{Event, Observer};

/// The file system and the observer.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) file_system: Arc<dyn FileSystem>,
    observer: Arc<dyn Observer>,
}

impl Context {
    pub(super) fn new(file_system: Arc<dyn FileSystem>, observer: Arc<dyn Observer>) -> Self {
        Self { file_system, observer }
    }

    pub(super) fn observe(&self, event: Event<'_>) {
        self.observer.observe(event);
    }
}
