//! The metrics group "cpu".

use std::fmt;

use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::{CoreMetrics, CpuMetrics, CpuStates};

use super::Host;
use crate::families::{Families, Family};

impl Families<'_, '_> {
    pub(super) fn write_cpus(&mut self, hosts: &[Host<'_>]) -> fmt::Result {
        let cpu = |name, unit, help| Family::new(name, help).in_unit(unit);
        self.of_cpus(hosts, cpu("telemetry_cpu_usage", "ratio", "Share of time that the CPUs were busy"), |cpu| {
            cpu.usage_percent.map(ratio)
        })?;
        self.gauge(
            cpu("telemetry_cpu_state", "ratio", "Share of time that the CPUs spent in a state; guest is part of user"),
            cpus(hosts).flat_map(|(host, cpu)| {
                let states = cpu.states.iter().flat_map(named_states);
                states.map(|(state, percent)| {
                    (vec![("host", host.to_owned()), ("state", state.to_owned())], ratio(percent))
                })
            }),
        )?;
        self.of_cpus(
            hosts,
            cpu("telemetry_cpu_frequency", "hertz", "Mean current clock frequency of all CPUs"),
            |cpu| cpu.frequencies?.current_mhz.map(hertz),
        )?;
        self.of_cpus(
            hosts,
            cpu("telemetry_cpu_frequency_min", "hertz", "Lowest clock frequency that any CPU supports"),
            |cpu| cpu.frequencies?.min_mhz.map(hertz),
        )?;
        self.of_cpus(
            hosts,
            cpu("telemetry_cpu_frequency_max", "hertz", "Highest clock frequency that any CPU supports"),
            |cpu| cpu.frequencies?.max_mhz.map(hertz),
        )?;
        self.of_cpus(
            hosts,
            cpu("telemetry_cpu_temperature", "celsius", "Temperature of the hottest CPU package"),
            |cpu| cpu.temperature_celsius,
        )?;
        self.of_cpus(hosts, Family::new("telemetry_cpu_logical_processors", "Online logical CPUs"), |cpu| {
            Some(cpu.logical_count.into())
        })?;
        self.of_cpus(hosts, Family::new("telemetry_cpu_physical_cores", "Physical cores"), |cpu| {
            cpu.physical_count.map(Into::into)
        })?;
        self.gauge(
            Family::new("telemetry_load_average", "System load average over a window"),
            cpus(hosts).flat_map(|(host, cpu)| {
                let loads = cpu.load_averages.iter();
                let windows = loads.flat_map(|load| [("1m", load.one), ("5m", load.five), ("15m", load.fifteen)]);
                windows.map(|(window, load)| (vec![("host", host.to_owned()), ("window", window.to_owned())], load))
            }),
        )?;
        self.of_cores(
            hosts,
            cpu("telemetry_cpu_core_usage", "ratio", "Share of time that the logical CPU was busy"),
            |core| core.usage_percent.map(ratio),
        )?;
        self.of_cores(
            hosts,
            cpu("telemetry_cpu_core_frequency", "hertz", "Current clock frequency of the logical CPU"),
            |core| core.frequency_mhz.map(hertz),
        )?;
        self.of_cores(
            hosts,
            cpu(
                "telemetry_cpu_core_temperature",
                "celsius",
                "Temperature of the physical core that the logical CPU belongs to",
            ),
            |core| core.temperature_celsius,
        )
    }

    fn of_cpus(
        &mut self,
        hosts: &[Host<'_>],
        family: Family<'_>,
        value: impl Fn(&CpuMetrics) -> Option<f64>,
    ) -> fmt::Result {
        let samples = cpus(hosts).filter_map(|(host, cpu)| Some((vec![("host", host.to_owned())], value(cpu)?)));
        self.gauge(family, samples)
    }

    fn of_cores(
        &mut self,
        hosts: &[Host<'_>],
        family: Family<'_>,
        value: impl Fn(&CoreMetrics) -> Option<f64>,
    ) -> fmt::Result {
        let cores = cpus(hosts).flat_map(|(host, cpu)| cpu.cores.iter().map(move |core| (host, core)));
        let samples = cores.filter_map(|(host, core)| {
            Some((vec![("host", host.to_owned()), ("core", core.core_id.to_string())], value(core)?))
        });
        self.gauge(family, samples)
    }
}

/// The CPU metrics of each host that has them, with the host's name.
fn cpus<'a>(hosts: &[Host<'a>]) -> impl Iterator<Item = (&'a str, &'a CpuMetrics)> {
    hosts.iter().flat_map(|host| {
        let groups = host.samples().filter_map(|sample| sample.metrics);
        groups.map(|Metrics::Cpu(cpu)| (host.name(), cpu))
    })
}

fn named_states(states: &CpuStates) -> [(&'static str, f64); 10] {
    [
        ("user", states.user_percent),
        ("nice", states.nice_percent),
        ("system", states.system_percent),
        ("idle", states.idle_percent),
        ("iowait", states.iowait_percent),
        ("irq", states.irq_percent),
        ("softirq", states.softirq_percent),
        ("steal", states.steal_percent),
        ("guest", states.guest_percent),
        ("guest_nice", states.guest_nice_percent),
    ]
}

fn ratio(percent: f64) -> f64 {
    percent / 100.0
}

fn hertz(mhz: f64) -> f64 {
    mhz * 1e6
}
