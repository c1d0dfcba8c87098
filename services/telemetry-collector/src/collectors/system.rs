//! What the collectors ask of the `sysinfo` crate, behind a seam that tests fake.
//!
//! sysinfo reads the running host alone, wherever [`HostRoot`](super::HostRoot) points. It is asked for what it knows
//! on every operating system: who made the processor, the sensors, the names of the system. Times, load and frequency
//! come from it only where there is no `/proc/stat`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sysinfo::{Component, Components, CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, System};

use super::Reading;
use crate::models::{LoadAverages, UnavailableReason};

/// What sysinfo knows of the running host.
///
/// A call may block for as long as the kernel takes; only [`usage`](Self::usage) and
/// [`load_averages`](Self::load_averages) are quick.
#[cfg_attr(test, mockall::automock)]
pub trait SystemInfo: Send + Sync {
    /// Who made the processors, and how many physical cores they have.
    fn processor(&self) -> ProcessorIdentity;

    /// The temperature sensors of the host for which `wanted` says yes to the label.
    fn sensors(&self, wanted: fn(&str) -> bool) -> Vec<Sensor>;

    /// The names of the operating system.
    fn operating_system(&self) -> OperatingSystem;

    /// Share of the time in which the processors were busy since the previous call.
    fn usage(&self) -> SystemUsage;

    /// Run-queue averages; `None` where the operating system has none.
    fn load_averages(&self) -> Option<LoadAverages>;

    /// Clock frequency of each processor in MHz; `None` where it is not shown.
    fn frequencies(&self) -> Vec<Option<f64>>;
}

/// Who made the processors of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessorIdentity {
    /// Maker as the processor names itself ("GenuineIntel"); empty where unknown.
    pub vendor: String,
    /// Model name ("AMD EPYC 7B13"); empty where unknown.
    pub model: String,
    /// Physical cores.
    pub physical_count: Option<u32>,
}

/// A temperature sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Driver and channel ("coretemp Core 3", "k10temp Tctl").
    pub label: String,
    /// Its temperature in degrees Celsius, as it came: it may be absurd or not a number.
    pub celsius: Option<f64>,
}

/// The names of an operating system, each where it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatingSystem {
    /// Name of the host.
    pub hostname: Option<String>,
    /// The system as its maker writes it, with version.
    pub name: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Machine architecture ("x86_64").
    pub arch: String,
}

/// How busy the processors were, in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemUsage {
    /// Over all of them.
    pub percent: Reading<f64>,
    /// One each, in the order of the operating system.
    pub cores: Vec<Reading<f64>>,
}

/// The running host by way of sysinfo.
#[derive(Default)]
pub struct Sysinfo {
    usage: Mutex<UsageMeter>,
    components: Mutex<Option<Components>>,
}

/// sysinfo's counters of usage. They are asked for nothing but usage: a frequency read from the same `System` would
/// move the time gate below, and freeze them.
#[derive(Default)]
struct UsageMeter {
    system: Option<System>,
    read_at: Option<Instant>,
}

impl Sysinfo {
    /// Reads nothing yet.
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
        // Only the sensors that are wanted are read again: a disk's could wake the disk. `Components::refresh` would
        // read all, and keep the old temperature of one that cannot be read any more.
        let mut sensors = kept.as_mut().map(|components| read_again(components, wanted)).unwrap_or_default();
        if sensors.iter().all(|sensor| sensor.celsius.is_none()) {
            // None known yet, or those known are gone: their driver may have been loaded anew under another number.
            *kept = Components::new_with_refreshed_list().ok();
            sensors = kept.as_mut().map(|components| read_again(components, wanted)).unwrap_or_default();
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
            // sysinfo would give the shares of the call before, and no sign of it.
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

fn read_again(components: &mut [Component], wanted: fn(&str) -> bool) -> Vec<Sensor> {
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

/// What a panic left behind is still good here: every reading replaces all of it.
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

        // The gate is a span of time inside sysinfo; there is nothing else to wait for.
        thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL);
        system.frequencies();
        let usage = system.usage();
        assert!(usage.percent.is_ok_and(|percent| (0.0..=100.0).contains(&percent)));
        assert_eq!(usage.cores.len(), first.cores.len());
    }

    #[test]
    fn the_running_host_says_what_it_is() {
        let system = Sysinfo::new();
        assert!(!system.operating_system().arch.is_empty());
        assert_eq!(system.frequencies().len(), system.usage().cores.len());
        assert!(system.load_averages().is_some());
        assert!(system.processor().physical_count.is_none_or(|count| count as usize <= system.usage().cores.len()));
    }
}
