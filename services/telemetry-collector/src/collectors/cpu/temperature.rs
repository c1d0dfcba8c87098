//! Which of a host's sensors say how warm its processors are.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::per_core::PerCore;
use crate::collectors::{HostRoot, Reading, Sensor, SystemInfo};
use crate::models::UnavailableReason;

/// Drivers of sensors inside processors, as Linux names them.
const DRIVERS: [&str; 5] = ["coretemp", "k8temp", "k10temp", "zenpower", "via_cputemp"];
/// What a processor that runs can be at, in degrees Celsius; sensors that are off show values like -128, 255 or NaN.
const PLAUSIBLE_CELSIUS: RangeInclusive<f64> = -40.0..=150.0;

/// Temperatures in degrees Celsius.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Temperatures {
    /// Hottest processor package.
    pub(super) package: Reading<f64>,
    /// The physical core below each processor.
    pub(super) cores: PerCore<f64>,
}

/// What a sensor of a processor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// The package or a die of it.
    Package,
    /// What the fan is steered by: on some models the package and some degrees more.
    Control,
    /// The physical core of this number (`topology/core_id`).
    Core(u32),
}

impl Temperatures {
    /// Reads those of `cores`. Where the host has no sensor they are absent for `hidden`.
    pub(super) fn read(root: &HostRoot, system: &dyn SystemInfo, cores: &[u32], hidden: UnavailableReason) -> Self {
        let sensors = system.sensors(is_of_processor);
        let spots = || {
            let celsius = |sensor: &Sensor| sensor.celsius.filter(|celsius| PLAUSIBLE_CELSIUS.contains(celsius));
            sensors.iter().filter_map(move |sensor| Some((spot(&sensor.label)?, celsius(sensor))))
        };
        let hottest = |kind: fn(Spot) -> bool| {
            let celsius = spots().filter(|(spot, _)| kind(*spot)).filter_map(|(_, celsius)| celsius);
            celsius.reduce(f64::max)
        };
        let package = hottest(|spot| spot == Spot::Package)
            .or_else(|| hottest(|spot| spot == Spot::Control))
            .or_else(|| hottest(|spot| matches!(spot, Spot::Core(_))));
        let why_no_package = if spots().next().is_some() { UnavailableReason::ReadFailed } else { hidden };

        let physical: Vec<_> = spots()
            .filter_map(|(spot, celsius)| match spot {
                Spot::Core(core) => Some((core, celsius)),
                Spot::Package | Spot::Control => None,
            })
            .collect();
        // sysinfo folds sensors of the same label into one, so with several packages "Core 3" may be of any of them.
        let ambiguous = !physical.is_empty() && packages(root, cores) > 1;
        let cores = PerCore::from_readings(cores.iter().map(|&core| {
            let reading = if physical.is_empty() {
                Err(hidden)
            } else if ambiguous {
                Err(UnavailableReason::NotSupported)
            } else {
                let below = root.number(topology(core, "core_id")).ok();
                let sensor = physical.iter().find(|(id, _)| Some(*id) == below);
                sensor.map_or(Err(UnavailableReason::NoSensor), |(_, celsius)| {
                    celsius.ok_or(UnavailableReason::ReadFailed)
                })
            };
            (core, reading)
        }));
        Self { package: package.ok_or(why_no_package), cores }
    }
}

/// How many processor packages `cores` are on.
fn packages(root: &HostRoot, cores: &[u32]) -> usize {
    let packages = cores.iter().filter_map(|&core| root.number::<i32>(topology(core, "physical_package_id")).ok());
    packages.collect::<BTreeSet<_>>().len()
}

fn topology(core: u32, file: &str) -> String {
    format!("sys/devices/system/cpu/cpu{core}/topology/{file}")
}

fn is_of_processor(label: &str) -> bool {
    spot(label).is_some()
}

/// What the sensor of this label measures; `None` for one that is not of a processor.
///
/// sysinfo writes the driver and the channel ("coretemp Core 3"), on some systems one name alone ("CPU 1").
fn spot(label: &str) -> Option<Spot> {
    let (driver, channel) = label.trim().split_once(' ').unwrap_or((label.trim(), ""));
    if DRIVERS.contains(&driver) {
        return Some(match channel.strip_prefix("Core ") {
            Some(core) => Spot::Core(core.parse().ok()?),
            None if channel == "Tctl" => Spot::Control,
            None => Spot::Package,
        });
    }
    let starts_with_cpu = driver.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("cpu"));
    (starts_with_cpu || channel == "CPU").then_some(Spot::Package)
}

#[cfg(test)]
mod tests;
