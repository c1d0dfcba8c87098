//! The latest sample of each metrics group of every host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use telemetry_client::consumer::Sample;
use telemetry_client::proto::telemetry_data::Metrics;

/// Name of a metrics group. `None` stands for every group that only a newer schema knows.
type Group = Option<&'static str>;

/// The latest sample of each group.
type Groups = BTreeMap<Group, Arc<Sample>>;

/// The latest sample of each metrics group of every host, by host name. When two collectors use one name, the sample that
/// was taken last counts.
#[derive(Debug)]
pub struct Fleet {
    hosts: Mutex<BTreeMap<String, Groups>>,
    expiry: Duration,
}

/// What is known about one host: a sample of at least one group.
#[derive(Debug)]
pub struct Host(Vec<Arc<Sample>>);

impl Fleet {
    /// An empty fleet that forgets samples older than `expiry`.
    #[must_use]
    pub fn new(expiry: Duration) -> Self {
        Self { hosts: Mutex::default(), expiry }
    }

    /// Adds a sample, unless a newer one of the same host and group is known: the messages of a spool can arrive late.
    pub fn update(&self, sample: &Sample) {
        let mut hosts = self.hosts();
        let groups = hosts.entry(sample.metadata.hostname.clone()).or_default();
        let group = sample.metrics.as_ref().map(Metrics::group);
        let known = groups.get(&group);
        if known.is_none_or(|known| known.envelope.collected_at <= sample.envelope.collected_at) {
            groups.insert(group, Arc::new(sample.clone()));
        }
    }

    /// All hosts with the samples that are not stale at `now`, by host name. Stale samples, and hosts without any other,
    /// are forgotten.
    ///
    /// A sample's age counts from when it was taken, by the host's clock, and not from when it arrived: a backlog can hold
    /// samples of hosts that no longer exist.
    #[must_use]
    pub fn latest(&self, now: SystemTime) -> Vec<Host> {
        let mut hosts = self.hosts();
        for groups in hosts.values_mut() {
            groups.retain(|_, sample| !metrics(sample).is_stale(now, self.expiry));
        }
        hosts.retain(|_, groups| !groups.is_empty());
        hosts.values().map(|groups| Host(groups.values().cloned().collect())).collect()
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Groups>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// The latest sample of each group.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.0.iter().map(Arc::as_ref)
    }

    /// The host as metrics.
    #[must_use]
    pub fn metrics(&self) -> Option<telemetry_openmetrics::Host<'_>> {
        telemetry_openmetrics::Host::of(self.samples().map(metrics))
    }
}

/// The sample as metrics.
fn metrics(sample: &Sample) -> telemetry_openmetrics::Sample<'_> {
    telemetry_openmetrics::Sample {
        collected_at: sample.envelope.collected_at,
        metadata: &sample.metadata,
        metrics: sample.metrics.as_ref(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{cpu, sample};

    const EXPIRY: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn names(fleet: &Fleet, now: SystemTime) -> Vec<String> {
        fleet.latest(now).iter().map(|host| host.metrics().unwrap().name().to_owned()).collect()
    }

    /// A sample of the group "cpu". Those of `sample` are of a group that a newer schema added.
    fn cpu_sample(host: &str, collected_at: SystemTime, interval: Duration) -> Sample {
        Sample { metrics: Some(cpu().into()), ..sample(host, collected_at, interval) }
    }

    /// The groups of the only host.
    fn groups(fleet: &Fleet, now: SystemTime) -> Vec<Group> {
        let hosts = fleet.latest(now);
        assert_eq!(hosts.len(), 1, "{hosts:?}");
        hosts[0].samples().map(|sample| sample.metrics.as_ref().map(Metrics::group)).collect()
    }

    #[test]
    fn a_stale_host_is_forgotten_and_a_slow_one_is_not() {
        let (fleet, now) = (Fleet::new(EXPIRY), SystemTime::now());
        fleet.update(&sample("quick", now, SECOND));
        fleet.update(&sample("slow", now, Duration::from_secs(600)));
        fleet.update(&sample("ahead", now + 10 * EXPIRY, SECOND));
        assert_eq!(names(&fleet, now + EXPIRY), ["ahead", "quick", "slow"]);
        assert_eq!(names(&fleet, now + 2 * EXPIRY), ["ahead", "slow"]);
        assert_eq!(names(&fleet, now), ["ahead", "slow"], "it is gone, not hidden");
    }

    #[test]
    fn a_late_sample_does_not_replace_a_newer_one() {
        let (fleet, now) = (Fleet::new(EXPIRY), SystemTime::now());
        fleet.update(&sample("host", now, SECOND));
        fleet.update(&sample("host", now - EXPIRY, SECOND));
        assert_eq!(fleet.latest(now)[0].metrics().unwrap().newest().collected_at, now);
    }

    #[test]
    fn groups_of_one_host_do_not_replace_each_other() {
        let (fleet, now) = (Fleet::new(EXPIRY), SystemTime::now());
        fleet.update(&cpu_sample("host", now, SECOND));
        fleet.update(&sample("host", now + SECOND, SECOND));
        assert_eq!(groups(&fleet, now), [None, Some("cpu")]);
        assert_eq!(fleet.latest(now)[0].metrics().unwrap().newest().collected_at, now + SECOND);

        // Older than the other group's sample, and newer than its own.
        fleet.update(&cpu_sample("host", now + SECOND / 2, SECOND));
        let times: Vec<_> = fleet.latest(now)[0].samples().map(|sample| sample.envelope.collected_at).collect();
        assert_eq!(times, [now + SECOND, now + SECOND / 2]);
    }

    #[test]
    fn each_group_expires_by_its_own_age_and_interval() {
        let (fleet, now) = (Fleet::new(EXPIRY), SystemTime::now());
        fleet.update(&cpu_sample("host", now, SECOND));
        fleet.update(&sample("host", now, EXPIRY));
        assert_eq!(fleet.latest(now)[0].metrics().unwrap().interval(), SECOND);
        assert_eq!(groups(&fleet, now + 2 * EXPIRY), [None], "three of its intervals have not passed");
        assert_eq!(fleet.latest(now + 2 * EXPIRY)[0].metrics().unwrap().interval(), EXPIRY);
        assert!(names(&fleet, now + 4 * EXPIRY).is_empty());
    }
}
