//! Access to the `sysinfo` crate, behind a trait that tests can fake.
//!
//! sysinfo always reads the running host, regardless of [`HostRoot`](super::HostRoot). On every operating system it
//! provides the CPU's vendor and model, the sensors and the names of the system. Usage, load averages and frequencies
//! come from it only on hosts without `/proc/stat`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sysinfo::{Component, Components, CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, System};

use super::Reading;
use crate::models::{LoadAverages, UnavailableReason};

/// Information about the running host.
///
/// Calls may block for as long as the kernel takes to answer. Only [`usage`](Self::usage) and
/// [`load_averages`](Self::load_averages) return quickly.
#[cfg_attr(test, mockall::automock)]
pub trait SystemInfo: Send + Sync {
    /// Vendor and model of the CPU, and the number of physical cores.
    fn processor(&self) -> ProcessorIdentity;

    /// The temperature sensors whose label `wanted` accepts.
    fn sensors(&self, wanted: fn(&str) -> bool) -> Vec<Sensor>;

    /// The names of the operating system.
    fn operating_system(&self) -> OperatingSystem;

    /// Share of time that the CPUs were busy since the previous call.
    fn usage(&self) -> SystemUsage;

    /// Load averages; `None` if the operating system has none.
    fn load_averages(&self) -> Option<LoadAverages>;

    /// Clock frequency of each logical CPU in MHz; `None` if it is not known.
    fn frequencies(&self) -> Vec<Option<f64>>;
}

/// Vendor, model and physical cores of a host's CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessorIdentity {
    /// Vendor ID ("GenuineIntel"); empty if unknown.
    pub vendor: String,
    /// Model name ("AMD EPYC 7B13"); empty if unknown.
    pub model: String,
    /// Number of physical cores; `None` if unknown.
    pub physical_count: Option<u32>,
}

/// A temperature sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Driver and channel ("coretemp Core 3", "k10temp Tctl").
    pub label: String,
    /// Temperature in degrees Celsius, unchecked: it may be implausible or NaN. `None` if the sensor could not be read.
    pub celsius: Option<f64>,
}

/// Names of the operating system; `None` if unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatingSystem {
    /// Hostname.
    pub hostname: Option<String>,
    /// Name and version of the operating system ("macOS 15.1 Sequoia").
    pub name: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// CPU architecture ("x86_64").
    pub arch: String,
}

/// CPU usage, in percent from 0 to 100.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemUsage {
    /// Over all CPUs.
    pub percent: Reading<f64>,
    /// Of each logical CPU, in the order of the operating system.
    pub cores: Vec<Reading<f64>>,
}

/// [`SystemInfo`] by means of the `sysinfo` crate.
#[derive(Default)]
pub struct Sysinfo {
    usage: Mutex<UsageMeter>,
    components: Mutex<Option<Components>>,
}

/// sysinfo's usage counters. Their `System` is used for usage only: reading a frequency from it would reset the minimum
/// interval that [`UsageMeter::read`] observes, and freeze the counters.
#[derive(Default)]
struct UsageMeter {
    system: Option<System>,
    read_at: Option<Instant>,
}

impl Sysinfo {
    /// Creates it without reading anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl SystemInfo for Sysinfo {
    fn processor(&self) -> ProcessorIdentity {
        let system = system_with(CpuRefreshKind::nothing());
        let first = system.as_ref().and_then(|system| system.cpus().first());
        ProcessorIdentity {
            vendor: first.map(|cpu| cpu.vendor_id().to_owned()).unwrap_or_default(),
            model: first.map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
            physical_count: System::physical_core_count()
                .ok()
                .and_then(|count| count.try_into().ok())
                .filter(|count| *count > 0),
        }
    }

    fn sensors(&self, wanted: fn(&str) -> bool) -> Vec<Sensor> {
        let mut kept = lock(&self.components);
        // Refresh only the wanted sensors: reading a disk's sensor could wake the disk. `Components::refresh` would read
        // all of them, and keep the old temperature of a sensor that can no longer be read.
        let mut sensors = kept.as_mut().map(|components| refreshed(components, wanted)).unwrap_or_default();
        if sensors.iter().all(|sensor| sensor.celsius.is_none()) {
            // No sensors are known yet, or the known ones are gone: a reloaded driver may have another number.
            *kept = Components::new_with_refreshed_list().ok();
            sensors = kept.as_mut().map(|components| refreshed(components, wanted)).unwrap_or_default();
        }
        sensors
    }

