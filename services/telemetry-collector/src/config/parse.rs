//! From the text of a variable to its type. A parser says only *that* a text is wrong; what is allowed stands in the
//! variable's description.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use telemetry_outbox::{Encoding, OnFull, SyncPolicy};
use tracing_subscriber::EnvFilter;

use super::{LogFormat, Secret};
use crate::interval::Interval;
use crate::publishers::{DeliveryMode, QueueMode, RedisUrl};

const OUTBOX_RANGE: RangeInclusive<u64> = 1 << 20..=1 << 40;
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
const WAIT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60 * 60);

const SPOOL_RANGE: RangeInclusive<u64> = 4 << 20..=1 << 40;
const SYNC_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
const LONGEST_RETENTION: Duration = Duration::from_secs(3600);
const LONGEST_GRACE: Duration = Duration::from_secs(600);

/// A text that is not what its variable may be.
#[derive(Debug)]
pub(super) struct NotAllowed;

type Parsed<T> = Result<T, NotAllowed>;

pub(super) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

pub(super) fn number(text: &str) -> Parsed<u64> {
    text.parse().map_err(|_| NotAllowed)
}

pub(super) fn interval(text: &str) -> Parsed<Interval> {
    text.parse().map_err(|_| NotAllowed)
}

pub(super) fn labels(text: &str) -> Parsed<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(NotAllowed)?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || labels.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(NotAllowed);
        }
    }
    Ok(labels)
}

pub(super) fn redis_url(text: &str) -> Parsed<Secret> {
    text.parse::<RedisUrl>().map_err(|_| NotAllowed)?;
    Ok(Secret::new(text))
}

pub(super) fn file(text: &str) -> Parsed<Option<PathBuf>> {
    Ok((!text.is_empty()).then(|| text.into()))
}

pub(super) fn queue_mode(text: &str) -> Parsed<QueueMode> {
    match text {
        "list" => Ok(QueueMode::List),
        "stream" => Ok(QueueMode::Stream),
        _ => Err(NotAllowed),
    }
}

pub(super) fn delivery_mode(text: &str) -> Parsed<DeliveryMode> {
    match text {
        "at_least_once" => Ok(DeliveryMode::AtLeastOnce),
        "exactly_once" => Ok(DeliveryMode::ExactlyOnce),
        _ => Err(NotAllowed),
    }
}

pub(super) fn replicas(text: &str) -> Parsed<u32> {
    within(0..=100, text.parse().ok())
}

/// A Cluster has no more slots, and so no use for more.
pub(super) fn shards(text: &str) -> Parsed<u32> {
    within(1..=16384, text.parse().ok())
}

pub(super) fn timeout(text: &str) -> Parsed<Duration> {
    within(TIMEOUT_RANGE, humantime::parse_duration(text).ok())
}

pub(super) fn wait(text: &str) -> Parsed<Duration> {
    within(WAIT_RANGE, humantime::parse_duration(text).ok())
}

pub(super) fn outbox_bytes(text: &str) -> Parsed<usize> {
    let bytes = text.parse::<ByteSize>().map_err(|_| NotAllowed)?.as_u64();
    if !OUTBOX_RANGE.contains(&bytes) {
        return Err(NotAllowed);
    }
    usize::try_from(bytes).map_err(|_| NotAllowed)
}

pub(super) fn encoding(text: &str) -> Parsed<Encoding> {
    match text {
        "json" => Ok(Encoding::Json),
        "protobuf" => Ok(Encoding::Protobuf),
        _ => Err(NotAllowed),
    }
}

pub(super) fn on_full(text: &str) -> Parsed<OnFull> {
    match text {
        "drop_oldest" => Ok(OnFull::DropOldest),
        "decimate" => Ok(OnFull::Decimate),
        _ => Err(NotAllowed),
    }
}

pub(super) fn directory(text: &str) -> Parsed<Option<PathBuf>> {
    let directory = (!text.is_empty()).then(|| PathBuf::from(text));
    if directory.as_ref().is_some_and(|directory| !directory.is_absolute()) { Err(NotAllowed) } else { Ok(directory) }
}

pub(super) fn spool_bytes(text: &str) -> Parsed<u64> {
    let bytes = text.parse::<ByteSize>().map_err(|_| NotAllowed)?.as_u64();
    if SPOOL_RANGE.contains(&bytes) { Ok(bytes) } else { Err(NotAllowed) }
}

pub(super) fn sync_policy(text: &str) -> Parsed<SyncPolicy> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "never" => Ok(SyncPolicy::Never),
        _ => {
            let bound = humantime::parse_duration(text).map_err(|_| NotAllowed)?;
            if SYNC_RANGE.contains(&bound) { Ok(SyncPolicy::Within(bound)) } else { Err(NotAllowed) }
        }
    }
}

pub(super) fn retain(text: &str) -> Parsed<Duration> {
    humantime::parse_duration(text).ok().filter(|retain| *retain <= LONGEST_RETENTION).ok_or(NotAllowed)
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| NotAllowed)
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

pub(super) fn grace(text: &str) -> Parsed<Duration> {
    humantime::parse_duration(text).ok().filter(|grace| *grace <= LONGEST_GRACE).ok_or(NotAllowed)
}

fn within<T: PartialOrd>(range: RangeInclusive<T>, value: Option<T>) -> Parsed<T> {
    value.filter(|value| range.contains(value)).ok_or(NotAllowed)
}
