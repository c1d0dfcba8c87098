//! The latest sample of every host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use telemetry_client::consumer::Sample;

/// A host at a slow pace is served for this many of its intervals, whatever the expiry.
const INTERVALS: u32 = 3;

/// The latest sample of every host, by host name. Of two collectors under one name, whichever sampled last is seen.
#[derive(Debug)]
pub struct Fleet {
    hosts: Mutex<BTreeMap<String, Arc<Sample>>>,
    expiry: Duration,
}

impl Fleet {
    /// An empty fleet, whose hosts are forgotten when their latest sample is older than `expiry`.
    #[must_use]
    pub fn new(expiry: Duration) -> Self {
        Self { hosts: Mutex::default(), expiry }
    }

    /// Takes a sample in, unless a newer one of the same host is there: a collector's spool can come late.
    pub fn update(&self, sample: &Sample) {
        let mut hosts = self.hosts();
        let known = hosts.get(&sample.metadata.hostname);
        if known.is_none_or(|known| known.envelope.collected_at <= sample.envelope.collected_at) {
            hosts.insert(sample.metadata.hostname.clone(), Arc::new(sample.clone()));
        }
    }

    /// The samples of all hosts that are not stale at `now`, by host name. The others are forgotten.
    ///
    /// The age is that of the sample, by the host's clock, and not of its arrival: a backlog holds samples of hosts that
    /// are long gone.
    #[must_use]
    pub fn latest(&self, now: SystemTime) -> Vec<Arc<Sample>> {
        let mut hosts = self.hosts();
        hosts.retain(|_, sample| {
            // A host whose clock is ahead has an age of 0.
            let age = now.duration_since(sample.envelope.collected_at).unwrap_or_default();
            age <= self.expiry.max(interval(sample).saturating_mul(INTERVALS))
        });
        hosts.values().cloned().collect()
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Sample>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sampling interval in force when the sample was taken.
pub(crate) fn interval(sample: &Sample) -> Duration {
    sample.metadata.interval.and_then(|interval| interval.try_into().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample;

    const EXPIRY: Duration = Duration::from_secs(60);

    fn names(fleet: &Fleet, now: SystemTime) -> Vec<String> {
        fleet.latest(now).iter().map(|sample| sample.metadata.hostname.clone()).collect()
    }

    #[test]
    fn a_stale_host_is_forgotten_and_a_slow_one_is_not() {
        let (fleet, now) = (Fleet::new(EXPIRY), SystemTime::now());
        fleet.update(&sample("quick", now, Duration::from_secs(1)));
        fleet.update(&sample("slow", now, Duration::from_secs(600)));
        fleet.update(&sample("ahead", now + 10 * EXPIRY, Duration::from_secs(1)));
        assert_eq!(names(&fleet, now + EXPIRY), ["ahead", "quick", "slow"]);
        assert_eq!(names(&fleet, now + 2 * EXPIRY), ["ahead", "slow"]);
        assert_eq!(names(&fleet, now), ["ahead", "slow"], "it is gone, not hidden");
    }

    #[test]
    fn what_comes_late_does_not_replace_what_is_newer() {
        let (fleet, now) = (Fleet::new(EXPIRY), SystemTime::now());
        fleet.update(&sample("host", now, Duration::from_secs(1)));
        fleet.update(&sample("host", now - EXPIRY, Duration::from_secs(1)));
        assert_eq!(fleet.latest(now)[0].envelope.collected_at, now);
    }
}
