//! Metrics of the fleet in the text formats of Prometheus.
//!
//! Values are in base units, as Prometheus recommends: ratios from 0 to 1, hertz, seconds, degrees Celsius. Values that
//! a host does not have are absent.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use telemetry_client::consumer::{Counters, Sample};
use telemetry_client::proto::telemetry_data::Metrics;
use telemetry_client::proto::{CoreMetrics, CpuMetrics, CpuStates};

use crate::fleet::{Fleet, interval};
use crate::intake::Tally;

/// A text format that a scraper can request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Version 0.0.4 of the Prometheus text format, which every scraper supports.
    Text,
}

impl Format {
    /// Selects the format for a request with this `Accept` header.
    #[must_use]
    pub fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of the response.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All metrics that `/metrics` serves.
#[derive(Debug)]
pub struct Exposition(Registry);

#[derive(Debug)]
struct Sources {
    fleet: Arc<Fleet>,
    tally: Arc<Tally>,
    counters: Vec<Counters>,
}

impl Exposition {
    /// Serves the state of these at each scrape.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, tally: Arc<Tally>, counters: Vec<Counters>) -> Self {
        let mut registry = Registry::with_prefix("telemetry");
        registry.register_collector(Box::new(Sources { fleet, tally, counters }));
        Self(registry)
    }

    /// Encodes the current values.
    ///
    /// # Errors
    /// If the encoder fails, which is not expected to happen.
    pub fn write(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => to_older_text(&text),
        })
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let hosts = self.fleet.latest(SystemTime::now());
        let mut families = Families(&mut encoder);
        families.write_hosts(&hosts)?;
        families.write_cpus(&hosts)?;
        families.write_exporter(self, hosts.len())
    }
}

