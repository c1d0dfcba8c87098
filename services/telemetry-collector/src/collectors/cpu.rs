//! CPU metrics: usage, load averages, frequencies and temperatures.
//!
//! Usage and states come from `/proc/stat`, load averages from `/proc/loadavg`. Both files stay open and take one read per
//! sample. Frequencies, temperatures, vendor and model are read less often, on another thread. On a host without
//! `/proc/stat`, usage and load averages come from [`SystemInfo`], and states are not available.

mod frequency;
mod load;
mod per_core;
mod slow;
mod temperature;
mod times;
mod unavailable;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::debug;

use self::frequency::Frequencies;
use self::slow::{SlowPace, SlowReadings};
use self::times::{CpuTimes, Shares};
use self::unavailable::{CoreField, Unavailable};
use super::Reading;
use super::host_root::{HostRoot, KeptFile};
use super::system::{SystemInfo, SystemUsage};
use super::traits::{CpuCollector, TelemetryCollector};
use crate::errors::{TelemetryError, TelemetryResult, report};
use crate::models::{
    CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, LoadAverages, TelemetryMetrics, UnavailableReason,
};

/// Default interval between slow readings (frequencies, temperatures, vendor and model).
pub const DEFAULT_SLOW_CADENCE: Duration = Duration::from_secs(10);

const STAT: &str = "proc/stat";
const LOADAVG: &str = "proc/loadavg";
const LOAD_AVERAGES: &str = "load averages";

/// Collects [`CpuMetrics`] of one host.
///
/// A sample takes two system calls and never waits. Slow readings (frequencies, temperatures, vendor and model) are
/// [`Pending`](UnavailableReason::Pending) until the first ones are complete;
/// [`refresh_slow_readings`](CpuCollector::refresh_slow_readings) waits for them. A sample starts slow readings when they
/// are due, and a later sample reports them. They are therefore at most one slow cadence plus one sampling interval old.
///
/// Its futures need a tokio runtime: slow readings run on the runtime's blocking threads. A reading that hangs in the
/// kernel does not delay samples, but dropping the runtime waits for it.
pub struct HostCpuCollector {
    source: Source,
    slow: SlowPace,
}

/// Source of usage and load averages.
enum Source {
    Proc { times: Box<ProcTimes>, load: KeptFile },
    System(Arc<dyn SystemInfo>),
}

impl HostCpuCollector {
    /// Reads the files below `root`, and `system` for values that files do not have. Nothing is read before the first
    /// call.
    ///
    /// Slow readings (frequencies, temperatures, vendor and model) are taken every `slow_cadence`, and after CPU
    /// hot-plug.
    #[must_use]
    pub fn new(root: HostRoot, system: Arc<dyn SystemInfo>, slow_cadence: Duration) -> Self {
        let source = if root.has(STAT) {
            Source::Proc { times: Box::new(ProcTimes::new(&root)), load: KeptFile::new(root.path(LOADAVG)) }
        } else {
            Source::System(Arc::clone(&system))
        };
        Self { source, slow: SlowPace::new(root, system, slow_cadence) }
    }

    /// Takes a sample. It must not await: if the caller dropped the future half-way, the CPU times read so far would be
    /// lost.
    fn sample(&mut self) -> TelemetryResult<CpuMetrics> {
        match &mut self.source {
            Source::Proc { times, load } => {
                let load = load.collect(LOAD_AVERAGES, load::parse).map_err(|error| {
                    debug!(error = report(&error), "load averages are left out");
                    UnavailableReason::ReadFailed
                });
                let change = times.read()?;
                if change.has_other_cores() {
                    self.slow.expire();
                }
                let cores = change.cores().map(|(core, shares)| (core, shares.into()));
                Ok(compose(change.total_shares().into(), cores, load, self.slow.latest()))
            }
            Source::System(system) => {
                let load = system.load_averages().ok_or(UnavailableReason::NotSupported);
                let SystemUsage { percent, cores } = system.usage();
                let cores = (0..).zip(cores).map(|(core, percent)| (core, percent.into()));
                Ok(compose(percent.into(), cores, load, self.slow.latest()))
            }
        }
    }
}

#[async_trait]
impl TelemetryCollector for HostCpuCollector {
    fn name(&self) -> &'static str {
        CpuMetrics::GROUP
    }

    async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics> {
        Ok(self.sample()?.into())
    }
}

#[async_trait]
impl CpuCollector for HostCpuCollector {
    async fn collect_cpu(&mut self) -> TelemetryResult<CpuMetrics> {
        self.sample()
    }

    async fn load_averages(&mut self) -> TelemetryResult<LoadAverages> {
        match &mut self.source {
            Source::Proc { load, .. } => load.collect(LOAD_AVERAGES, load::parse),
            Source::System(system) => {
                system.load_averages().ok_or_else(|| TelemetryError::collection(LOAD_AVERAGES, "the system has none"))
            }
        }
    }

    async fn refresh_slow_readings(&mut self) {
        self.slow.refresh().await;
    }
}

/// Reads `/proc/stat` and keeps the previous reading.
struct ProcTimes {
    file: KeptFile,
    /// The last successful reading: the base of the next one, even if readings fail in between.
    latest: Option<CpuTimes>,
    /// Holds the next reading while it is parsed, then the base that it is compared with. Reused to avoid allocation.
    spare: CpuTimes,
}

