//! Slow readings, taken on their own schedule and on a blocking thread so that they never delay a sample.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task;
use tracing::{debug, warn};

use super::STAT;
use super::frequency::Frequencies;
use super::temperature::Temperatures;
use super::times::CpuTimes;
use crate::collectors::host_root::KeptFile;
use crate::collectors::virtualization::hypervisor;
use crate::collectors::{HostRoot, ProcessorIdentity, Reading, SystemInfo};
use crate::errors::{TelemetryResult, report};
use crate::models::UnavailableReason;

/// Values that change slowly or are slow to read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SlowReadings {
    pub(super) processor: ProcessorIdentity,
    pub(super) frequencies: Frequencies,
    pub(super) temperatures: Temperatures,
}

/// The latest slow readings, and the schedule of the next ones.
pub(super) struct SlowPace {
    reader: Arc<SlowReader>,
    cadence: Duration,
    /// When the latest readings were started; `None` if new ones are due regardless of the cadence.
    started: Option<Instant>,
    in_progress: Option<oneshot::Receiver<TelemetryResult<SlowReadings>>>,
    latest: Reading<SlowReadings>,
}

impl SlowPace {
    pub(super) fn new(root: HostRoot, system: Arc<dyn SystemInfo>, cadence: Duration) -> Self {
        let reader = SlowReader { root, system, kept: Mutex::default() };
        Self {
            reader: Arc::new(reader),
            cadence,
            started: None,
            in_progress: None,
            latest: Err(UnavailableReason::Pending),
        }
    }

    /// The latest readings. Accepts completed readings and starts new ones when they are due. Never waits.
    pub(super) fn latest(&mut self) -> Reading<&SlowReadings> {
        let cadence_elapsed = self.started.map(|started| started.elapsed() >= self.cadence);
        if let Some(in_progress) = &mut self.in_progress {
            match in_progress.try_recv() {
                Ok(outcome) => self.finish(Some(outcome)),
                Err(TryRecvError::Closed) => self.finish(None),
                // The reader hangs in the kernel, and its previous readings are too old to be reported as current.
                Err(TryRecvError::Empty) if cadence_elapsed == Some(true) => {
                    self.latest = Err(UnavailableReason::ReadFailed)
                }
                Err(TryRecvError::Empty) => {}
            }
        }
        if cadence_elapsed != Some(false) && self.in_progress.is_none() {
            self.start();
        }
        self.latest.as_ref().map_err(|reason| *reason)
    }

    /// Waits for the readings in progress, or else for new ones.
    pub(super) async fn refresh(&mut self) {
        let in_progress = match self.in_progress.take() {
            Some(in_progress) => self.in_progress.insert(in_progress),
            None => self.start(),
        };
        let outcome = in_progress.await.ok();
        self.finish(outcome);
    }

    /// Makes new readings due at once: the set of online CPUs changed.
    pub(super) fn expire(&mut self) {
        self.started = None;
    }

    fn start(&mut self) -> &mut oneshot::Receiver<TelemetryResult<SlowReadings>> {
        self.started = Some(Instant::now());
        let (sender, receiver) = oneshot::channel();
        let reader = Arc::clone(&self.reader);
        // The task is not joined: if it panics, the sender is dropped, which counts as a failed reading.
        task::spawn_blocking(move || {
            // The receiver is gone once the collector has been dropped.
            sender.send(reader.read()).ok();
        });
        self.in_progress.insert(receiver)
    }

    fn finish(&mut self, outcome: Option<TelemetryResult<SlowReadings>>) {
        self.in_progress = None;
        self.latest = match outcome {
            Some(Ok(readings)) => Ok(readings),
            Some(Err(error)) => {
                debug!(error = report(&error), "slow readings failed");
                Err(UnavailableReason::ReadFailed)
            }
            None => {
                warn!("slow readings panicked or were cancelled");
                Err(UnavailableReason::ReadFailed)
            }
        };
    }
}

/// Takes the readings on the calling thread.
struct SlowReader {
    root: HostRoot,
    system: Arc<dyn SystemInfo>,
    kept: Mutex<Kept>,
}

/// State that is kept between readings.
#[derive(Default)]
struct Kept {
    on_virtual_machine: Option<bool>,
    /// The CPUs that were online when the identity was read, and the identity.
    processor: Option<(Vec<u32>, ProcessorIdentity)>,
}

impl SlowReader {
    fn read(&self) -> TelemetryResult<SlowReadings> {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.root.has(STAT) {
            return Ok(self.read_from_system());
        }
        let cores = self.online_cores()?;
        let on_virtual_machine = *kept.on_virtual_machine.get_or_insert_with(|| hypervisor(&self.root).is_some());
        let missing_reason =
            |on_bare_metal| if on_virtual_machine { UnavailableReason::VirtualMachine } else { on_bare_metal };
        let processor = match kept.processor.take() {
            Some((of, processor)) if of == cores => processor,
            _ => self.system.processor(),
        };
        kept.processor = Some((cores.clone(), processor.clone()));
        Ok(SlowReadings {
            processor,
            frequencies: Frequencies::read(&self.root, &cores, missing_reason(UnavailableReason::NotSupported)),
            temperatures: Temperatures::read(
                &self.root,
                &*self.system,
                &cores,
                missing_reason(UnavailableReason::NoSensor),
            ),
        })
    }

    /// Reads a host without `/proc`.
    fn read_from_system(&self) -> SlowReadings {
        let frequencies = Frequencies::from_system(&*self.system);
        let cores: Vec<u32> = (0..).zip(frequencies.cores.readings()).map(|(core, _)| core).collect();
        SlowReadings {
            processor: self.system.processor(),
            frequencies,
            temperatures: Temperatures::read(&self.root, &*self.system, &cores, UnavailableReason::NoSensor),
        }
    }

    fn online_cores(&self) -> TelemetryResult<Vec<u32>> {
        let mut times = CpuTimes::default();
        KeptFile::new(self.root.path(STAT)).collect("the list of CPUs", |text| times.parse(text))?;
        Ok(times.cores.iter().map(|(core, _)| *core).collect())
    }
}
