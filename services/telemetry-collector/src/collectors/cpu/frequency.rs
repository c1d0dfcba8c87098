//! Clock frequencies, from cpufreq (`/sys/devices/system/cpu/cpu*/cpufreq`) or else from `/proc/cpuinfo`.

use std::cell::LazyCell;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;

use super::per_core::PerCore;
use crate::collectors::{HostRoot, Reading, SystemInfo};
use crate::models::UnavailableReason;

const KHZ_PER_MHZ: f64 = 1000.0;
/// Plausible clock frequencies. Some hosts report 0 for an unknown frequency.
const PLAUSIBLE_MHZ: RangeInclusive<f64> = 1.0..=100_000.0;

/// Clock frequencies in MHz.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frequencies {
    /// Mean current frequency of all CPUs.
    pub(super) current: Reading<f64>,
    /// Lowest frequency that any CPU supports.
    pub(super) min: Reading<f64>,
    /// Highest frequency that any CPU supports.
    pub(super) max: Reading<f64>,
    /// Current frequency of each logical CPU.
    pub(super) cores: PerCore<f64>,
}

impl Frequencies {
    /// Reads the frequencies of `cores`. A frequency that the kernel does not report is absent with `missing_reason`.
    pub(super) fn read(root: &HostRoot, cores: &[u32], missing_reason: UnavailableReason) -> Self {
        // On x86 the kernel may measure every CPU to generate this file, so read it at most once.
        let cpuinfo = LazyCell::new(|| root.text("proc/cpuinfo").map(|text| cpuinfo_mhz(&text)).unwrap_or_default());
        let current = PerCore::from_readings(cores.iter().map(|&core| {
            let reading = match cpufreq_mhz(root, core, "scaling_cur_freq") {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let mhz = cpuinfo.iter().find(|(processor, _)| *processor == core).map(|(_, mhz)| *mhz);
                    mhz.ok_or(missing_reason)
                }
                reading => reading.map_err(|error| reason(&error, missing_reason)),
            };
            (core, reading)
        }));
        let limit = |file: &str, pick: fn(f64, f64) -> f64| {
            let readings =
                cores.iter().map(|&core| cpufreq_mhz(root, core, file).map_err(|error| reason(&error, missing_reason)));
            fold(readings, missing_reason, pick)
        };
        let (min, max) = (limit("cpuinfo_min_freq", f64::min), limit("cpuinfo_max_freq", f64::max));
        match (min, max) {
            // Contradictory limits are treated as unreadable.
            (Ok(low), Ok(high)) if low > high => Self::new(
                current,
                Err(UnavailableReason::ReadFailed),
                Err(UnavailableReason::ReadFailed),
                missing_reason,
            ),
            (min, max) => Self::new(current, min, max, missing_reason),
        }
    }

    /// Reads the frequencies through sysinfo, for a host without `/proc`.
    pub(super) fn from_system(system: &dyn SystemInfo) -> Self {
        let missing_reason = UnavailableReason::NotSupported;
        let cores =
            (0..).zip(system.frequencies()).map(|(core, mhz)| (core, mhz.and_then(plausible).ok_or(missing_reason)));
        Self::new(PerCore::from_readings(cores), Err(missing_reason), Err(missing_reason), missing_reason)
    }

    fn new(cores: PerCore<f64>, min: Reading<f64>, max: Reading<f64>, missing_reason: UnavailableReason) -> Self {
        let known = cores.values().count();
        let current = fold(cores.readings(), missing_reason, |sum, mhz| sum + mhz);
        let current = current.map(|sum| (sum / known as f64 * KHZ_PER_MHZ).round() / KHZ_PER_MHZ);
        Self { current, min, max, cores }
    }
}

/// Folds the values that are present with `pick`. If there are none, returns the first reason.
fn fold(
    readings: impl Iterator<Item = Reading<f64>>,
    missing_reason: UnavailableReason,
    pick: fn(f64, f64) -> f64,
) -> Reading<f64> {
    let either = |all: Reading<f64>, next: Reading<f64>| match (all, next) {
        (Ok(all), Ok(next)) => Ok(pick(all, next)),
        (all, next) => all.or(next).or(all),
    };
    readings.reduce(either).unwrap_or(Err(missing_reason))
}

fn cpufreq_mhz(root: &HostRoot, core: u32, file: &str) -> io::Result<f64> {
    let khz: u32 = root.number(format!("sys/devices/system/cpu/cpu{core}/cpufreq/{file}"))?;
    plausible(f64::from(khz) / KHZ_PER_MHZ).ok_or_else(|| ErrorKind::InvalidData.into())
}

fn plausible(mhz: f64) -> Option<f64> {
    PLAUSIBLE_MHZ.contains(&mhz).then_some(mhz)
}

fn reason(error: &io::Error, missing_reason: UnavailableReason) -> UnavailableReason {
    match error.kind() {
        ErrorKind::NotFound => missing_reason,
        ErrorKind::PermissionDenied => UnavailableReason::NoPermission,
        _ => UnavailableReason::ReadFailed,
    }
}

/// The frequency of each CPU in `/proc/cpuinfo`, in MHz: "cpu MHz" on x86 and s390, "clock" on POWER. BogoMIPS is not a
/// frequency.
fn cpuinfo_mhz(cpuinfo: &str) -> Vec<(u32, f64)> {
    let mut processor = None;
    let mut frequencies = Vec::new();
    for (key, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        match key.trim_end() {
            "processor" => processor = value.trim().parse().ok(),
            "cpu MHz" | "clock" => {
                let mhz = value.trim().trim_end_matches("MHz").parse().ok();
                frequencies.extend(processor.zip(mhz.and_then(plausible)));
            }
            _ => {}
        }
    }
    frequencies
}

#[cfg(test)]
mod tests;
