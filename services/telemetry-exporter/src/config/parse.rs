//! From the text of a variable to its type. A parser says only *that* a text is wrong; what is allowed stands in the
//! variable's description.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use redis::IntoConnectionInfo;
use tracing_subscriber::EnvFilter;

use super::{LogFormat, QueueMode};

const SHARDS_RANGE: RangeInclusive<u32> = 1..=16_384;
const EXPIRY_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// A text that is not what its variable may be.
#[derive(Debug)]
pub(super) struct NotAllowed;

type Parsed<T> = Result<T, NotAllowed>;

pub(super) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

pub(super) fn redis_url(text: &str) -> Parsed<String> {
    text.into_connection_info().map_err(|_| NotAllowed)?;
    Ok(text.to_owned())
}

pub(super) fn mode(text: &str) -> Parsed<QueueMode> {
    match text {
        "list" => Ok(QueueMode::List),
        "stream" => Ok(QueueMode::Stream),
        _ => Err(NotAllowed),
    }
}

pub(super) fn shards(text: &str) -> Parsed<u32> {
    text.parse().ok().filter(|shards| SHARDS_RANGE.contains(shards)).ok_or(NotAllowed)
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| NotAllowed)
}

pub(super) fn expiry(text: &str) -> Parsed<Duration> {
    humantime::parse_duration(text).ok().filter(|expiry| EXPIRY_RANGE.contains(expiry)).ok_or(NotAllowed)
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "json" => Ok(LogFormat::Json),
        "pretty" => Ok(LogFormat::Pretty),
        _ => Err(NotAllowed),
    }
}

pub(super) fn log_filter(text: &str) -> Parsed<String> {
    EnvFilter::try_new(text).map_err(|_| NotAllowed)?;
    Ok(text.to_owned())
}
