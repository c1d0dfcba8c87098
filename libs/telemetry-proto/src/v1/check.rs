//! Validation: the rules of the schema that its types cannot express.
//!
//! Writers and readers run the same checks, so that a writer never sends a message that a reader would reject. The
//! checks require nothing that an older minor version did not have, and accept enum values and payloads that a newer
//! one added.

use std::fmt;

use semver::Version;
use thiserror::Error;
use uuid::Uuid;

use super::telemetry_data::Metrics;
use super::telemetry_message::Payload;
use super::{
    ControlEvent, CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, GapRecord, LoadAverages, SCHEMA_VERSION,
    TelemetryData, TelemetryMessage, TelemetryMetadata, UnavailableField,
};
use crate::well_known::{Duration, Timestamp};

/// How far the sum of a CPU's shares may be from 100: each share may be rounded separately.
const TOTAL_TOLERANCE_PERCENT: f64 = 0.5;
const ABSOLUTE_ZERO_CELSIUS: f64 = -273.15;

/// A message that violates the schema.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{field}: {problem}")]
pub struct InvalidMessage {
    /// Path of the field, with the field names of the schema (`data.cpu.cores[3].usage_percent`).
    pub field: String,
    /// What is wrong with the field.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A required field is missing.
    #[error("is missing")]
    Missing,
    /// The value is not allowed.
    #[error("{value} is not {expected}")]
    NotAllowed {
        /// The value found.
        value: String,
        /// The allowed values.
        expected: &'static str,
    },
    /// The message has a major version that this build does not support.
    #[error("{found} cannot be read by a program that knows {known}")]
    OtherMajor {
        /// Schema version of the message.
        found: Version,
        /// Schema version of this build.
        known: Version,
    },
}

impl InvalidMessage {
    fn new(field: &str, problem: Problem) -> Self {
        Self { field: field.to_owned(), problem }
    }

    fn not_allowed(field: &str, value: impl fmt::Display, expected: &'static str) -> Self {
        Self::new(field, Problem::NotAllowed { value: value.to_string(), expected })
    }

    /// Prefixes the path with `field`, the field that contains the checked message.
    fn within(mut self, field: impl fmt::Display) -> Self {
        self.field = format!("{field}.{}", self.field);
        self
    }
}

type Check = Result<(), InvalidMessage>;

impl TelemetryMessage {
    /// Checks the message, including all metrics, against the rules of the schema.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check(&self) -> Check {
        let written_by = readable_version(&self.schema_version)?;
        check_uuid("message_id", &self.message_id)?;
        check_uuid("instance_id", &self.instance_id)?;
        if self.sequence == 0 {
            return Err(InvalidMessage::not_allowed("sequence", 0, "a number from 1"));
        }
        check_timestamp("collected_at", self.collected_at.as_ref())?;
        match &self.payload {
            Some(Payload::Data(data)) => data.check(&written_by).map_err(|invalid| invalid.within("data")),
            Some(Payload::Gap(gap)) => gap.check().map_err(|invalid| invalid.within("gap")),
            Some(Payload::Control(event)) => event.check().map_err(|invalid| invalid.within("control")),
            None => missing_unless_newer("payload", &written_by),
        }
    }
}

impl ControlEvent {
    fn check(&self) -> Check {
        check_not_empty("hostname", &self.hostname)?;
        check_interval("previous_interval", self.previous_interval.as_ref())?;
        check_interval("interval", self.interval.as_ref())?;
        self.reverts_at.as_ref().map_or(Ok(()), |time| check_timestamp("reverts_at", Some(time)))
    }
}

impl TelemetryData {
    fn check(&self, written_by: &Version) -> Check {
        require("metadata", self.metadata.as_ref())?.check().map_err(|invalid| invalid.within("metadata"))?;
        match &self.metrics {
            Some(Metrics::Cpu(cpu)) => cpu.check().map_err(|invalid| invalid.within("cpu")),
            None => missing_unless_newer("metrics", written_by),
        }
    }
}

impl TelemetryMetadata {
    fn check(&self) -> Check {
        check_not_empty("hostname", &self.hostname)?;
        check_not_empty("collector_version", &self.collector_version)?;
        check_interval("interval", self.interval.as_ref())?;
        check_timestamp("scheduled_at", self.scheduled_at.as_ref())?;
        check_elapsed("collection_duration", self.collection_duration.as_ref())?;
        self.labels.keys().try_for_each(|key| check_not_empty("labels", key))
    }
}

