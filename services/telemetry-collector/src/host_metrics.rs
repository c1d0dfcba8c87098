//! The latest sample of this host in OpenTelemetry, under the names of its semantic conventions for systems.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use telemetry_openmetrics::Sample;
use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{CoreMetrics, CpuMetrics, CpuStates};

use crate::models::TelemetryMessage;
use crate::sampler::SnapshotReader;

/// A sample is no longer exported when it is older than this, or than three of its intervals if that is longer; as by `/metrics`.
const EXPIRY: Duration = Duration::from_secs(300);

const PROCESSOR: &str = "cpu.logical_number";
const MODE: &str = "cpu.mode";

/// Offers the latest sample to `meter`, which reads it whenever it exports.
pub(crate) fn export_to(meter: &Meter, snapshots: &SnapshotReader) {
    let gauge = |name, unit, what| meter.f64_observable_gauge(name).with_unit(unit).with_description(what);
    let count = |name, what| meter.i64_observable_up_down_counter(name).with_unit("{cpu}").with_description(what);
    let of_cpu = |observe: fn(&CpuMetrics, &dyn AsyncInstrument<f64>)| with_cpu(snapshots, observe);

    let utilization = "Share of the time that each processor spent in each mode between the last two samples";
    gauge("system.cpu.utilization", "1", utilization).with_callback(of_cpu(observe_utilization)).build();
    let frequency = "Current clock frequency of each processor";
    gauge("system.cpu.frequency", "Hz", frequency).with_callback(of_cpu(observe_frequency)).build();

    let logical = with_cpu(snapshots, |cpu, observer| observer.observe(i64::from(cpu.logical_count), &[]));
    count("system.cpu.logical.count", "Logical processors").with_callback(logical).build();
    let physical = with_cpu(snapshots, |cpu, observer| {
        if let Some(cores) = cpu.physical_count {
            observer.observe(i64::from(cores), &[]);
        }
    });
    count("system.cpu.physical.count", "Physical cores").with_callback(physical).build();
}

/// A callback that observes the latest CPU sample, while it is current.
fn with_cpu<T>(
    snapshots: &SnapshotReader,
    observe: fn(&CpuMetrics, &dyn AsyncInstrument<T>),
) -> impl Fn(&dyn AsyncInstrument<T>) + Send + Sync + use<T> {
    let snapshots = snapshots.clone();
    move |observer| {
        let now = SystemTime::now();
        for snapshot in snapshots.latest() {
            if let Some(cpu) = current_cpu(&snapshot.message, now) {
                observe(cpu, observer);
            }
        }
    }
}

fn current_cpu(message: &TelemetryMessage, now: SystemTime) -> Option<&CpuMetrics> {
    let Some(Payload::Data(data)) = &message.payload else { return None };
    let Some(Metrics::Cpu(cpu)) = &data.metrics else { return None };
    let collected_at = message.collected_at?.try_into().ok()?;
    let sample = Sample { collected_at, metadata: data.metadata.as_ref()?, metrics: data.metrics.as_ref() };
    (!sample.is_stale(now, EXPIRY)).then_some(cpu)
}

fn observe_utilization(cpu: &CpuMetrics, observer: &dyn AsyncInstrument<f64>) {
    for core in &cpu.cores {
        for (mode, percent) in core.states.iter().flat_map(modes) {
            observer.observe(percent / 100.0, &[processor(core), KeyValue::new(MODE, mode)]);
        }
    }
}

fn observe_frequency(cpu: &CpuMetrics, observer: &dyn AsyncInstrument<f64>) {
    for core in &cpu.cores {
        if let Some(megahertz) = core.frequency_mhz {
            observer.observe(megahertz * 1e6, &[processor(core)]);
        }
    }
}

fn processor(core: &CoreMetrics) -> KeyValue {
    KeyValue::new(PROCESSOR, i64::from(core.core_id))
}

/// The states that add up to the whole time. Those of guests are part of user and nice.
fn modes(states: &CpuStates) -> [(&'static str, f64); 8] {
    [
        ("user", states.user_percent),
        ("nice", states.nice_percent),
        ("system", states.system_percent),
        ("idle", states.idle_percent),
        ("iowait", states.iowait_percent),
        ("interrupt", states.irq_percent),
        ("softirq", states.softirq_percent),
        ("steal", states.steal_percent),
    ]
}
