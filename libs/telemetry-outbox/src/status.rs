//! How much waits.

/// What the outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStatus {
    /// Messages that are not acknowledged, in flight or waiting.
    pub messages: usize,
    /// Bytes of memory they take.
    pub bytes: usize,
    /// Numbers without a message since the start: given up, or never valid.
    pub lost: u64,
    /// Those of `lost` that no gap record names yet.
    pub unreported: u64,
}

/// What is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolStatus {
    /// Bytes of all messages in files, those retained after their acknowledgement included.
    pub bytes: u64,
    /// Messages of this instance that are on disk and not acknowledged.
    pub waiting: u64,
    /// Earlier instances whose messages are not all delivered.
    pub leftovers: usize,
}

/// What waits in memory and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BacklogStatus {
    /// In memory.
    pub outbox: OutboxStatus,
    /// On disk, if there is a spool.
    pub spool: Option<SpoolStatus>,
}

impl BacklogStatus {
    /// Bytes of all that waits or is retained.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.outbox.bytes as u64 + self.spool.map_or(0, |spool| spool.bytes)
    }

    /// Messages of this instance that wait.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.outbox.messages as u64 + self.spool.map_or(0, |spool| spool.waiting)
    }
}
