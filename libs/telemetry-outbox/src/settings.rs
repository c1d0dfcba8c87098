//! How much is kept, where, and what is given up first.

use std::path::PathBuf;
use std::time::Duration;

use crate::batch::Encoding;

/// What is given up when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest messages: what is left has no holes.
    DropOldest,
    /// Samples in between: what is left spans the whole outage, with every second sample, then every fourth, and so on.
    Decimate,
}

/// How messages are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxSettings {
    /// Bytes of memory that waiting messages may take. One message is kept even if it is larger.
    pub max_bytes: usize,
    /// What is given up when there is no room.
    pub on_full: OnFull,
    /// How messages are written.
    pub encoding: Encoding,
}

/// Where and how messages are kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory. It is made if it is not there.
    pub directory: PathBuf,
    /// Bytes that the logs of all starts may take on disk.
    pub max_bytes: u64,
    /// When what was written is synced to the disk.
    pub sync: SyncPolicy,
    /// How long messages are kept after their acknowledgement, for a destination that may lose them again.
    pub retain: Duration,
    /// What is given up when there is no room.
    pub on_full: OnFull,
}

/// When written messages are synced to the disk (`fdatasync`), so that they survive a power failure. Messages survive the
/// end of the process without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before a message is offered to the destination.
    Always,
    /// At most this long after it was written.
    Within(Duration),
    /// Whenever the operating system does it.
    Never,
}
