//! From the text of a variable to the types of the exporter. What any program reads, such as durations, stands in
//! [`telemetry_settings::parse`].

use std::ops::RangeInclusive;
use std::time::Duration;

use redis::IntoConnectionInfo;
use telemetry_settings::Secret;
use telemetry_settings::parse::{NotAllowed, Parsed};

use super::QueueMode;

pub(super) const QUEUE_MODES: &[(&str, QueueMode)] = &[("list", QueueMode::List), ("stream", QueueMode::Stream)];

pub(super) const SHARDS: RangeInclusive<u32> = 1..=16_384;
pub(super) const HOST_EXPIRY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

pub(super) fn redis_url(text: &str) -> Parsed<Secret> {
    text.into_connection_info().map_err(|_| NotAllowed)?;
    Ok(Secret::new(text))
}
