//! The metrics of a host that do not depend on a metrics group.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::Host;
use crate::families::{Families, Family};

impl Families<'_, '_> {
    pub(super) fn write_metadata(&mut self, hosts: &[Host<'_>]) -> fmt::Result {
        self.gauge(
            Family::new("telemetry_host_info", "Information about a host, as labels; the value is 1"),
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
            Family::new("telemetry_host_label", "A label that the operator assigned to a host; the value is 1"),
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
            Family::new(
                "telemetry_sample_timestamp",
                "When the newest sample of any metrics group was taken, by the host's clock",
            )
            .in_unit("seconds"),
            |host| {
                let taken = host.newest().collected_at.duration_since(SystemTime::UNIX_EPOCH);
                taken.ok().as_ref().map(Duration::as_secs_f64)
            },
        )?;
        self.of_hosts(
            hosts,
            Family::new(
                "telemetry_sample_interval",
                "Current sampling interval, the shortest of the host's metrics groups",
            )
            .in_unit("seconds"),
            |host| Some(host.interval().as_secs_f64()),
        )
    }

    fn of_hosts(
        &mut self,
        hosts: &[Host<'_>],
        family: Family<'_>,
        value: impl Fn(&Host<'_>) -> Option<f64>,
    ) -> fmt::Result {
        let samples = hosts.iter().filter_map(|host| Some((vec![("host", host.name().to_owned())], value(host)?)));
        self.gauge(family, samples)
    }
}
