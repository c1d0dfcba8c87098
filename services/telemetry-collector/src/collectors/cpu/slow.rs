//! Readings that may be slow have a pace of their own, on a thread where they hold up nobody.

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

/// What changes slowly or is slow to read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SlowReadings {
    pub(super) processor: ProcessorIdentity,
    pub(super) frequencies: Frequencies,
    pub(super) temperatures: Temperatures,
}

/// The latest slow readings, and when to take the next.
pub(super) struct SlowPace {
    reader: Arc<SlowReader>,
    cadence: Duration,
    /// When the latest readings were begun; `None` when new ones are due whatever the cadence.
    begun: Option<Instant>,
    under_way: Option<oneshot::Receiver<TelemetryResult<SlowReadings>>>,
    latest: Reading<SlowReadings>,
}

impl SlowPace {
    pub(super) fn new(root: HostRoot, system: Arc<dyn SystemInfo>, cadence: Duration) -> Self {
        let reader = SlowReader { root, system, kept: Mutex::default() };
        Self {
            reader: Arc::new(reader),
            cadence,
            begun: None,
            under_way: None,
            latest: Err(UnavailableReason::Pending),
        }
    }

    /// The latest readings. Takes over those that are done and starts those that are due; waits for nothing.
    pub(super) fn latest(&mut self) -> Reading<&SlowReadings> {
        let a_cadence_ago = self.begun.map(|begun| begun.elapsed() >= self.cadence);
        if let Some(under_way) = &mut self.under_way {
            match under_way.try_recv() {
                Ok(outcome) => self.finish(Some(outcome)),
                Err(TryRecvError::Closed) => self.finish(None),
                // The kernel keeps the reader waiting: what it read before is too old to be called current.
                Err(TryRecvError::Empty) if a_cadence_ago == Some(true) => {
                    self.latest = Err(UnavailableReason::ReadFailed)
                }
                Err(TryRecvError::Empty) => {}
            }
        }
        if a_cadence_ago != Some(false) && self.under_way.is_none() {
            self.start();
        }
        self.latest.as_ref().map_err(|reason| *reason)
    }

    /// Waits for readings: those under way, or else new ones.
    pub(super) async fn refresh(&mut self) {
        let under_way = match self.under_way.take() {
            Some(under_way) => self.under_way.insert(under_way),
            None => self.start(),
        };
        let outcome = under_way.await.ok();
        self.finish(outcome);
    }

    /// The set of processors is another one: new readings are due at once.
    pub(super) fn expire(&mut self) {
        self.begun = None;
    }

    fn start(&mut self) -> &mut oneshot::Receiver<TelemetryResult<SlowReadings>> {
        self.begun = Some(Instant::now());
        let (sender, receiver) = oneshot::channel();
        let reader = Arc::clone(&self.reader);
        // Nobody joins the task: a panic in it drops the sender, and so is a reading that failed.
        task::spawn_blocking(move || {
            // Nobody receives once the collector is gone.
            sender.send(reader.read()).ok();
        });
        self.under_way.insert(receiver)
    }

    fn finish(&mut self, outcome: Option<TelemetryResult<SlowReadings>>) {
        self.under_way = None;
        self.latest = match outcome {
            Some(Ok(readings)) => Ok(readings),
            Some(Err(error)) => {
                debug!(error = report(&error), "slow readings failed");
                Err(UnavailableReason::ReadFailed)
            }
            None => {
                warn!("slow readings did not come to an end");
                Err(UnavailableReason::ReadFailed)
            }
        };
    }
}

/// Takes the readings, on whatever thread it is called.
struct SlowReader {
    root: HostRoot,
    system: Arc<dyn SystemInfo>,
    kept: Mutex<Kept>,
}

/// What stays as it is between two readings.
#[derive(Default)]
struct Kept {
    on_virtual_machine: Option<bool>,
    /// The identity of the processors, and which were online when it was read.
    processor: Option<(Vec<u32>, ProcessorIdentity)>,
}

impl SlowReader {
    fn read(&self) -> TelemetryResult<SlowReadings> {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.root.has(STAT) {
            return Ok(self.read_by_system());
        }
        let cores = self.online_cores()?;
        let on_virtual_machine = *kept.on_virtual_machine.get_or_insert_with(|| hypervisor(&self.root).is_some());
        let hidden = |on_metal| if on_virtual_machine { UnavailableReason::VirtualMachine } else { on_metal };
        let processor = match kept.processor.take() {
            Some((of, processor)) if of == cores => processor,
            _ => self.system.processor(),
        };
        kept.processor = Some((cores.clone(), processor.clone()));
        Ok(SlowReadings {
            processor,
            frequencies: Frequencies::read(&self.root, &cores, hidden(UnavailableReason::NotSupported)),
            temperatures: Temperatures::read(&self.root, &*self.system, &cores, hidden(UnavailableReason::NoSensor)),
        })
    }

    /// For a host without `/proc`.
    fn read_by_system(&self) -> SlowReadings {
        let frequencies = Frequencies::of_system(&*self.system);
        let cores: Vec<u32> = (0..).zip(frequencies.cores.readings()).map(|(core, _)| core).collect();
        SlowReadings {
            processor: self.system.processor(),
            frequencies,
            temperatures: Temperatures::read(&self.root, &*self.system, &cores, UnavailableReason::NoSensor),
        }
    }

    fn online_cores(&self) -> TelemetryResult<Vec<u32>> {
        let mut times = CpuTimes::default();
        KeptFile::new(self.root.path(STAT)).collect("the list of processors", |text| times.parse(text))?;
        Ok(times.cores.iter().map(|(core, _)| *core).collect())
    }
}
