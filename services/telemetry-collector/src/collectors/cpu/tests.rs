#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use proptest::prelude::*;
use tokio::{runtime, task};

use super::*;
use crate::collectors::system::MockSystemInfo;
use crate::collectors::testing::{WritableHost, recorded, sysinfo, sysinfo_with_sensors};
use crate::collectors::{OperatingSystem, ProcessorIdentity, Sensor};
use crate::models::UnavailableField;

/// Longer than any test takes.
const NEVER: Duration = Duration::MAX;
/// Time limit for a condition that a test waits for.
const TIMEOUT: Duration = Duration::from_secs(20);

fn collector(root: HostRoot, system: MockSystemInfo) -> HostCpuCollector {
    HostCpuCollector::new(root, Arc::new(system), NEVER)
}

/// `/proc/stat` of a host whose CPUs (number, user ticks, idle ticks) are these.
fn stat(cores: &[(u32, u64, u64)]) -> String {
    let line = |name: &str, user: u64, idle: u64| format!("cpu{name} {user} 0 0 {idle} 0 0 0 0 0 0\n");
    let user = cores.iter().map(|(_, user, _)| user).sum();
    let idle = cores.iter().map(|(_, _, idle)| idle).sum();
    let cores: String = cores.iter().map(|(id, user, idle)| line(&id.to_string(), *user, *idle)).collect();
    line(" ", user, idle) + &cores + "intr 5 0\n"
}

/// A host with these CPU times, which a test can change, and its collector.
fn writable_host(cores: &[(u32, u64, u64)]) -> (WritableHost, HostCpuCollector) {
    let host = WritableHost::from_recorded("single-core");
    host.write(STAT, stat(cores));
    let collector = collector(host.root(), sysinfo());
    (host, collector)
}

fn reason_of(metrics: &CpuMetrics, field: &str) -> Option<UnavailableReason> {
    metrics.unavailable.iter().find(|absent| absent.field == field).map(UnavailableField::reason)
}

fn usage_by_core(metrics: &CpuMetrics) -> Vec<(u32, Option<f64>)> {
    metrics.cores.iter().map(|core| (core.core_id, core.usage_percent)).collect()
}

/// Asserts that every absent value has a reason, and that no other value has one.
fn assert_complete(metrics: &CpuMetrics) {
    metrics.check().unwrap();
    let frequencies = metrics.frequencies.unwrap_or_default();
    let no_frequencies = reason_of(metrics, "frequencies").is_some();
    assert_eq!(no_frequencies, metrics.frequencies.is_none());
    let mut listed = 0;
    for (field, present) in [
        ("usage_percent", metrics.usage_percent.is_some()),
        ("states", metrics.states.is_some()),
        ("physical_count", metrics.physical_count.is_some()),
        ("load_averages", metrics.load_averages.is_some()),
        ("frequencies", metrics.frequencies.is_some()),
        ("frequencies.current_mhz", frequencies.current_mhz.is_some() || no_frequencies),
        ("frequencies.min_mhz", frequencies.min_mhz.is_some() || no_frequencies),
        ("frequencies.max_mhz", frequencies.max_mhz.is_some() || no_frequencies),
        ("temperature_celsius", metrics.temperature_celsius.is_some()),
    ] {
        assert_eq!(reason_of(metrics, field).is_some(), !present, "{field}");
        listed += usize::from(!present);
    }
    type HasValue = fn(&CoreMetrics) -> bool;
    let fields: [(&str, HasValue); 4] = [
        ("usage_percent", |core| core.usage_percent.is_some()),
        ("states", |core| core.states.is_some()),
        ("frequency_mhz", |core| core.frequency_mhz.is_some()),
        ("temperature_celsius", |core| core.temperature_celsius.is_some()),
    ];
    for (field, has_value) in fields {
        if reason_of(metrics, &format!("cores.{field}")).is_some() {
            assert!(!metrics.cores.iter().any(has_value), "{field}");
            listed += 1;
            continue;
        }
        for core in &metrics.cores {
            let path = format!("cores[{}].{field}", core.core_id);
            assert_eq!(reason_of(metrics, &path).is_some(), !has_value(core), "{path}");
            listed += usize::from(!has_value(core));
        }
    }
    assert_eq!(metrics.unavailable.len(), listed, "{:?}", metrics.unavailable);
}

