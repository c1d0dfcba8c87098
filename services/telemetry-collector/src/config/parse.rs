//! From the text of a variable to the types of the collector. What any program reads, such as durations, stands in
//! [`telemetry_settings::parse`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use telemetry_outbox::{Encoding, OnFull, SyncPolicy};
use telemetry_settings::parse::{NotAllowed, Parsed, duration, size};

use crate::publishers::DeliveryMode;

pub(super) const DELIVERY_MODES: &[(&str, DeliveryMode)] =
    &[("at_least_once", DeliveryMode::AtLeastOnce), ("exactly_once", DeliveryMode::ExactlyOnce)];
pub(super) const ENCODINGS: &[(&str, Encoding)] = &[("json", Encoding::Json), ("protobuf", Encoding::Protobuf)];
pub(super) const ON_FULL: &[(&str, OnFull)] = &[("drop_oldest", OnFull::DropOldest), ("decimate", OnFull::Decimate)];

pub(super) const REPLICAS: RangeInclusive<u32> = 0..=100;
pub(super) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
pub(super) const RETRY: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
pub(super) const SPOOL_BYTES: RangeInclusive<u64> = 4 << 20..=1 << 40;
pub(super) const RETENTION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
pub(super) const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);

const OUTBOX_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
const SYNC: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

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

pub(super) fn outbox_bytes(text: &str) -> Parsed<usize> {
    usize::try_from(size(OUTBOX_BYTES)(text)?).map_err(|_| NotAllowed)
}

pub(super) fn sync_policy(text: &str) -> Parsed<SyncPolicy> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "never" => Ok(SyncPolicy::Never),
        _ => duration(SYNC)(text).map(SyncPolicy::Within),
    }
}
