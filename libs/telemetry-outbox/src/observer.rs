//! What happens in the outbox and the spool, for logs, metrics and health.

use std::fmt;
use std::io;
use std::path::Path;

use telemetry_proto::v1::{EncodeError, GapReason};
use uuid::Uuid;

use crate::error::SpoolError;
use crate::status::OutboxStatus;

/// Receives what happens.
///
/// Calls come from the tasks that use the outbox and from the thread of the spool, some of them with the outbox locked:
/// an observer returns soon and calls nothing of this crate.
pub trait Observer: fmt::Debug + Send + Sync {
    /// `event` happened.
    fn observe(&self, event: Event<'_>);
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message breaks the schema. Its number is lost.
    MessageInvalid {
        /// The number.
        sequence: u64,
        /// What is wrong with the message.
        error: &'a EncodeError,
    },
    /// The outbox was full, and messages in it were given up.
    MessagesGivenUp {
        /// How many.
        count: u64,
        /// Which ones had to go.
        reason: GapReason,
        /// Whether all earlier losses were named in gap records before.
        is_first: bool,
        /// What the outbox holds now.
        outbox: OutboxStatus,
    },
    /// Messages in the spool were given up or found damaged.
    SpooledMessagesLost {
        /// How many.
        count: u64,
        /// Why they are lost.
        reason: GapReason,
        /// The instance whose messages they were.
        instance_id: Uuid,
    },
    /// The spool took a batch.
    SpoolWritten,
    /// The spool takes no messages. They stay in the outbox, and the spool tries again.
    SpoolFailed {
        /// What the file system said.
        error: &'a SpoolError,
        /// Whether the attempt before succeeded.
        is_first: bool,
    },
    /// The spool takes messages again.
    SpoolRecovered,
    /// Somebody removed the spool's files. They are made anew.
    SpoolRemoved {
        /// The directory of the spool.
        directory: &'a Path,
    },
    /// An earlier instance left messages. They are being delivered.
    LeftoverFound {
        /// The earlier instance.
        instance_id: Uuid,
        /// Bytes of its messages.
        bytes: u64,
    },
    /// All that an earlier instance left is delivered.
    LeftoverDelivered {
        /// The earlier instance.
        instance_id: Uuid,
    },
    /// What an earlier instance left cannot be read.
    LeftoverUnreadable {
        /// The directory of its messages.
        directory: &'a Path,
        /// What the file system said.
        error: &'a io::Error,
    },
    /// A part of the spool cannot be read. The read is tried again; a gap record names what stays unreadable.
    ReadFailed {
        /// What the file system said.
        error: &'a io::Error,
    },
    /// What was written cannot be synced: a power failure would cost the newest messages.
    SyncFailed {
        /// What the file system said.
        error: &'a io::Error,
    },
    /// Files that are not needed any more cannot be deleted, or what is acknowledged cannot be noted.
    CleanupFailed {
        /// What the file system said.
        error: &'a io::Error,
    },
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn observe(&self, _: Event<'_>) {}
}