impl GapRecord {
    fn check(&self) -> Check {
        if let Some(instance_id) = &self.instance_id {
            check_uuid("instance_id", instance_id)?;
        }
        let mut end_of_previous = 0;
        for (index, range) in self.missing.iter().enumerate() {
            if range.first <= end_of_previous || range.last < range.first || range.last == u64::MAX {
                return Err(InvalidMessage::not_allowed(
                    &format!("missing[{index}]"),
                    format_args!("{}..={}", range.first, range.last),
                    "a range above the one before it",
                ));
            }
            end_of_previous = range.last;
        }
        let count: u64 = self.missing.iter().map(super::SequenceRange::count).sum();
        if self.count != count || count == 0 {
            return Err(InvalidMessage::not_allowed("count", self.count, "how many numbers the ranges hold"));
        }
        Ok(())
    }
}

impl CpuMetrics {
    /// Checks the metrics against the rules of the schema.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check(&self) -> Check {
        check_percent("usage_percent", self.usage_percent)?;
        if let Some(states) = &self.states {
            states.check().map_err(|invalid| invalid.within("states"))?;
        }
        for (field, count) in [("logical_count", Some(self.logical_count)), ("physical_count", self.physical_count)] {
            if count == Some(0) {
                return Err(InvalidMessage::not_allowed(field, 0, "a number from 1"));
            }
        }
        let mut previous_id = None;
        for (index, core) in self.cores.iter().enumerate() {
            let in_list = |invalid: InvalidMessage| invalid.within(format_args!("cores[{index}]"));
            core.check().map_err(in_list)?;
            if previous_id.is_some_and(|previous| core.core_id <= previous) {
                let expected = "a number above the one before it";
                return Err(in_list(InvalidMessage::not_allowed("core_id", core.core_id, expected)));
            }
            previous_id = Some(core.core_id);
        }
        if let Some(averages) = &self.load_averages {
            averages.check().map_err(|invalid| invalid.within("load_averages"))?;
        }
        if let Some(frequencies) = &self.frequencies {
            frequencies.check().map_err(|invalid| invalid.within("frequencies"))?;
        }
        check_temperature(self.temperature_celsius)?;
        self.unavailable.iter().enumerate().try_for_each(|(index, unavailable)| {
            unavailable.check().map_err(|invalid| invalid.within(format_args!("unavailable[{index}]")))
        })
    }
}

impl CoreMetrics {
    fn check(&self) -> Check {
        check_percent("usage_percent", self.usage_percent)?;
        if let Some(states) = &self.states {
            states.check().map_err(|invalid| invalid.within("states"))?;
        }
        check_frequency("frequency_mhz", self.frequency_mhz)?;
        check_temperature(self.temperature_celsius)
    }
}

impl CpuStates {
    fn check(&self) -> Check {
        for (field, share) in [
            ("user_percent", self.user_percent),
            ("nice_percent", self.nice_percent),
            ("system_percent", self.system_percent),
            ("idle_percent", self.idle_percent),
            ("iowait_percent", self.iowait_percent),
            ("irq_percent", self.irq_percent),
            ("softirq_percent", self.softirq_percent),
            ("steal_percent", self.steal_percent),
            ("guest_percent", self.guest_percent),
            ("guest_nice_percent", self.guest_nice_percent),
        ] {
            check_percent(field, Some(share))?;
        }
        let total = self.total_percent();
        if (total - 100.0).abs() > TOTAL_TOLERANCE_PERCENT {
            return Err(InvalidMessage::not_allowed("total", total, "100, the sum of all shares but the guests'"));
        }
        Ok(())
    }
}

impl LoadAverages {
    pub(super) fn check(&self) -> Check {
        for (field, value) in [("one", self.one), ("five", self.five), ("fifteen", self.fifteen)] {
            if !value.is_finite() || value < 0.0 {
                return Err(InvalidMessage::not_allowed(field, value, "a number from 0"));
            }
        }
        Ok(())
    }
}

