#![allow(clippy::unwrap_used)]

use super::*;
use crate::collectors::testing::{LivingHost, recorded};

const HIDDEN: UnavailableReason = UnavailableReason::VirtualMachine;

fn read(root: &HostRoot, cores: &[u32]) -> Frequencies {
    Frequencies::read(root, cores, HIDDEN)
}

#[test]
fn each_core_of_a_hybrid_processor_has_its_own() {
    let frequencies = read(&recorded("hybrid-cpu-with-sensors"), &[0, 3, 4, 7]);
    assert_eq!(frequencies.cores.readings().collect::<Vec<_>>(), [Ok(4700.0), Ok(4700.0), Ok(3400.0), Ok(3400.0)]);
    assert_eq!((frequencies.current, frequencies.min, frequencies.max), (Ok(4050.0), Ok(700.0), Ok(5000.0)));
}

#[test]
fn without_cpufreq_each_core_has_its_line_of_cpuinfo() {
    let cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2596.120\n\nprocessor\t: 1\ncpu MHz\t\t: 1800.5\n";
    let host = LivingHost::without_files();
    host.write("proc/cpuinfo", cpuinfo);
    let frequencies = read(&host.root(), &[0, 1]);
    assert_eq!(frequencies.cores.readings().collect::<Vec<_>>(), [Ok(2596.12), Ok(1800.5)]);
    assert_eq!((frequencies.current, frequencies.min, frequencies.max), (Ok(2198.31), Err(HIDDEN), Err(HIDDEN)));
}

#[test]
fn power_shows_a_clock_with_its_unit() {
    let cpuinfo = "processor\t: 0\ncpu\t\t: POWER9\nclock\t\t: 3425.000000MHz\n";
    assert_eq!(cpuinfo_mhz(cpuinfo), [(0, 3425.0)]);
}

#[test]
fn bogomips_are_no_frequency() {
    let frequencies = read(&recorded("single-core"), &[0]);
    assert_eq!(frequencies.current, Err(HIDDEN));
    assert_eq!(frequencies.cores.get(0), Err(HIDDEN));
}

#[test]
fn what_the_driver_does_not_know_is_absent() {
    let host = LivingHost::from_recorded("hybrid-cpu-with-sensors");
    host.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "<unknown>\n");
    host.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "0\n");
    let frequencies = read(&host.root(), &[0, 1, 4]);
    let failed = Err(UnavailableReason::ReadFailed);
    assert_eq!(frequencies.cores.readings().collect::<Vec<_>>(), [failed, failed, Ok(3400.0)]);
    assert_eq!(frequencies.current, Ok(3400.0));
}

#[test]
fn limits_that_contradict_each_other_are_absent() {
    let host = LivingHost::from_recorded("hybrid-cpu-with-sensors");
    host.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "600000\n");
    let frequencies = read(&host.root(), &[0]);
    let failed = Err(UnavailableReason::ReadFailed);
    assert_eq!((frequencies.current, frequencies.min, frequencies.max), (Ok(4700.0), failed, failed));
}

#[test]
fn a_core_that_came_later_is_pending() {
    let frequencies = read(&recorded("hybrid-cpu-with-sensors"), &[0, 1]);
    assert_eq!(frequencies.cores.get(2), Err(UnavailableReason::Pending));
}
