//! The metrics of a host that do not depend on a metrics group.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::families::Families;
use crate::fleet::Host;

impl Families<'_, '_> {
    pub(super) fn write_hosts(&mut self, hosts: &[Host]) -> fmt::Result {
        self.gauge(
            ("host_info", None, "Information about a host, as labels; the value is 1"),
            hosts.iter().map(|host| {
                let metadata = &host.newest().metadata;
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
            hosts.iter().flat_map(|host| {
                let mut labels: Vec<_> = host.newest().metadata.labels.iter().collect();
                labels.sort_unstable();
                labels.into_iter().map(|(name, value)| {
                    let host = host.name().to_owned();
                    (vec![("host", host), ("name", name.clone()), ("value", value.clone())], 1.0)
                })
            }),
        )?;
        self.of_hosts(
            hosts,
            (
                "sample_timestamp",
                Some("seconds"),
                "When the newest sample of any metrics group was taken, by the host's clock",
            ),
            |host| {
                let taken = host.newest().envelope.collected_at.duration_since(SystemTime::UNIX_EPOCH);
                taken.ok().as_ref().map(Duration::as_secs_f64)
            },
        )?;
        self.of_hosts(
            hosts,
            (
                "sample_interval",
                Some("seconds"),
                "Current sampling interval, the shortest of the host's metrics groups",
            ),
            |host| Some(host.interval().as_secs_f64()),
        )
    }

    fn of_hosts(
        &mut self,
        hosts: &[Host],
        family: (&str, Option<&str>, &str),
        value: impl Fn(&Host) -> Option<f64>,
    ) -> fmt::Result {
        let samples = hosts.iter().filter_map(|host| Some((vec![("host", host.name().to_owned())], value(host)?)));
        self.gauge(family, samples)
    }
}
