//! What `/metrics` serves: the fleet and the exporter itself.

mod exporter;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use telemetry_client::consumer::Counters;
use telemetry_openmetrics::{Exposition, Families, Source, write_hosts};

use self::exporter::write_exporter;
use crate::fleet::{Fleet, Host};
use crate::intake::Tally;

#[derive(Debug)]
struct State {
    fleet: Arc<Fleet>,
    tally: Arc<Tally>,
    counters: Vec<Counters>,
}

/// A page with the state of these at each scrape.
#[must_use]
pub fn of(fleet: Arc<Fleet>, tally: Arc<Tally>, counters: Vec<Counters>) -> Exposition {
    Exposition::new(State { fleet, tally, counters })
}

impl Source for State {
    fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let hosts = self.fleet.latest(SystemTime::now());
        write_hosts(families, &hosts.iter().filter_map(Host::metrics).collect::<Vec<_>>())?;
        write_exporter(families, &self.tally, &self.counters, hosts.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use telemetry_client::consumer::Sample;
    use telemetry_openmetrics::Format;

    use super::*;
    use crate::testing::{cpu, sample};

    fn exposition(hosts: &[Sample]) -> Exposition {
        let fleet = Fleet::new(Duration::from_secs(60));
        hosts.iter().for_each(|sample| fleet.update(sample));
        of(Arc::new(fleet), Arc::default(), vec![Counters::default()])
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
}
