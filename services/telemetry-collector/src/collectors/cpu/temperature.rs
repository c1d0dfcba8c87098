//! CPU temperatures, from the host's sensors.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::per_core::PerCore;
use crate::collectors::{HostRoot, Reading, Sensor, SystemInfo};
use crate::models::UnavailableReason;

/// Linux drivers of CPU sensors.
const DRIVERS: [&str; 5] = ["coretemp", "k8temp", "k10temp", "zenpower", "via_cputemp"];
/// Plausible temperatures of a running CPU. Disabled sensors report values such as -128, 255 or NaN.
const PLAUSIBLE_CELSIUS: RangeInclusive<f64> = -40.0..=150.0;

/// Temperatures in degrees Celsius.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Temperatures {
    /// Hottest CPU package.
    pub(super) package: Reading<f64>,
    /// Temperature of the physical core that each logical CPU belongs to.
    pub(super) cores: PerCore<f64>,
}

/// What a CPU sensor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// The package, or a die in it.
    Package,
    /// The value that controls the fan: on some models, the package temperature plus an offset.
    Control,
    /// The physical core with this number (`topology/core_id` in sysfs).
    Core(u32),
}

impl Temperatures {
    /// Reads the temperatures of `cores`. If the host has no sensor, they are absent with `missing_reason`.
    pub(super) fn read(
        root: &HostRoot,
        system: &dyn SystemInfo,
        cores: &[u32],
        missing_reason: UnavailableReason,
    ) -> Self {
        let sensors = system.sensors(is_cpu_sensor);
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
        let package_reason = if spots().next().is_some() { UnavailableReason::ReadFailed } else { missing_reason };

        let physical: Vec<_> = spots()
            .filter_map(|(spot, celsius)| match spot {
                Spot::Core(core) => Some((core, celsius)),
                Spot::Package | Spot::Control => None,
            })
            .collect();
        // sysinfo merges sensors with the same label, so with several packages "Core 3" may belong to any of them.
        let ambiguous = !physical.is_empty() && packages(root, cores) > 1;
        let cores = PerCore::from_readings(cores.iter().map(|&core| {
            let reading = if physical.is_empty() {
                Err(missing_reason)
            } else if ambiguous {
                Err(UnavailableReason::NotSupported)
            } else {
                let core_id = root.number(topology(core, "core_id")).ok();
                let sensor = physical.iter().find(|(id, _)| Some(*id) == core_id);
                sensor.map_or(Err(UnavailableReason::NoSensor), |(_, celsius)| {
                    celsius.ok_or(UnavailableReason::ReadFailed)
                })
            };
            (core, reading)
        }));
        Self { package: package.ok_or(package_reason), cores }
    }
}

/// Number of CPU packages that `cores` belong to.
fn packages(root: &HostRoot, cores: &[u32]) -> usize {
    let packages = cores.iter().filter_map(|&core| root.number::<i32>(topology(core, "physical_package_id")).ok());
    packages.collect::<BTreeSet<_>>().len()
}

fn topology(core: u32, file: &str) -> String {
    format!("sys/devices/system/cpu/cpu{core}/topology/{file}")
}

fn is_cpu_sensor(label: &str) -> bool {
    spot(label).is_some()
}

/// What the sensor with this label measures; `None` if it is not a CPU sensor.
///
/// A label from sysinfo is driver and channel ("coretemp Core 3"), on some systems a single name ("CPU 1").
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
