//! Messages on disk, so that they survive the process and an outage of any length that fits.
//!
//! Each message is appended to the spool before it is offered to the destination, and released once acknowledged. Every
//! start has a log of its own; the next start delivers the log of one that has ended. The [crate](crate) documents the
//! layout on disk.
//!
//! A disk that is full, read-only or gone costs durability alone: messages then stay in the outbox and are delivered from
//! there, until the disk takes them again.

mod context;
mod cursor;
mod given_up;
mod leftovers;
mod log;
mod record;
mod segment;
#[cfg(test)]
mod simulation;
mod store;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use context::Context;
pub(crate) use store::{Source, SpoolRead};
use worker::Worker;

use crate::batch::Batch;
use crate::error::SpoolError;
use crate::file_system::HostFileSystem;
use crate::loss::Loss;
use crate::observer::{Event, Observer};
use crate::outbox::Outbox;
use crate::settings::SpoolSettings;
use crate::status::SpoolStatus;

/// Time until a disk that refused messages is tried again.
const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Time after which a write that has not ended counts as refused. Should it end after all, what was delivered meanwhile
/// is passed over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages on disk. A clone is the same spool.
#[derive(Debug, Clone)]
pub struct Spool {
    instance_id: Uuid,
    worker: Worker,
    context: Context,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The highest number of this instance that is on disk.
    written: AtomicU64,
    /// The highest number of this instance that the destination acknowledged.
    acknowledged: AtomicU64,
    failing: AtomicBool,
    finished: AtomicBool,
    changed: Notify,
}

impl Spool {
    /// The spool in the directory of `settings`, for the messages of `instance_id`. Files are opened when they are needed.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(settings: SpoolSettings, instance_id: Uuid, observer: Arc<dyn Observer>) -> Result<Self, SpoolError> {
        let context = Context::new(Arc::new(HostFileSystem), observer);
        let worker = Worker::start(settings, instance_id, context.clone())
            .map_err(|source| SpoolError { operation: "start the thread of the spool", source })?;
        Ok(Self { instance_id, worker, context, shared: Arc::default() })
    }

    /// Carries messages from `outbox` to the disk until the outbox is closed and empty, or closed while the disk fails.
    pub async fn fill_from(self, outbox: Outbox) {
        let mut failed_before = false;
        while let Some(batch) = outbox.next_batch().await {
            match self.append(&batch).await {
                Ok(losses) => {
                    self.shared.written.fetch_max(batch.last_sequence().unwrap_or(0), Ordering::Relaxed);
                    outbox.report(losses);
                    outbox.acknowledge(batch);
                    if std::mem::take(&mut failed_before) {
                        self.context.observe(Event::SpoolRecovered);
                    }
                    self.context.observe(Event::SpoolWritten);
                    self.shared.changed.notify_waiters();
                }
                Err(error) => {
                    outbox.give_back(batch);
                    self.shared.failing.store(true, Ordering::Relaxed);
                    self.shared.changed.notify_waiters();
                    let is_first = !std::mem::replace(&mut failed_before, true);
                    self.context.observe(Event::SpoolFailed { error: &error, is_first });
                    tokio::select! {
                        () = sleep(RETRY_PERIOD) => self.shared.failing.store(false, Ordering::Relaxed),
                        () = outbox.closed() => break,
                    }
                }
            }
        }
        self.shared.finished.store(true, Ordering::Relaxed);
        self.shared.changed.notify_waiters();
    }

    async fn append(&self, batch: &Batch) -> Result<Vec<Loss>, SpoolError> {
        let hangs = |_| io::Error::new(io::ErrorKind::TimedOut, format!("the disk took longer than {WRITE_TIMEOUT:?}"));
        let appended = timeout(WRITE_TIMEOUT, self.worker.append(batch.messages.clone())).await;
        let appended = appended.map_err(hangs).and_then(|answered| answered);
        appended.map_err(|source| SpoolError { operation: "write to the spool", source })
    }

    /// The next messages from disk, if there are any.
    pub(crate) async fn read(&self, source: Source) -> Option<SpoolRead> {
        match self.worker.read(source).await {
            Ok(found) => found,
            Err(error) => {
                self.context.observe(Event::ReadFailed { error: &error });
                None
            }
        }
    }

    /// Notes that the destination has all messages of an instance up to `sequence`.
    pub(crate) fn acknowledge(&self, instance_id: Uuid, sequence: u64) {
        if instance_id == self.instance_id {
            self.shared.acknowledged.store(sequence, Ordering::Relaxed);
        }
        self.worker.acknowledge(instance_id, sequence);
    }

    /// Goes back to what comes after `newest`. The lowest number that is still there, if there is anything.
    pub(crate) async fn rewind(&self, instance_id: Uuid, newest: u64) -> Option<u64> {
        if instance_id == self.instance_id {
            self.shared.acknowledged.fetch_min(newest, Ordering::Relaxed);
        }
        self.worker.rewind(instance_id, newest).await.unwrap_or_default()
    }

    /// The highest number of this instance that is on disk.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Whether the disk refused messages and is not tried again yet, so that those in the outbox go on without it.
    pub(crate) fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_finished(&self) -> bool {
        self.shared.finished.load(Ordering::Relaxed)
    }

    /// Waits until more is on disk, or the disk fails, or nothing more will come. Begins to listen at once.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.shared.changed.notified()
    }

    /// What is on disk.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let waiting = self.written().saturating_sub(self.shared.acknowledged.load(Ordering::Relaxed));
        SpoolStatus { waiting, ..self.worker.status() }
    }

    /// Makes everything that was written outlast a loss of power, as far as the settings want that.
    pub async fn close(&self) {
        if let Err(error) = self.worker.close().await {
            self.context.observe(Event::SyncFailed { error: &error });
        }
    }
}
