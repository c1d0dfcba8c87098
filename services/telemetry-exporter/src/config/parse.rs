//! From the text of a variable to the types of the exporter. What any program reads, such as durations, stands in
//! [`telemetry_settings::parse`].

use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) const HOST_EXPIRY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);