type Labels = Vec<(&'static str, String)>;

/// Writes one metric family at a time: Prometheus requires the samples of a family to be contiguous.
struct Families<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    fn gauge(
        &mut self,
        (name, unit, help): (&str, Option<&str>, &str),
        samples: impl Iterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in samples {
            // Without labels, the library would write empty braces.
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&escaped(labels))?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<[(String, String); 0], _, f64>(&value, None)
    }

    fn write_hosts(&mut self, hosts: &[Arc<Sample>]) -> fmt::Result {
        self.gauge(
            ("host_info", None, "Information about a host, as labels; the value is 1"),
            hosts.iter().map(|sample| {
                let metadata = &sample.metadata;
                let labels = vec![
                    ("host", metadata.hostname.clone()),
                    ("host_id", metadata.host_id.clone()),
                    ("os", metadata.os.clone()),
                    ("kernel", metadata.kernel.clone()),
                    ("arch", metadata.arch.clone()),
                    ("virtualization", metadata.virtualization.clone().unwrap_or_default()),
                    ("collector_version", metadata.collector_version.clone()),
                ];
                (labels, 1.0)
            }),
        )?;
        self.gauge(
            ("host_label", None, "A label that the operator assigned to a host; the value is 1"),
            hosts.iter().flat_map(|sample| {
                let mut labels: Vec<_> = sample.metadata.labels.iter().collect();
                labels.sort_unstable();
                labels.into_iter().map(|(name, value)| {
                    let host = sample.metadata.hostname.clone();
                    (vec![("host", host), ("name", name.clone()), ("value", value.clone())], 1.0)
                })
            }),
        )?;
        self.of_hosts(
            hosts,
            ("sample_timestamp", Some("seconds"), "When the latest sample was taken, by the host's clock"),
            |sample| {
                sample
                    .envelope
                    .collected_at
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .ok()
                    .as_ref()
                    .map(Duration::as_secs_f64)
            },
        )?;
        self.of_hosts(hosts, ("sample_interval", Some("seconds"), "Current sampling interval"), |sample| {
            Some(interval(sample).as_secs_f64())
        })
    }

    fn write_cpus(&mut self, hosts: &[Arc<Sample>]) -> fmt::Result {
        let cpu = |name, unit, help| (name, Some(unit), help);
        self.of_cpus(hosts, cpu("cpu_usage", "ratio", "Share of time that the CPUs were busy"), |cpu| {
            cpu.usage_percent.map(ratio)
        })?;
        self.gauge(
            cpu("cpu_state", "ratio", "Share of time that the CPUs spent in a state; guest is part of user"),
            cpus(hosts).flat_map(|(host, cpu)| {
                let states = cpu.states.iter().flat_map(named_states);
                states.map(|(state, percent)| {
                    (vec![("host", host.to_owned()), ("state", state.to_owned())], ratio(percent))
                })
            }),
        )?;
        self.of_cpus(hosts, cpu("cpu_frequency", "hertz", "Mean current clock frequency of all CPUs"), |cpu| {
            cpu.frequencies?.current_mhz.map(hertz)
        })?;
        self.of_cpus(
            hosts,
            cpu("cpu_frequency_min", "hertz", "Lowest clock frequency that any CPU supports"),
            |cpu| cpu.frequencies?.min_mhz.map(hertz),
        )?;
        self.of_cpus(
            hosts,
            cpu("cpu_frequency_max", "hertz", "Highest clock frequency that any CPU supports"),
            |cpu| cpu.frequencies?.max_mhz.map(hertz),
        )?;
        self.of_cpus(hosts, cpu("cpu_temperature", "celsius", "Temperature of the hottest CPU package"), |cpu| {
            cpu.temperature_celsius
        })?;
        self.of_cpus(hosts, ("cpu_logical_processors", None, "Online logical CPUs"), |cpu| {
            Some(cpu.logical_count.into())
        })?;
        self.of_cpus(hosts, ("cpu_physical_cores", None, "Physical cores"), |cpu| cpu.physical_count.map(Into::into))?;
        self.gauge(
            ("load_average", None, "System load average over a window"),
            cpus(hosts).flat_map(|(host, cpu)| {
                let loads = cpu.load_averages.iter();
                let windows = loads.flat_map(|load| [("1m", load.one), ("5m", load.five), ("15m", load.fifteen)]);
                windows.map(|(window, load)| (vec![("host", host.to_owned()), ("window", window.to_owned())], load))
            }),
        )?;
        self.of_cores(hosts, cpu("cpu_core_usage", "ratio", "Share of time that the logical CPU was busy"), |core| {
            core.usage_percent.map(ratio)
        })?;
        self.of_cores(
            hosts,
            cpu("cpu_core_frequency", "hertz", "Current clock frequency of the logical CPU"),
            |core| core.frequency_mhz.map(hertz),
        )?;
        self.of_cores(
            hosts,
            cpu("cpu_core_temperature", "celsius", "Temperature of the physical core that the logical CPU belongs to"),
            |core| core.temperature_celsius,
        )
    }

    fn write_exporter(&mut self, sources: &Sources, hosts: usize) -> fmt::Result {
        let Sources { tally, counters, .. } = sources;
        #[allow(clippy::cast_precision_loss, reason = "no fleet has 2^53 hosts")]
        let hosts = hosts as f64;
        let one = |value| std::iter::once((Vec::new(), value));
        self.gauge(("exporter_hosts", None, "Hosts whose latest sample is served"), one(hosts))?;
        let up = f64::from(u8::from(counters.iter().all(Counters::is_connected)));
        let sum = |count: fn(&Counters) -> u64| counters.iter().map(count).sum();
        self.gauge(("exporter_queue_up", None, "1 while every shard of the queue is connected, else 0"), one(up))?;
        self.counter("exporter_messages", "Messages taken from the queue", sum(Counters::messages))?;
        self.counter("exporter_duplicates", "Duplicate messages that were dropped", sum(Counters::duplicates))?;
        self.counter(
            "exporter_dead_letters",
            "Unreadable messages that were moved to the dead-letter list",
            sum(Counters::dead_letters),
        )?;
        self.counter(
            "exporter_reclaimed",
            "Messages of dead consumers that were returned to the queue",
            sum(Counters::reclaimed),
        )?;
        self.counter("exporter_other_major", "Messages with another major version of the schema", tally.other_major())?;
        self.counter(
            "exporter_gap_numbers",
            "Lost messages that collectors reported in gap records",
            tally.gap_numbers(),
        )?;
        self.counter(
            "exporter_missing_numbers",
            "Messages that did not arrive and that no gap record reports",
            tally.missing_numbers(),
        )?;
        self.counter(
            "exporter_instances",
            "Collector instances seen; each start of a collector is one",
            tally.instances(),
        )
    }

    fn of_hosts(
        &mut self,
        hosts: &[Arc<Sample>],
        family: (&str, Option<&str>, &str),
        value: impl Fn(&Sample) -> Option<f64>,
    ) -> fmt::Result {
        let samples =
            hosts.iter().filter_map(|sample| Some((vec![("host", sample.metadata.hostname.clone())], value(sample)?)));
        self.gauge(family, samples)
    }

    fn of_cpus(
        &mut self,
        hosts: &[Arc<Sample>],
        family: (&str, Option<&str>, &str),
        value: impl Fn(&CpuMetrics) -> Option<f64>,
    ) -> fmt::Result {
        let samples = cpus(hosts).filter_map(|(host, cpu)| Some((vec![("host", host.to_owned())], value(cpu)?)));
        self.gauge(family, samples)
    }

    fn of_cores(
        &mut self,
        hosts: &[Arc<Sample>],
        family: (&str, Option<&str>, &str),
        value: impl Fn(&CoreMetrics) -> Option<f64>,
    ) -> fmt::Result {
        let cores = cpus(hosts).flat_map(|(host, cpu)| cpu.cores.iter().map(move |core| (host, core)));
        let samples = cores.filter_map(|(host, core)| {
            Some((vec![("host", host.to_owned()), ("core", core.core_id.to_string())], value(core)?))
        });
        self.gauge(family, samples)
    }
}