impl CpuFrequencies {
    pub(super) fn check(&self) -> Check {
        check_frequency("current_mhz", self.current_mhz)?;
        check_frequency("min_mhz", self.min_mhz)?;
        check_frequency("max_mhz", self.max_mhz)?;
        match (self.min_mhz, self.max_mhz) {
            (Some(min), Some(max)) if min > max => Err(InvalidMessage::not_allowed("min_mhz", min, "at most max_mhz")),
            _ => Ok(()),
        }
    }
}

impl UnavailableField {
    fn check(&self) -> Check {
        check_not_empty("field", &self.field)
    }
}

/// The schema version of a message, if this build can read it.
fn readable_version(schema_version: &str) -> Result<Version, InvalidMessage> {
    let parse = |text: &str| {
        Version::parse(text)
            .map_err(|_| InvalidMessage::not_allowed("schema_version", format_args!("{text:?}"), "a semantic version"))
    };
    let (found, known) = (parse(schema_version)?, parse(SCHEMA_VERSION)?);
    if found.major != known.major {
        return Err(InvalidMessage::new("schema_version", Problem::OtherMajor { found, known }));
    }
    Ok(found)
}

/// Accepts a missing value only from a newer minor version, which may have set one that this build does not know. Patch
/// and build versions add no fields.
fn missing_unless_newer(field: &str, written_by: &Version) -> Check {
    match Version::parse(SCHEMA_VERSION) {
        Ok(known) if written_by.minor > known.minor => Ok(()),
        _ => Err(InvalidMessage::new(field, Problem::Missing)),
    }
}

fn require<'a, T>(field: &str, value: Option<&'a T>) -> Result<&'a T, InvalidMessage> {
    value.ok_or_else(|| InvalidMessage::new(field, Problem::Missing))
}

fn check_not_empty(field: &str, text: &str) -> Check {
    if text.is_empty() {
        return Err(InvalidMessage::not_allowed(field, "\"\"", "a name"));
    }
    Ok(())
}

/// Accepts a single form, so that readers can compare IDs as strings.
fn check_uuid(field: &str, text: &str) -> Check {
    let is_canonical = |id: Uuid| !id.is_nil() && id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    if !Uuid::try_parse(text).is_ok_and(is_canonical) {
        return Err(InvalidMessage::not_allowed(field, format_args!("{text:?}"), "a UUID in lower case with hyphens"));
    }
    Ok(())
}

fn check_timestamp(field: &str, timestamp: Option<&Timestamp>) -> Check {
    let timestamp = require(field, timestamp)?;
    if !timestamp.is_canonical() {
        return Err(InvalidMessage::not_allowed(field, format_args!("{timestamp:?}"), "a time of the years 1 to 9999"));
    }
    Ok(())
}

fn check_interval(field: &str, interval: Option<&Duration>) -> Check {
    let interval = require(field, interval)?;
    if !interval.is_canonical() || (interval.seconds, interval.nanos) <= (0, 0) {
        return Err(InvalidMessage::not_allowed(field, format_args!("{interval:?}"), "a positive duration"));
    }
    Ok(())
}

fn check_elapsed(field: &str, elapsed: Option<&Duration>) -> Check {
    let elapsed = require(field, elapsed)?;
    if !elapsed.is_canonical() || (elapsed.seconds, elapsed.nanos) < (0, 0) {
        return Err(InvalidMessage::not_allowed(field, format_args!("{elapsed:?}"), "a duration from 0"));
    }
    Ok(())
}

fn check_percent(field: &str, share: Option<f64>) -> Check {
    match share {
        Some(share) if !(0.0..=100.0).contains(&share) => {
            Err(InvalidMessage::not_allowed(field, share, "a percentage from 0 to 100"))
        }
        _ => Ok(()),
    }
}

fn check_frequency(field: &str, mhz: Option<f64>) -> Check {
    match mhz {
        Some(mhz) if !mhz.is_finite() || mhz <= 0.0 => {
            Err(InvalidMessage::not_allowed(field, mhz, "a frequency above 0 MHz"))
        }
        _ => Ok(()),
    }
}

fn check_temperature(celsius: Option<f64>) -> Check {
    match celsius {
        Some(celsius) if !celsius.is_finite() || celsius < ABSOLUTE_ZERO_CELSIUS => {
            Err(InvalidMessage::not_allowed("temperature_celsius", celsius, "a temperature above absolute zero"))
        }
        _ => Ok(()),
    }
}
