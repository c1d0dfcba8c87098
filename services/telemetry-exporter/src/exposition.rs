//! Metrics of the fleet in the text formats of Prometheus.
//!
//! Values are in base units, as Prometheus recommends: ratios from 0 to 1, hertz, seconds, degrees Celsius. Values that
//! a host does not have are absent. Each metrics group has a file of its own in `exposition/`.

mod cpu;
mod exporter;
mod families;
mod host;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use telemetry_client::consumer::Counters;

use self::families::Families;
use crate::fleet::Fleet;
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
        families.write_exporter(&self.tally, &self.counters, hosts.len())
    }
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
    use std::time::Duration;

    use telemetry_client::consumer::Sample;

    use super::*;
    use crate::testing::{cpu, sample};

    fn exposition(hosts: &[Sample]) -> Exposition {
        let fleet = Fleet::new(Duration::from_secs(60));
        hosts.iter().for_each(|sample| fleet.update(sample));
        Exposition::new(Arc::new(fleet), Arc::default(), vec![Counters::default()])
    }

    fn host(name: &str) -> Sample {
        cpu_sample(name, SystemTime::now(), Duration::from_secs(1))
    }

    fn cpu_sample(name: &str, collected_at: SystemTime, interval: Duration) -> Sample {
        Sample { metrics: Some(cpu().into()), ..sample(name, collected_at, interval) }
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

    /// The lines that begin with this name.
    fn series<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.starts_with(name)).collect()
    }

    #[test]
    fn second_group_leaves_the_series_of_the_first_unchanged() {
        let time = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        let first = cpu_sample("web-7", time(0), Duration::from_secs(10));
        // A group of a newer schema is what a second group looks like today.
        let second = sample("web-7", time(5), Duration::from_secs(2));
        let (one, both) = (exposition(std::slice::from_ref(&first)), exposition(&[first, second.clone()]));
        let (one, both) = (one.write(Format::OpenMetrics).unwrap(), both.write(Format::OpenMetrics).unwrap());

        assert!(!series(&one, "telemetry_cpu_").is_empty());
        for name in ["telemetry_cpu_", "telemetry_load_", "telemetry_host_", "telemetry_exporter_"] {
            assert_eq!(series(&both, name), series(&one, name));
        }
        let newest = second.envelope.collected_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        let [timestamp] = series(&both, "telemetry_sample_timestamp_seconds{")[..] else { panic!("{both}") };
        let (labels, value) = timestamp.split_once(' ').unwrap();
        assert_eq!(labels, r#"telemetry_sample_timestamp_seconds{host="web-7"}"#);
        assert!((value.parse::<f64>().unwrap() - newest).abs() < 1e-3, "{value} is not {newest}");
        assert_eq!(
            series(&both, "telemetry_sample_interval_seconds{"),
            [r#"telemetry_sample_interval_seconds{host="web-7"} 2.0"#]
        );
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