#[tokio::test]
async fn first_sample_has_no_shares() {
    let mut collector = collector(recorded("vm-without-cpufreq"), sysinfo());
    let metrics = collector.collect_cpu().await.unwrap();

    assert_complete(&metrics);
    for field in ["usage_percent", "states", "cores.usage_percent", "cores.states"] {
        assert_eq!(reason_of(&metrics, field), Some(UnavailableReason::FirstSample), "{field}");
    }
    for field in ["physical_count", "frequencies", "temperature_celsius", "cores.frequency_mhz"] {
        assert_eq!(reason_of(&metrics, field), Some(UnavailableReason::Pending), "{field}");
    }
    assert_eq!((metrics.logical_count, metrics.load_averages.is_some()), (2, true));
}

#[tokio::test]
async fn usage_covers_the_time_since_the_previous_sample() {
    let (host, mut collector) = writable_host(&[(0, 100, 100), (1, 100, 100)]);
    collector.collect_cpu().await.unwrap();

    host.write(STAT, stat(&[(0, 175, 125), (1, 100, 200)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(metrics.usage_percent, Some(37.5));
    assert_eq!(usage_by_core(&metrics), [(0, Some(75.0)), (1, Some(0.0))]);

    host.write(STAT, stat(&[(0, 185, 215), (1, 200, 200)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_eq!(usage_by_core(&metrics), [(0, Some(10.0)), (1, Some(100.0))]);
}

#[tokio::test]
async fn a_sample_within_one_tick_has_no_shares() {
    let (_host, mut collector) = writable_host(&[(0, 100, 100)]);
    collector.collect_cpu().await.unwrap();
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(reason_of(&metrics, "usage_percent"), Some(UnavailableReason::NoProgress));
}

#[tokio::test]
async fn a_counter_reset_costs_its_core_one_sample() {
    let (host, mut collector) = writable_host(&[(0, 100, 100), (7, 100, 100)]);
    collector.collect_cpu().await.unwrap();

    host.write(STAT, stat(&[(0, 500, 150), (7, 5, 150)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert!(metrics.usage_percent.is_some() && metrics.cores[0].usage_percent.is_some());
    assert_eq!(reason_of(&metrics, "cores[7].usage_percent"), Some(UnavailableReason::CounterReset));

    host.write(STAT, stat(&[(0, 550, 200), (7, 55, 200)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_eq!(usage_by_core(&metrics), [(0, Some(50.0)), (7, Some(50.0))]);
}

#[tokio::test]
async fn follows_cpu_hot_plug() {
    let (host, mut collector) = writable_host(&[(0, 100, 100), (1, 100, 100)]);
    collector.collect_cpu().await.unwrap();

    host.write(STAT, stat(&[(0, 150, 150)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_eq!((metrics.logical_count, usage_by_core(&metrics)), (1, vec![(0, Some(50.0))]));

    host.write(STAT, stat(&[(0, 200, 200), (1, 100, 100)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(usage_by_core(&metrics), [(0, Some(50.0)), (1, None)]);
    assert_eq!(reason_of(&metrics, "cores[1].usage_percent"), Some(UnavailableReason::FirstSample));

    host.write(STAT, stat(&[(0, 250, 250), (1, 120, 180)]));
    let metrics = collector.collect_cpu().await.unwrap();
    assert_eq!(usage_by_core(&metrics), [(0, Some(50.0)), (1, Some(20.0))]);
}

#[tokio::test]
async fn usage_covers_the_time_of_failed_readings() {
    let (host, mut collector) = writable_host(&[(0, 100, 100)]);
    collector.collect_cpu().await.unwrap();

    for unreadable in ["", "cpu  900 0 0 900\ncpu0 900 0", "cpu  900 0 0 900\n"] {
        host.write(STAT, unreadable);
        collector.collect_cpu().await.unwrap_err();
    }
    host.write(STAT, stat(&[(0, 120, 180)]));
    assert_eq!(collector.collect_cpu().await.unwrap().usage_percent, Some(20.0));
}

#[tokio::test]
async fn reports_the_file_and_line_that_cannot_be_parsed() {
    for (host, problem) in [("garbage", "line 1: is not UTF-8"), ("truncated", "line 3: is truncated")] {
        let root = recorded(host);
        let mut collector = collector(root.clone(), sysinfo());
        let error = collector.collect().await.unwrap_err();
        let expected = format!("cannot collect CPU times: cannot read {}: {problem}", root.path(STAT).display());
        assert_eq!(report(&error), expected);
        assert!(matches!(error, TelemetryError::Collection { .. }));

        assert!(collector.load_averages().await.is_err(), "{host}");
    }
}

#[tokio::test]
async fn samples_without_load_averages_if_they_cannot_be_read() {
    let (host, mut collector) = writable_host(&[(0, 100, 100)]);
    assert_eq!(collector.load_averages().await.unwrap(), LoadAverages::new(0.08, 0.03, 0.01).unwrap());

    host.write(LOADAVG, "");
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(reason_of(&metrics, "load_averages"), Some(UnavailableReason::ReadFailed));
    assert!(collector.load_averages().await.is_err());
}

#[tokio::test]
async fn samples_a_large_host_with_offline_cpus() {
    let mut collector = collector(recorded("256-core-with-offline"), sysinfo());
    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();

    assert_complete(&metrics);
    assert_eq!(metrics.logical_count, 248);
    let ids: Vec<_> = metrics.cores.iter().map(|core| core.core_id).collect();
    assert_eq!(ids, (0..120).chain(128..256).collect::<Vec<_>>());
    assert_eq!(metrics.cores.last().unwrap().frequency_mhz, Some(2400.255));
    assert_eq!(reason_of(&metrics, "cores[2].frequency_mhz"), Some(UnavailableReason::NotSupported));
}

#[tokio::test]
async fn reports_each_core_of_a_hybrid_cpu() {
    let sensors = [("coretemp Package id 0", 61.0), ("coretemp Core 0", 58.0), ("coretemp Core 8", 51.0)];
    let mut collector = collector(recorded("hybrid-cpu-with-sensors"), sysinfo_with_sensors(&sensors));
    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();

    assert_complete(&metrics);
    assert_eq!(metrics.frequencies, Some(CpuFrequencies::new(Some(4050.0), Some(700.0), Some(5000.0)).unwrap()));
    assert_eq!(metrics.temperature_celsius, Some(61.0));
    let [fast, slow] = [&metrics.cores[1], &metrics.cores[4]];
    assert_eq!((fast.frequency_mhz, fast.temperature_celsius), (Some(4700.0), Some(58.0)));
    assert_eq!((slow.frequency_mhz, slow.temperature_celsius), (Some(3400.0), Some(51.0)));
}

#[tokio::test]
async fn reports_frequency_limits_without_a_current_frequency() {
    let host = WritableHost::from_recorded("hybrid-cpu-with-sensors");
    for core in 0..8 {
        host.write(&format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq"), "<unknown>\n");
    }
    let mut collector = collector(host.root(), sysinfo());
    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();

    assert_complete(&metrics);
    assert_eq!(metrics.frequencies, Some(CpuFrequencies::new(None, Some(700.0), Some(5000.0)).unwrap()));
    assert_eq!(reason_of(&metrics, "frequencies.current_mhz"), Some(UnavailableReason::ReadFailed));
}

#[tokio::test]
async fn reports_virtual_machine_as_the_reason() {
    let mut collector = collector(recorded("vm-without-cpufreq"), sysinfo());
    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();

    assert_complete(&metrics);
    assert!(metrics.frequencies.unwrap().current_mhz.is_some());
    assert_eq!((metrics.vendor.as_str(), metrics.model.as_str()), ("GenuineIntel", "A recorded CPU"));
    for field in ["frequencies.min_mhz", "frequencies.max_mhz", "temperature_celsius", "cores.temperature_celsius"] {
        assert_eq!(reason_of(&metrics, field), Some(UnavailableReason::VirtualMachine), "{field}");
    }
}

#[tokio::test]
async fn reports_reasons_for_a_host_without_frequencies_or_sensors() {
    let mut collector = collector(recorded("single-core"), sysinfo());
    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(reason_of(&metrics, "frequencies"), Some(UnavailableReason::NotSupported));
    assert_eq!(reason_of(&metrics, "temperature_celsius"), Some(UnavailableReason::NoSensor));
}

/// Takes samples until one is as expected.
async fn collect_until(collector: &mut HostCpuCollector, expected: impl Fn(&CpuMetrics) -> bool) -> CpuMetrics {
    let started = Instant::now();
    loop {
        let metrics = collector.collect_cpu().await.unwrap();
        if expected(&metrics) {
            return metrics;
        }
        assert!(started.elapsed() < TIMEOUT, "still {metrics:?}");
        task::yield_now().await;
    }
}

fn has_slow_readings(metrics: &CpuMetrics) -> bool {
    reason_of(metrics, "physical_count") != Some(UnavailableReason::Pending)
}

#[tokio::test]
async fn samples_include_slow_readings_once_they_are_complete() {
    let mut collector = collector(recorded("hybrid-cpu-with-sensors"), sysinfo());
    let metrics = collect_until(&mut collector, has_slow_readings).await;
    assert_complete(&metrics);
    assert_eq!(metrics.physical_count, Some(1));
}

/// A sysinfo whose sensors hang until the sender sends or is dropped.
fn hanging_sysinfo() -> (mpsc::Sender<()>, MockSystemInfo) {
    let (release, hold) = mpsc::channel();
    let hold = Mutex::new(hold);
    let mut system = MockSystemInfo::new();
    system.expect_processor().returning(ProcessorIdentity::default);
    system.expect_sensors().returning(move |_| {
        hold.lock().unwrap().recv().ok();
        Vec::new()
    });
    (release, system)
}

#[tokio::test]
async fn samples_do_not_wait_for_slow_readings() {
    let (release, system) = hanging_sysinfo();
    let mut collector = collector(recorded("hybrid-cpu-with-sensors"), system);
    for _ in 0..3 {
        let metrics = collector.collect_cpu().await.unwrap();
        assert_eq!(reason_of(&metrics, "frequencies"), Some(UnavailableReason::Pending));
    }
    drop(release);
    assert!(collect_until(&mut collector, has_slow_readings).await.frequencies.is_some());
}

#[tokio::test]
async fn readings_that_hang_longer_than_the_cadence_are_not_reported() {
    let (release, system) = hanging_sysinfo();
    let root = recorded("hybrid-cpu-with-sensors");
    let mut collector = HostCpuCollector::new(root, Arc::new(system), Duration::ZERO);
    release.send(()).unwrap();
    collector.refresh_slow_readings().await;

    collector.collect_cpu().await.unwrap();
    let metrics = collector.collect_cpu().await.unwrap();
    drop(release);
    assert_eq!(reason_of(&metrics, "frequencies"), Some(UnavailableReason::ReadFailed));
}

/// A sysinfo that panics once. It is not a mock, because a mock that has panicked panics at every later call.
#[derive(Default)]
struct PanicsOnce {
    has_panicked: AtomicBool,
}

impl SystemInfo for PanicsOnce {
    fn processor(&self) -> ProcessorIdentity {
        ProcessorIdentity::default()
    }

    fn sensors(&self, _wanted: fn(&str) -> bool) -> Vec<Sensor> {
        assert!(self.has_panicked.swap(true, Ordering::Relaxed), "panic on the first call");
        vec![Sensor { label: "k10temp Tctl".into(), celsius: Some(44.0) }]
    }

    fn operating_system(&self) -> OperatingSystem {
        unimplemented!("not used by the collector")
    }

    fn usage(&self) -> SystemUsage {
        unimplemented!("the host has /proc/stat")
    }

    fn load_averages(&self) -> Option<LoadAverages> {
        unimplemented!("the host has /proc/loadavg")
    }

    fn frequencies(&self) -> Vec<Option<f64>> {
        unimplemented!("the host has cpufreq")
    }
}

#[tokio::test]
async fn retries_a_slow_reading_that_panicked() {
    let root = recorded("hybrid-cpu-with-sensors");
    let mut collector = HostCpuCollector::new(root, Arc::new(PanicsOnce::default()), NEVER);

    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(reason_of(&metrics, "temperature_celsius"), Some(UnavailableReason::ReadFailed));

    collector.refresh_slow_readings().await;
    assert_eq!(collector.collect_cpu().await.unwrap().temperature_celsius, Some(44.0));
}

#[tokio::test]
async fn reads_again_at_once_after_cpu_hot_plug() {
    let host = WritableHost::from_recorded("hybrid-cpu-with-sensors");
    let all = fs::read_to_string(host.root().path(STAT)).unwrap();
    let (without_last, _) = all.split_once("cpu7 ").unwrap();
    host.write(STAT, format!("{without_last}intr 5\n"));
    let mut system = MockSystemInfo::new();
    system.expect_sensors().returning(|_| Vec::new());
    system.expect_processor().times(2).returning(ProcessorIdentity::default);
    let mut collector = collector(host.root(), system);
    collector.refresh_slow_readings().await;
    collector.refresh_slow_readings().await;
    collector.collect_cpu().await.unwrap();

    host.write(STAT, all);
    let metrics = collector.collect_cpu().await.unwrap();
    assert_complete(&metrics);
    assert_eq!(reason_of(&metrics, "cores[7].frequency_mhz"), Some(UnavailableReason::Pending));
    let metrics = collect_until(&mut collector, |metrics| metrics.cores[7].frequency_mhz.is_some()).await;
    assert_eq!(metrics.cores[7].frequency_mhz, Some(3400.0));
}

#[tokio::test]
async fn reads_a_host_without_proc_through_sysinfo() {
    let mut system = sysinfo_with_sensors(&[("CPU 1", 48.0)]);
    system
        .expect_usage()
        .returning(|| SystemUsage { percent: Ok(30.0), cores: vec![Ok(20.0), Err(UnavailableReason::ReadFailed)] });
    system.expect_load_averages().times(1).returning(|| LoadAverages::new(1.0, 2.0, 3.0).ok());
    system.expect_load_averages().returning(|| None);
    system.expect_frequencies().returning(|| vec![Some(3200.0), None]);
    let host = WritableHost::without_files();
    let mut collector = collector(host.root(), system);
    collector.refresh_slow_readings().await;
    let metrics = collector.collect_cpu().await.unwrap();

    assert_complete(&metrics);
    assert_eq!((metrics.usage_percent, metrics.logical_count), (Some(30.0), 2));
    assert_eq!(usage_by_core(&metrics), [(0, Some(20.0)), (1, None)]);
    assert_eq!(reason_of(&metrics, "states"), Some(UnavailableReason::NotSupported));
    assert_eq!(metrics.load_averages, LoadAverages::new(1.0, 2.0, 3.0).ok());
    assert_eq!((metrics.cores[0].frequency_mhz, metrics.cores[1].frequency_mhz), (Some(3200.0), None));
    assert_eq!(metrics.temperature_celsius, Some(48.0));

    let without_load = collector.collect_cpu().await.unwrap();
    assert_complete(&without_load);
    assert_eq!(reason_of(&without_load, "load_averages"), Some(UnavailableReason::NotSupported));
    assert!(collector.load_averages().await.is_err());
}

#[tokio::test]
async fn collects_the_running_host() {
    let mut collector = crate::collectors::cpu();
    assert_eq!(collector.name(), collector.collect().await.unwrap().group());
    collector.refresh_slow_readings().await;
    assert_complete(&collector.collect_cpu().await.unwrap());
    let metrics = collect_until(&mut collector, |metrics| metrics.usage_percent.is_some()).await;
    assert_complete(&metrics);
    assert!(metrics.load_averages.is_some());
    assert_eq!(metrics.logical_count as usize, metrics.cores.len());
}

/// A `/proc/stat` of arbitrary CPUs and times, up to the largest numbers.
fn any_stat() -> impl Strategy<Value = String> {
    let field = prop_oneof![4 => 0..500u64, 1 => any::<u64>()];
    let line = prop::array::uniform10(field);
    let cores = prop::collection::btree_map(0..12u32, line.clone(), 1..6);
    (line, cores).prop_map(|(total, cores)| {
        let text = |values: [u64; 10]| values.map(|value| value.to_string()).join(" ");
        let cores: String = cores.into_iter().map(|(id, values)| format!("cpu{id} {}\n", text(values))).collect();
        format!("cpu  {}\n{cores}intr 5\n", text(total))
    })
}

fn any_file() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,9}", "[ -~]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_two_readings_make_a_valid_sample(
        stats in prop::array::uniform2(any_stat()),
        loadavg in any_file(),
        khz in prop::array::uniform3(any_file()),
        celsius in any::<f64>(),
    ) {
        let host = WritableHost::without_files();
        host.write(LOADAVG, loadavg);
        for (file, khz) in ["scaling_cur_freq", "cpuinfo_min_freq", "cpuinfo_max_freq"].into_iter().zip(khz) {
            host.write(&format!("sys/devices/system/cpu/cpu1/cpufreq/{file}"), khz);
        }
        host.write(STAT, &stats[0]);
        let sensors = [("coretemp Package id 0", celsius)];
        runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut collector = collector(host.root(), sysinfo_with_sensors(&sensors));
            assert_complete(&collector.collect_cpu().await.unwrap());
            collector.refresh_slow_readings().await;
            host.write(STAT, &stats[1]);
            assert_complete(&collector.collect_cpu().await.unwrap());
        });
    }
}