/// A reading and the one before it, which the first reading lacks.
struct Change<'a> {
    base: Option<&'a CpuTimes>,
    now: &'a CpuTimes,
}

impl ProcTimes {
    fn new(root: &HostRoot) -> Self {
        Self { file: KeptFile::new(root.path(STAT)), latest: None, spare: CpuTimes::default() }
    }

    fn read(&mut self) -> TelemetryResult<Change<'_>> {
        let Self { file, latest, spare } = self;
        file.collect("CPU times", |text| spare.parse(text))?;
        let now = mem::take(spare);
        Ok(match latest {
            None => Change { base: None, now: latest.insert(now) },
            Some(latest) => {
                *spare = mem::replace(latest, now);
                Change { base: Some(spare), now: latest }
            }
        })
    }
}

impl<'a> Change<'a> {
    fn total_shares(&self) -> Reading<Shares> {
        let base = self.base.ok_or(UnavailableReason::FirstSample)?;
        self.now.total.shares_since(&base.total)
    }

    fn cores(&self) -> impl Iterator<Item = (u32, Reading<Shares>)> + use<'a> {
        self.now.core_shares(self.base.map_or(&[], |base| &base.cores))
    }

    /// Whether the set of online CPUs changed.
    fn has_other_cores(&self) -> bool {
        self.base.is_some_and(|base| !base.has_cores_of(self.now))
    }
}

/// Usage of one CPU or of all, and the states that it consists of.
struct Usage {
    percent: Reading<f64>,
    states: Reading<CpuStates>,
}

impl From<Reading<Shares>> for Usage {
    fn from(shares: Reading<Shares>) -> Self {
        match shares {
            Ok(Shares { busy_percent, states }) => Self { percent: Ok(busy_percent), states: Ok(states) },
            Err(reason) => Self { percent: Err(reason), states: Err(reason) },
        }
    }
}

impl From<Reading<f64>> for Usage {
    fn from(percent: Reading<f64>) -> Self {
        Self { percent, states: Err(UnavailableReason::NotSupported) }
    }
}

/// Builds a sample. Lists absent values with their reasons.
fn compose(
    total: Usage,
    cores: impl Iterator<Item = (u32, Usage)>,
    load: Reading<LoadAverages>,
    slow: Reading<&SlowReadings>,
) -> CpuMetrics {
    let mut unavailable = Unavailable::default();
    let usage_percent = unavailable.value("usage_percent", total.percent);
    let states = unavailable.value("states", total.states);
    let physical_count = slow.and_then(|slow| slow.processor.physical_count.ok_or(UnavailableReason::NotSupported));
    let physical_count = unavailable.value("physical_count", physical_count);
    let cores = compose_cores(cores, slow, &mut unavailable);
    let load_averages = unavailable.value("load_averages", load);
    let frequencies = compose_frequencies(slow, &mut unavailable);
    let temperature = slow.and_then(|slow| slow.temperatures.package);
    let temperature_celsius = unavailable.value("temperature_celsius", temperature);
    CpuMetrics {
        usage_percent,
        states,
        physical_count,
        vendor: slow.map(|slow| slow.processor.vendor.clone()).unwrap_or_default(),
        model: slow.map(|slow| slow.processor.model.clone()).unwrap_or_default(),
        load_averages,
        frequencies,
        temperature_celsius,
        unavailable: unavailable.into_fields(),
        ..CpuMetrics::new(cores)
    }
}

fn compose_cores(
    cores: impl Iterator<Item = (u32, Usage)>,
    slow: Reading<&SlowReadings>,
    unavailable: &mut Unavailable,
) -> Vec<CoreMetrics> {
    let mut usage_percent = CoreField::new("usage_percent");
    let mut states = CoreField::new("states");
    let mut frequency_mhz = CoreField::new("frequency_mhz");
    let mut temperature_celsius = CoreField::new("temperature_celsius");
    let cores: Vec<_> = cores
        .map(|(core_id, usage)| CoreMetrics {
            usage_percent: usage_percent.value(core_id, usage.percent),
            states: states.value(core_id, usage.states),
            frequency_mhz: frequency_mhz.value(core_id, slow.and_then(|slow| slow.frequencies.cores.get(core_id))),
            temperature_celsius: temperature_celsius
                .value(core_id, slow.and_then(|slow| slow.temperatures.cores.get(core_id))),
            ..CoreMetrics::new(core_id)
        })
        .collect();
    for field in [usage_percent, states, frequency_mhz, temperature_celsius] {
        unavailable.cores(field, cores.len());
    }
    cores
}

/// Builds the frequencies. If all are absent for the same reason, lists them as one field.
fn compose_frequencies(slow: Reading<&SlowReadings>, unavailable: &mut Unavailable) -> Option<CpuFrequencies> {
    let of = |pick: fn(&Frequencies) -> Reading<f64>| slow.and_then(|slow| pick(&slow.frequencies));
    let [current, min, max] = [of(|all| all.current), of(|all| all.min), of(|all| all.max)];
    if let Err(reason) = current
        && [min, max] == [Err(reason); 2]
    {
        return unavailable.value("frequencies", Err(reason));
    }
    Some(CpuFrequencies {
        current_mhz: unavailable.value("frequencies.current_mhz", current),
        min_mhz: unavailable.value("frequencies.min_mhz", min),
        max_mhz: unavailable.value("frequencies.max_mhz", max),
    })
}

#[cfg(test)]
mod tests;
