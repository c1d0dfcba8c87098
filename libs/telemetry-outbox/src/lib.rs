//! Keeps telemetry messages until their destination has acknowledged them.

mod backlog;
mod batch;
mod error;
mod file_system;
mod loss;
mod observer;
mod outbox;
mod settings;
mod spool;
mod status;
#[cfg(test)]
mod testing;

pub use backlog::{Arrivals, Backlog};
pub use batch::{BATCH_MAX_BYTES, BATCH_MAX_MESSAGES, Batch, EncodedMessage, Encoding};
pub use error::SpoolError;
pub use loss::Loss;
pub use observer::{Event, NoObserver, Observer};
pub use outbox::{Outbox, Stamper};
pub use settings::{OnFull, OutboxSettings, SpoolSettings, SyncPolicy};
pub use spool::Spool;
pub use status::{BacklogStatus, OutboxStatus, SpoolStatus};
