#![allow(clippy::unwrap_used)]

use super::*;
use crate::collectors::testing::{WritableHost, recorded};

const MISSING_REASON: UnavailableReason = UnavailableReason::VirtualMachine;

fn read(root: &HostRoot, cores: &[u32]) -> Frequencies {
    Frequencies::read(root, cores, MISSING_REASON)
}

#[test]
fn reads_a_frequency_for_each_core_of_a_hybrid_cpu() {
    let frequencies = read(&recorded("hybrid-cpu-with-sensors"), &[0, 3, 4, 7]);
    assert_eq!(frequencies.cores.readings().collect::<Vec<_>>(), [Ok(4700.0), Ok(4700.0), Ok(3400.0), Ok(3400.0)]);
    assert_eq!((frequencies.current, frequencies.min, frequencies.max), (Ok(4050.0), Ok(700.0), Ok(5000.0)));
}

#[test]
fn reads_cpuinfo_for_each_core_without_cpufreq() {
    let cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2596.120\n\nprocessor\t: 1\ncpu MHz\t\t: 1800.5\n";
    let host = WritableHost::without_files();
    host.write("proc/cpuinfo", cpuinfo);
    let frequencies = read(&host.root(), &[0, 1]);
    assert_eq!(frequencies.cores.readings().collect::<Vec<_>>(), [Ok(2596.12), Ok(1800.5)]);
    assert_eq!(
        (frequencies.current, frequencies.min, frequencies.max),
        (Ok(2198.31), Err(MISSING_REASON), Err(MISSING_REASON))
    );
}

#[test]
fn reads_the_clock_of_power_with_its_unit() {
    let cpuinfo = "processor\t: 0\ncpu\t\t: POWER9\nclock\t\t: 3425.000000MHz\n";
    assert_eq!(cpuinfo_mhz(cpuinfo), [(0, 3425.0)]);
}

#[test]
fn does_not_take_bogomips_for_a_frequency() {
    let frequencies = read(&recorded("single-core"), &[0]);
    assert_eq!(frequencies.current, Err(MISSING_REASON));
    assert_eq!(frequencies.cores.get(0), Err(MISSING_REASON));
}

#[test]
fn a_frequency_unknown_to_the_driver_is_absent() {
    let host = WritableHost::from_recorded("hybrid-cpu-with-sensors");
    host.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "<unknown>\n");
    host.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "0\n");
    let frequencies = read(&host.root(), &[0, 1, 4]);
    let failed = Err(UnavailableReason::ReadFailed);
    assert_eq!(frequencies.cores.readings().collect::<Vec<_>>(), [failed, failed, Ok(3400.0)]);
    assert_eq!(frequencies.current, Ok(3400.0));
}

#[test]
fn contradictory_limits_are_absent() {
    let host = WritableHost::from_recorded("hybrid-cpu-with-sensors");
    host.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "600000\n");
    let frequencies = read(&host.root(), &[0]);
    let failed = Err(UnavailableReason::ReadFailed);
    assert_eq!((frequencies.current, frequencies.min, frequencies.max), (Ok(4700.0), failed, failed));
}

#[test]
fn a_core_that_comes_online_later_is_pending() {
    let frequencies = read(&recorded("hybrid-cpu-with-sensors"), &[0, 1]);
    assert_eq!(frequencies.cores.get(2), Err(UnavailableReason::Pending));
}