    fn operating_system(&self) -> OperatingSystem {
        OperatingSystem {
            hostname: System::host_name().ok(),
            name: System::long_os_version().ok(),
            kernel: System::kernel_version().ok(),
            arch: System::cpu_arch(),
        }
    }

    fn usage(&self) -> SystemUsage {
        lock(&self.usage).read()
    }

    fn load_averages(&self) -> Option<LoadAverages> {
        let averages = System::load_average().ok()?;
        LoadAverages::new(averages.one, averages.five, averages.fifteen).ok()
    }

    fn frequencies(&self) -> Vec<Option<f64>> {
        let system = system_with(CpuRefreshKind::nothing().with_frequency());
        let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
        cpus.iter().map(|cpu| Some(cpu.frequency() as f64).filter(|mhz| *mhz > 0.0)).collect()
    }
}

impl UsageMeter {
    fn read(&mut self) -> SystemUsage {
        let since_previous = self.read_at.map(|read_at| read_at.elapsed());
        let absent = match since_previous {
            None => Some(UnavailableReason::FirstSample),
            // sysinfo would silently return the shares of the previous call.
            Some(elapsed) if elapsed < MINIMUM_CPU_UPDATE_INTERVAL => Some(UnavailableReason::NoProgress),
            Some(_) => None,
        };
        if absent != Some(UnavailableReason::NoProgress) {
            self.read_at = Some(Instant::now());
            match &mut self.system {
                Some(system) => system.refresh_cpu_usage(),
                none => *none = system_with(CpuRefreshKind::nothing().with_usage()),
            }
        }
        let Some(system) = &self.system else {
            return SystemUsage { percent: Err(UnavailableReason::NotSupported), cores: Vec::new() };
        };
        let reading = |percent: f32| match absent {
            Some(reason) => Err(reason),
            None if percent.is_finite() => Ok(f64::from(percent).clamp(0.0, 100.0)),
            None => Err(UnavailableReason::ReadFailed),
        };
        SystemUsage {
            percent: reading(system.global_cpu_usage()),
            cores: system.cpus().iter().map(|cpu| reading(cpu.usage())).collect(),
        }
    }
}

fn refreshed(components: &mut [Component], wanted: fn(&str) -> bool) -> Vec<Sensor> {
    let wanted = components.iter_mut().filter(|component| wanted(component.label()));
    wanted
        .map(|component| {
            component.refresh();
            let celsius = component.temperature().map(f64::from);
            Sensor { label: component.label().to_owned(), celsius }
        })
        .collect()
}

fn system_with(refresh: CpuRefreshKind) -> Option<System> {
    let mut system = System::new().ok()?;
    system.refresh_cpu_list(refresh);
    Some(system)
}

/// Ignores poisoning: every reading replaces the whole state, so a panic leaves nothing invalid behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn usage_is_absent_rather_than_stale() {
        let system = Sysinfo::new();
        let first = system.usage();
        assert!(!first.cores.is_empty());
        assert_eq!(first.percent, Err(UnavailableReason::FirstSample));
        assert!(first.cores.iter().all(|core| *core == Err(UnavailableReason::FirstSample)));

        assert_eq!(system.usage().percent, Err(UnavailableReason::NoProgress));

        // sysinfo enforces a minimum interval; there is no condition to wait for.
        thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL);
        system.frequencies();
        let usage = system.usage();
        assert!(usage.percent.is_ok_and(|percent| (0.0..=100.0).contains(&percent)));
        assert_eq!(usage.cores.len(), first.cores.len());
    }

    #[test]
    fn reads_the_running_host() {
        let system = Sysinfo::new();
        assert!(!system.operating_system().arch.is_empty());
        assert_eq!(system.frequencies().len(), system.usage().cores.len());
        assert!(system.load_averages().is_some());
        assert!(system.processor().physical_count.is_none_or(|count| count as usize <= system.usage().cores.len()));
    }
}
