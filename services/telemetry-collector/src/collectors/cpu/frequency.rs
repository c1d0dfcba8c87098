//! Clock frequencies: cpufreq where the kernel has it, else what `/proc/cpuinfo` shows.

use std::cell::LazyCell;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;

use super::per_core::PerCore;
use crate::collectors::{HostRoot, Reading, SystemInfo};
use crate::models::UnavailableReason;

const KHZ_PER_MHZ: f64 = 1000.0;
/// What a clock can run at, in MHz; some hosts show 0 where they mean that they do not know.
const PLAUSIBLE_MHZ: RangeInclusive<f64> = 1.0..=100_000.0;

/// Clock frequencies in MHz.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frequencies {
    /// Mean of what the processors run at.
    pub(super) current: Reading<f64>,
    /// Lowest that any processor can run at.
    pub(super) min: Reading<f64>,
    /// Highest that any processor can run at.
    pub(super) max: Reading<f64>,
    /// What each processor runs at.
    pub(super) cores: PerCore<f64>,
}

impl Frequencies {
    /// Reads those of `cores`. Where the kernel shows none they are absent for `hidden`.
    pub(super) fn read(root: &HostRoot, cores: &[u32], hidden: UnavailableReason) -> Self {
        // On x86 the kernel may measure every processor for this file, so it is read once, and only if it is needed.
        let cpuinfo = LazyCell::new(|| root.text("proc/cpuinfo").map(|text| cpuinfo_mhz(&text)).unwrap_or_default());
        let current = PerCore::from_readings(cores.iter().map(|&core| {
            let reading = match cpufreq_mhz(root, core, "scaling_cur_freq") {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let mhz = cpuinfo.iter().find(|(processor, _)| *processor == core).map(|(_, mhz)| *mhz);
                    mhz.ok_or(hidden)
                }
                reading => reading.map_err(|error| reason(&error, hidden)),
            };
            (core, reading)
        }));
        let limit = |file: &str, pick: fn(f64, f64) -> f64| {
            let readings =
                cores.iter().map(|&core| cpufreq_mhz(root, core, file).map_err(|error| reason(&error, hidden)));
            fold(readings, hidden, pick)
        };
        let (min, max) = (limit("cpuinfo_min_freq", f64::min), limit("cpuinfo_max_freq", f64::max));
        match (min, max) {
            // A value that contradicts another is as good as none.
            (Ok(low), Ok(high)) if low > high => {
                Self::new(current, Err(UnavailableReason::ReadFailed), Err(UnavailableReason::ReadFailed), hidden)
            }
            (min, max) => Self::new(current, min, max, hidden),
        }
    }

    /// Asks sysinfo, for a host without `/proc`.
    pub(super) fn of_system(system: &dyn SystemInfo) -> Self {
        let hidden = UnavailableReason::NotSupported;
        let cores = (0..).zip(system.frequencies()).map(|(core, mhz)| (core, mhz.and_then(plausible).ok_or(hidden)));
        Self::new(PerCore::from_readings(cores), Err(hidden), Err(hidden), hidden)
    }

    fn new(cores: PerCore<f64>, min: Reading<f64>, max: Reading<f64>, hidden: UnavailableReason) -> Self {
        let known = cores.values().count();
        let current = fold(cores.readings(), hidden, |sum, mhz| sum + mhz);
        let current = current.map(|sum| (sum / known as f64 * KHZ_PER_MHZ).round() / KHZ_PER_MHZ);
        Self { current, min, max, cores }
    }
}

/// All values there are as one; without any, the first reason why not.
fn fold(
    readings: impl Iterator<Item = Reading<f64>>,
    hidden: UnavailableReason,
    pick: fn(f64, f64) -> f64,
) -> Reading<f64> {
    let either = |all: Reading<f64>, next: Reading<f64>| match (all, next) {
        (Ok(all), Ok(next)) => Ok(pick(all, next)),
        (all, next) => all.or(next).or(all),
    };
    readings.reduce(either).unwrap_or(Err(hidden))
}

fn cpufreq_mhz(root: &HostRoot, core: u32, file: &str) -> io::Result<f64> {
    let khz: u32 = root.number(format!("sys/devices/system/cpu/cpu{core}/cpufreq/{file}"))?;
    plausible(f64::from(khz) / KHZ_PER_MHZ).ok_or_else(|| ErrorKind::InvalidData.into())
}

fn plausible(mhz: f64) -> Option<f64> {
    PLAUSIBLE_MHZ.contains(&mhz).then_some(mhz)
}

fn reason(error: &io::Error, hidden: UnavailableReason) -> UnavailableReason {
    match error.kind() {
        ErrorKind::NotFound => hidden,
        ErrorKind::PermissionDenied => UnavailableReason::NoPermission,
        _ => UnavailableReason::ReadFailed,
    }
}

/// The frequency that each processor's part of `/proc/cpuinfo` shows, in MHz: "cpu MHz" on x86 and s390, "clock" on
/// POWER. BogoMIPS is no frequency.
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
