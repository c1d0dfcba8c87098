//! The latest samples of hosts.

mod cpu;
mod host;

use std::fmt;
use std::time::{Duration, SystemTime};

use telemetry_proto::v1::TelemetryMetadata;
use telemetry_proto::v1::telemetry_data::Metrics;

use crate::families::Families;

/// A sample is current for at least this many of its intervals, whatever the expiry.
const INTERVALS: u32 = 3;

/// The latest sample of one metrics group of one host.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// When it was taken, by the host's clock.
    pub collected_at: SystemTime,
    /// Where and how it was taken.
    pub metadata: &'a TelemetryMetadata,
    /// The metrics; `None` for a group that only a newer schema knows.
    pub metrics: Option<&'a Metrics>,
}

/// What is known about one host: a sample of at least one group.
#[derive(Debug, Clone)]
pub struct Host<'a> {
    newest: Sample<'a>,
    samples: Vec<Sample<'a>>,
}

/// Writes the families of all `hosts`.
///
/// # Errors
/// Those of [`Families`].
pub fn write_hosts(families: &mut Families<'_, '_>, hosts: &[Host<'_>]) -> fmt::Result {
    families.write_metadata(hosts)?;
    families.write_cpus(hosts)
}

impl<'a> Host<'a> {
    /// The host with these samples, one of each group; `None` if there are none.
    #[must_use]
    pub fn of(samples: impl IntoIterator<Item = Sample<'a>>) -> Option<Self> {
        let samples: Vec<_> = samples.into_iter().collect();
        let newest = *samples.iter().max_by_key(|sample| sample.collected_at)?;
        Some(Self { newest, samples })
    }

    /// Name of the host.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.newest.metadata.hostname
    }

    /// The newest sample of any group.
    #[must_use]
    pub fn newest(&self) -> Sample<'a> {
        self.newest
    }

    /// The latest sample of each group.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'a>> {
        self.samples.iter().copied()
    }

    /// The shortest sampling interval of its groups: the newest sample of a healthy host is no older.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.samples().map(|sample| sample.interval()).min().unwrap_or_default()
    }
}

impl Sample<'_> {
    /// The sampling interval in force when it was taken.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.metadata.interval.and_then(|interval| interval.try_into().ok()).unwrap_or_default()
    }

    /// Whether it is older at `now` than `expiry` and than three of its intervals. Its age counts from when it was taken, by
    /// the host's clock, which may be ahead.
    #[must_use]
    pub fn is_stale(&self, now: SystemTime, expiry: Duration) -> bool {
        let age = now.duration_since(self.collected_at).unwrap_or_default();
        age > expiry.max(self.interval().saturating_mul(INTERVALS))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn metadata(interval: Duration) -> TelemetryMetadata {
        TelemetryMetadata { interval: Some(interval.into()), ..TelemetryMetadata::default() }
    }

    #[test]
    fn a_sample_is_stale_after_the_expiry_and_three_intervals() {
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let (quick, slow) = (metadata(second), metadata(60 * second));
        let is_stale = |metadata, age: Duration| {
            Sample { collected_at: now - age, metadata, metrics: None }.is_stale(now, 10 * second)
        };
        assert_eq!((is_stale(&quick, 10 * second), is_stale(&quick, 11 * second)), (false, true));
        assert_eq!((is_stale(&slow, 180 * second), is_stale(&slow, 181 * second)), (false, true));
        let ahead = Sample { collected_at: now + 60 * second, metadata: &quick, metrics: None };
        assert!(!ahead.is_stale(now, 10 * second));
    }

    #[test]
    fn a_host_has_the_newest_time_and_the_shortest_interval_of_its_groups() {
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let (quick, slow) = (metadata(second), metadata(60 * second));
        let sample = |collected_at, metadata| Sample { collected_at, metadata, metrics: None };
        let host = Host::of([sample(now, &slow), sample(now - second, &quick)]).unwrap();
        assert_eq!((host.newest().collected_at, host.interval()), (now, second));
        assert!(Host::of([]).is_none());
    }
}
