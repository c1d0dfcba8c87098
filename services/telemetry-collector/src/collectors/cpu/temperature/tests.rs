use super::*;
use crate::collectors::testing::{recorded, sysinfo_with_sensors};

const MISSING_REASON: UnavailableReason = UnavailableReason::NoSensor;

fn hybrid(sensors: &[(&str, f64)]) -> Temperatures {
    let cores = [0, 1, 2, 3, 4, 5, 6, 7];
    Temperatures::read(&recorded("hybrid-cpu-with-sensors"), &sysinfo_with_sensors(sensors), &cores, MISSING_REASON)
}

#[test]
fn threads_of_one_core_share_its_sensor() {
    let temperatures = hybrid(&[
        ("coretemp Package id 0", 61.0),
        ("coretemp Core 0", 58.0),
        ("coretemp Core 4", 60.0),
        ("coretemp Core 8", 51.0),
        ("coretemp Core 9", f64::NAN),
        ("nvme Composite", 70.0),
    ]);
    assert_eq!(temperatures.package, Ok(61.0));
    let (none, failed) = (Err(UnavailableReason::NoSensor), Err(UnavailableReason::ReadFailed));
    let expected = [Ok(58.0), Ok(58.0), Ok(60.0), Ok(60.0), Ok(51.0), failed, none, none];
    assert_eq!(temperatures.cores.readings().collect::<Vec<_>>(), expected);
}

#[test]
fn only_cpu_sensors_count() {
    for (label, expected) in [
        ("coretemp Package id 1", Some(Spot::Package)),
        ("coretemp Physical id 0", Some(Spot::Package)),
        ("coretemp Core 12", Some(Spot::Core(12))),
        ("k10temp Tctl", Some(Spot::Control)),
        ("k10temp Tdie", Some(Spot::Package)),
        ("k10temp Tccd1", Some(Spot::Package)),
        ("zenpower Tdie", Some(Spot::Package)),
        ("cpu_thermal temp1", Some(Spot::Package)),
        ("cpu-thermal temp1", Some(Spot::Package)),
        ("CPU 1", Some(Spot::Package)),
        ("thinkpad CPU", Some(Spot::Package)),
        ("acpitz temp1", None),
        ("amdgpu edge", None),
        ("nvme Composite Samsung SSD", None),
        ("coretemp Core x", None),
        ("", None),
        ("é", None),
    ] {
        assert_eq!(spot(label), expected, "{label:?}");
    }
}

#[test]
fn reports_the_hottest_package() {
    let temperatures = hybrid(&[("coretemp Package id 0", 40.0), ("coretemp Package id 1", 45.0)]);
    assert_eq!(temperatures.package, Ok(45.0));
    assert_eq!(temperatures.cores.get(0), Err(MISSING_REASON));
}

#[test]
fn uses_the_control_value_only_if_there_is_no_other() {
    assert_eq!(hybrid(&[("k10temp Tctl", 70.0), ("k10temp Tdie", 43.0)]).package, Ok(43.0));
    assert_eq!(hybrid(&[("k10temp Tctl", 70.0)]).package, Ok(70.0));
}

#[test]
fn implausible_values_are_read_failures() {
    for celsius in [f64::NAN, f64::INFINITY, -128.0, 255.5] {
        let temperatures = hybrid(&[("coretemp Package id 0", celsius)]);
        assert_eq!(temperatures.package, Err(UnavailableReason::ReadFailed), "{celsius}");
    }
}

#[test]
fn a_host_without_sensors_has_no_temperature() {
    let temperatures = hybrid(&[]);
    assert_eq!((temperatures.package, temperatures.cores.get(0)), (Err(MISSING_REASON), Err(MISSING_REASON)));
}

#[test]
fn core_sensors_are_ambiguous_with_several_packages() {
    let system = sysinfo_with_sensors(&[("coretemp Core 0", 50.0), ("coretemp Package id 1", 51.0)]);
    let temperatures = Temperatures::read(&recorded("256-core-with-offline"), &system, &[0, 255], MISSING_REASON);
    assert_eq!(temperatures.package, Ok(51.0));
    assert_eq!(temperatures.cores.get(0), Err(UnavailableReason::NotSupported));
}
