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
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use uuid::Uuid;

use context::Context;
pub(crate) use store::{Source, SpoolRead};
use worker::Worker;

use crate::batch::{Batch, EncodedMessage};
use crate::error::SpoolError;
use crate::file_system::{FileSystem, HostFileSystem};
use crate::observer::{Event, Observer};
use crate::outbox::Outbox;
use crate::settings::SpoolSettings;
use crate::status::SpoolStatus;

/// Time until a disk that refused messages is tried again.
const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Time after which a write that has not ended counts as refused. Should it end after all, what was delivered meanwhile
/// is passed over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// As `WRITE_TIMEOUT`, after the outbox was closed: what is left of the time for the end is for the delivery from memory.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

/// A read that was asked for.
pub(crate) type PendingRead = worker::Answer<Option<SpoolRead>>;

/// What the disk said when it was asked for messages.
#[derive(Debug)]
pub(crate) enum ReadAnswer {
    Found(SpoolRead),
    /// There are none.
    Nothing,
    /// There are some that cannot be read now.
    Later,
}

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
    /// The batch that was written last, and the highest number that was written before it.
    newest: Mutex<Option<(u64, Vec<EncodedMessage>)>>,
    finished: AtomicBool,
    changed: Notify,
}

impl Spool {
    /// The spool in the directory of `settings`, for the messages of `instance_id`. Files are opened when they are needed.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(settings: SpoolSettings, instance_id: Uuid, observer: Arc<dyn Observer>) -> Result<Self, SpoolError> {
        Self::start_on(Arc::new(HostFileSystem), settings, instance_id, observer)
    }

    /// As [`start`](Self::start), on a file system of any kind.
    pub(crate) fn start_on(
        file_system: Arc<dyn FileSystem>,
        settings: SpoolSettings,
        instance_id: Uuid,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SpoolError> {
        let context = Context::new(file_system, observer);
        let worker = Worker::start(settings, instance_id, context.clone())
            .map_err(|source| SpoolError { operation: "start the thread of the spool", source })?;
        Ok(Self { instance_id, worker, context, shared: Arc::default() })
    }

    /// Carries messages from `outbox` to the disk until the outbox is closed and empty, or closed while the disk fails. Ends
    /// within a second of the closing if the disk hangs.
    pub async fn fill_from(self, outbox: Outbox) {
        let mut failed_before = false;
        while let Some(batch) = outbox.next_batch().await {
            let mut appending = pin!(self.worker.append(batch.messages.clone()));
            let appended = tokio::select! {
                appended = &mut appending => Some(appended),
                () = time_is_up(&outbox) => None,
            };
            match appended {
                Some(Ok(losses)) => {
                    self.note_written(&batch);
                    outbox.report(losses);
                    outbox.release(batch);
                    if std::mem::take(&mut failed_before) {
                        self.context.observe(Event::SpoolRecovered);
                    }
                    self.context.observe(Event::SpoolWritten);
                    self.shared.changed.notify_waiters();
                }
                Some(Err(error)) => {
                    self.refuse(batch, error, &outbox, &mut failed_before);
                    tokio::select! {
                        () = sleep(RETRY_PERIOD) => outbox.bypass_disk(false),
                        () = outbox.closed() => break,
                    }
                }
                None => {
                    let hangs = io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer");
                    self.refuse(batch, hangs, &outbox, &mut failed_before);
                    tokio::select! {
                        // It is tried again once the thread answers. Should it have written the batch, the log has it.
                        appended = &mut appending => {
                            outbox.report(appended.unwrap_or_default());
                            outbox.bypass_disk(false);
                        }
                        () = outbox.closed() => break,
                    }
                }
            }
        }
        self.shared.finished.store(true, Ordering::Relaxed);
        self.shared.changed.notify_waiters();
    }

    fn note_written(&self, batch: &Batch) {
        let last = batch.last_sequence().unwrap_or(0);
        let after = self.shared.written.fetch_max(last, Ordering::Relaxed);
        *self.newest() = Some((after, batch.messages.clone()));
    }

    fn refuse(&self, batch: Batch, source: io::Error, outbox: &Outbox, failed_before: &mut bool) {
        outbox.give_back(batch);
        outbox.bypass_disk(true);
        let error = SpoolError { operation: "write to the spool", source };
        let is_first = !std::mem::replace(failed_before, true);
        self.context.observe(Event::SpoolFailed { error: &error, is_first });
    }

    fn newest(&self) -> MutexGuard<'_, Option<(u64, Vec<EncodedMessage>)>> {
        self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the disk for its next messages.
    pub(crate) fn read(&self, source: Source) -> PendingRead {
        self.worker.read(source)
    }

    /// Waits until the disk has answered. The answer is not lost if this is given up.
    pub(crate) async fn answer(&self, read: &mut PendingRead) -> ReadAnswer {
        match worker::wait_for(read).await {
            Ok(Some(found)) => ReadAnswer::Found(found),
            Ok(None) => ReadAnswer::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ReadAnswer::Later,
            Err(error) => {
                self.context.observe(Event::ReadFailed { error: &error });
                ReadAnswer::Nothing
            }
        }
    }

    /// The messages of this instance after number `read`, if none but the batch that was written last are on disk. They are
    /// at hand though the disk hangs.
    pub(crate) fn newest_after(&self, read: u64) -> Option<SpoolRead> {
        let newest = self.newest();
        let (_, messages) = newest.as_ref().filter(|(after, _)| *after <= read)?;
        let messages: Vec<_> = messages.iter().filter(|message| message.sequence > read).cloned().collect();
        let (instance_id, acknowledged) = (self.instance_id, read);
        (!messages.is_empty()).then_some(SpoolRead { instance_id, acknowledged, messages, losses: Vec::new() })
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

/// Waits until a write that has not ended counts as refused.
async fn time_is_up(outbox: &Outbox) {
    let closing = async {
        outbox.closed().await;
        sleep(CLOSING_TIMEOUT).await;
    };
    tokio::select! {
        () = sleep(WRITE_TIMEOUT) => {}
        () = closing => {}
    }
}
