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