fn cpus(hosts: &[Arc<Sample>]) -> impl Iterator<Item = (&str, &CpuMetrics)> {
    hosts
        .iter()
        .filter_map(|sample| sample.metrics.as_ref().map(|Metrics::Cpu(cpu)| (sample.metadata.hostname.as_str(), cpu)))
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

/// Escapes label values, which the library does not.
fn escaped(labels: Labels) -> Vec<(&'static str, String)> {
    let escape = |value: String| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    labels.into_iter().map(|(name, value)| (name, escape(value))).collect()
}

/// Converts OpenMetrics to the older format, in which the metadata of a counter has the suffix `_total` too, and which
/// has neither `UNIT` nor `EOF` lines.
fn to_older_text(open_metrics: &str) -> String {
    let is_counter = |line: &str| line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(ToOwned::to_owned);
    let counters: HashSet<_> = open_metrics.lines().filter_map(is_counter).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{cpu, sample};

    fn exposition(hosts: &[Sample]) -> Exposition {
        let fleet = Fleet::new(Duration::from_secs(60));
        hosts.iter().for_each(|sample| fleet.update(sample));
        Exposition::new(Arc::new(fleet), Arc::default(), vec![Counters::default()])
    }

    fn host(name: &str) -> Sample {
        let mut sample = sample(name, SystemTime::now(), Duration::from_secs(1));
        sample.metrics = Some(Metrics::Cpu(cpu()));
        sample
    }

    fn assert_has(text: &str, line: &str) {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }

    #[test]
    fn writes_base_units_with_host_and_core_labels() {
        let text = exposition(&[host("web-7")]).write(Format::OpenMetrics).unwrap();
        assert_has(&text, r#"telemetry_cpu_usage_ratio{host="web-7"} 0.125"#);
        assert_has(&text, r#"telemetry_cpu_state_ratio{host="web-7",state="user"} 0.125"#);
        assert_has(&text, r#"telemetry_cpu_core_usage_ratio{host="web-7",core="3"} 0.5"#);
        assert_has(&text, r#"telemetry_cpu_core_frequency_hertz{host="web-7",core="3"} 2500000000.0"#);
        assert_has(&text, r#"telemetry_cpu_temperature_celsius{host="web-7"} 55.5"#);
        assert_has(&text, r#"telemetry_load_average{host="web-7",window="15m"} 3.0"#);
        assert_has(&text, r#"telemetry_sample_interval_seconds{host="web-7"} 1.0"#);
        assert_has(&text, r#"telemetry_host_label{host="web-7",name="rack",value="a1"} 1.0"#);
        assert_has(&text, "telemetry_exporter_hosts 1.0");
        assert_has(&text, "telemetry_exporter_messages_total 0");
        assert_has(&text, "# UNIT telemetry_cpu_usage_ratio ratio");
        assert!(!text.contains("telemetry_cpu_core_temperature_celsius{"), "an absent value is written:\n{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn older_format_has_total_suffix_in_counter_metadata() {
        let text = exposition(&[host("web-7")]).write(Format::Text).unwrap();
        assert_has(&text, "# TYPE telemetry_exporter_messages_total counter");
        assert_has(&text, "# HELP telemetry_exporter_messages_total Messages taken from the queue");
        assert_has(&text, "telemetry_exporter_messages_total 0");
        assert_has(&text, "# TYPE telemetry_cpu_usage_ratio gauge");
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    }

    #[test]
    fn escapes_label_values() {
        let text = exposition(&[host("a\"b\\c\nd")]).write(Format::OpenMetrics).unwrap();
        assert_has(&text, r#"telemetry_cpu_usage_ratio{host="a\"b\\c\nd"} 0.125"#);
    }

    #[test]
    fn selects_the_format_by_the_accept_header() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted_by(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted_by("text/html,*/*"), Format::Text);
        assert_eq!(Format::accepted_by(""), Format::Text);
    }
}
