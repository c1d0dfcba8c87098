//! What a consumer counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a consumer has counted since it started, and whether it reads now.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    duplicates: AtomicU64,
    dead_letters: AtomicU64,
    reclaimed: AtomicU64,
    connected: AtomicBool,
}

impl Counters {
    /// Messages handed to the service. A message that it returned or that comes again for another reason counts again.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.0.messages.load(Ordering::Relaxed)
    }

    /// Second copies that were dropped.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.0.duplicates.load(Ordering::Relaxed)
    }

    /// Messages that were put on the dead-letter list.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.0.dead_letters.load(Ordering::Relaxed)
    }

    /// Messages of dead consumers that this one gave back to the queue.
    #[must_use]
    pub fn reclaimed(&self) -> u64 {
        self.0.reclaimed.load(Ordering::Relaxed)
    }

    /// Whether the queue can be read now: the last read succeeded, and the connection has not failed since.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Relaxed)
    }

    pub(super) fn count_message(&self) {
        self.0.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_duplicate(&self) {
        self.0.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_dead_letter(&self) {
        self.0.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_reclaimed(&self, messages: u64) {
        self.0.reclaimed.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::Relaxed);
    }
}
