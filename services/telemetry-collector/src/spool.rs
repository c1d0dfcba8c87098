//! The disk behind the outbox: what is written there survives the process, and an outage of any length that fits.
//!
//! Each message is appended to the spool before it is offered to the destination, and released once acknowledged. Every
//! start of the collector has a log of its own, a folder named by its instance; the log of a start that has ended is
//! delivered by the next one. Two collectors can share a directory: a log that is in use is locked.
//!
//! ```text
//! <directory>/<instance_id>/00000000000000000001.log …    segments, named by their first number
//!                           cursor                        the highest number that was acknowledged
//!                           lock                          held while the instance runs
//! ```
//!
//! A disk that is full, read-only or gone costs durability alone: messages then stay in the outbox and go on from there,
//! until the disk takes them again.

mod cursor;
mod log;
mod record;
mod segment;
mod store;
mod worker;

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use telemetry_proto::v1::HealthStatus;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

pub(crate) use store::{Of, Stretch};
use worker::Worker;

use crate::batch::Batch;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::HealthReporter;
use crate::models::{GapReason, GapRecord};
use crate::outbox::{OnFull, Outbox};

/// Time until a disk that refused messages is tried again.
const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Time after which a write that has not ended counts as refused. Should it end after all, what was delivered meanwhile
/// is passed over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where and how messages are kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder; it is made if it is not there.
    pub directory: PathBuf,
    /// Bytes that all its files may take.
    pub max_bytes: u64,
    /// When what was written is made to outlast a loss of power.
    pub sync: SyncPolicy,
    /// How long messages are kept after they were acknowledged, for a destination that loses them again.
    pub retain: Duration,
    /// What is given up when there is no room.
    pub on_full: OnFull,
}

/// When what was written is made to outlast a loss of power (`fdatasync`). The end of the process alone loses nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before a message is offered to the destination.
    Always,
    /// At most this long after it was written.
    Within(Duration),
    /// When the operating system does so by itself.
    Never,
}

/// What is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolStatus {
    /// Bytes of all messages in files, those retained after their acknowledgement included.
    pub bytes: u64,
    /// Messages of this start that are on disk and not acknowledged.
    pub waiting: u64,
    /// Earlier starts of the collector whose messages are not all delivered.
    pub left: usize,
}

/// Numbers that will never come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Whose numbers they are.
    pub instance_id: Uuid,
    /// The numbers.
    pub numbers: Vec<RangeInclusive<u64>>,
    /// Why they will not come.
    pub reason: GapReason,
}

/// Messages on disk. A clone is the same spool.
#[derive(Debug, Clone)]
pub struct Spool {
    instance_id: Uuid,
    worker: Worker,
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

impl Loss {
    /// How many numbers it is.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.numbers.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    /// What `gap`, a message of `instance_id`, tells.
    pub(crate) fn told_by(gap: &GapRecord, instance_id: Uuid) -> Self {
        let of_other = gap.instance_id.as_deref().and_then(|id| Uuid::try_parse(id).ok());
        Self {
            instance_id: of_other.unwrap_or(instance_id),
            numbers: gap.missing.iter().map(|range| range.first..=range.last).collect(),
            reason: gap.reason(),
        }
    }
}

impl Spool {
    /// The spool in the directory of `settings`, for the messages of `instance_id`. Files are opened when they are needed.
    ///
    /// # Errors
    /// [`System`](TelemetryError::System) when there is no thread to be had.
    pub fn start(settings: SpoolSettings, instance_id: Uuid) -> TelemetryResult<Self> {
        let worker = Worker::start(settings, instance_id)
            .map_err(|error| TelemetryError::system("start the thread of the spool", error))?;
        Ok(Self { instance_id, worker, shared: Arc::default() })
    }

    /// Carries messages from `outbox` to the disk until the outbox is closed and empty, or closed while the disk fails.
    pub async fn fill_from(self, outbox: Outbox, health: HealthReporter) {
        let mut failed_before = false;
        while let Some(batch) = outbox.next_batch().await {
            match self.append(&batch).await {
                Ok(losses) => {
                    self.shared.written.fetch_max(batch.last_sequence().unwrap_or(0), Ordering::Relaxed);
                    outbox.report(losses);
                    outbox.acknowledge(batch);
                    if std::mem::take(&mut failed_before) {
                        events::spool_recovered();
                    }
                    health.serving();
                    self.shared.changed.notify_waiters();
                }
                Err(error) => {
                    outbox.give_back(batch);
                    self.shared.failing.store(true, Ordering::Relaxed);
                    self.shared.changed.notify_waiters();
                    events::spool_failed(&error, !std::mem::replace(&mut failed_before, true));
                    health.failing(HealthStatus::Degraded, &error);
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

    async fn append(&self, batch: &Batch) -> TelemetryResult<Vec<Loss>> {
        let hangs = |_| io::Error::new(io::ErrorKind::TimedOut, format!("the disk took longer than {WRITE_TIMEOUT:?}"));
        let appended = timeout(WRITE_TIMEOUT, self.worker.append(batch.messages.clone())).await;
        let appended = appended.map_err(hangs).and_then(|answered| answered);
        appended.map_err(|error| TelemetryError::system("write to the spool", error))
    }

    /// The next messages from disk, if there are any.
    pub(crate) async fn read(&self, of: Of) -> Option<Stretch> {
        match self.worker.read(of).await {
            Ok(stretch) => stretch,
            Err(error) => {
                events::spool_not_read(&error);
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
            events::spool_not_synced(&error);
        }
    }
}
