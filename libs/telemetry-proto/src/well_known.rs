//! `google.protobuf.Timestamp` and `Duration` with their canonical JSON: `2026-01-31T12:00:00.250Z` and `0.250s`.
//!
//! `prost_types` parses and formats both. This module adds serde support, which its types lack, and conversions from and
//! to the types of the standard library.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use thiserror::Error;

/// The earliest canonical timestamp: 0001-01-01T00:00:00Z.
const MIN_TIMESTAMP_SECONDS: i64 = -62_135_596_800;
/// The last second of canonical timestamps: 9999-12-31T23:59:59Z.
const MAX_TIMESTAMP_SECONDS: i64 = 253_402_300_799;
/// The longest canonical duration, about 10 000 years.
const MAX_DURATION_SECONDS: i64 = 315_576_000_000;
const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// A point in time, UTC, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Timestamp {
    /// Whole seconds since the epoch; negative before it.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds after that second, 0 to 999 999 999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A span of time; both fields have the same sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Additional nanoseconds, -999 999 999 to 999 999 999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// Whether canonical JSON can express the value: years 1 to 9999, nanoseconds within one second.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        (MIN_TIMESTAMP_SECONDS..=MAX_TIMESTAMP_SECONDS).contains(&self.seconds)
            && (0..NANOS_PER_SECOND).contains(&self.nanos)
    }
}

impl Duration {
    /// Whether canonical JSON can express the value: at most ±315 576 000 000 s, both fields of the same sign.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        (-MAX_DURATION_SECONDS..=MAX_DURATION_SECONDS).contains(&self.seconds)
            && (1 - NANOS_PER_SECOND..NANOS_PER_SECOND).contains(&self.nanos)
            && (self.seconds == 0 || self.nanos == 0 || (self.seconds < 0) == (self.nanos < 0))
    }
}

/// A time or duration that the target type cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("out of range")]
pub struct OutOfRange;

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with 0, 3, 6 or 9 fractional digits, as in canonical JSON. Other values are formatted as
    /// `Debug`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_canonical() {
            return fmt::Debug::fmt(self, formatter);
        }
        prost_types::Timestamp { seconds: self.seconds, nanos: self.nanos }.fmt(formatter)
    }
}

impl fmt::Display for Duration {
    /// Seconds with 0, 3, 6 or 9 fractional digits and an `s`, as in canonical JSON. Other values are formatted as
    /// `Debug`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_canonical() {
            return fmt::Debug::fmt(self, formatter);
        }
        prost_types::Duration { seconds: self.seconds, nanos: self.nanos }.fmt(formatter)
    }
}

impl FromStr for Timestamp {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prost_types::Timestamp { seconds, nanos } = text.parse().map_err(|_| OutOfRange)?;
        Some(Self { seconds, nanos }).filter(Self::is_canonical).ok_or(OutOfRange)
    }
}

impl FromStr for Duration {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prost_types::Duration { seconds, nanos } = text.parse().map_err(|_| OutOfRange)?;
        Some(Self { seconds, nanos }).filter(Self::is_canonical).ok_or(OutOfRange)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let prost_types::Timestamp { seconds, nanos } = time.into();
        Self { seconds, nanos }
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = OutOfRange;

    fn try_from(timestamp: Timestamp) -> Result<Self, Self::Error> {
        let Timestamp { seconds, nanos } = Some(timestamp).filter(Timestamp::is_canonical).ok_or(OutOfRange)?;
        prost_types::Timestamp { seconds, nanos }.try_into().map_err(|_| OutOfRange)
    }
}

impl From<std::time::Duration> for Duration {
    /// Converts the duration, capped at the longest canonical one (about 10 000 years).
    fn from(span: std::time::Duration) -> Self {
        match i64::try_from(span.as_secs()) {
            Ok(seconds) if seconds < MAX_DURATION_SECONDS => Self { seconds, nanos: span.subsec_nanos().cast_signed() },
            _ => Self { seconds: MAX_DURATION_SECONDS, nanos: 0 },
        }
    }
}

impl TryFrom<Duration> for std::time::Duration {
    type Error = OutOfRange;

    /// Converts the duration. Negative ones are out of range.
    fn try_from(span: Duration) -> Result<Self, Self::Error> {
        let Duration { seconds, nanos } = Some(span).filter(Duration::is_canonical).ok_or(OutOfRange)?;
        let seconds = u64::try_from(seconds).map_err(|_| OutOfRange)?;
        let nanos = u32::try_from(nanos).map_err(|_| OutOfRange)?;
        Ok(Self::new(seconds, nanos))
    }
}

/// Implements serde as a string, by means of `Display` and `FromStr`.
macro_rules! serde_as_canonical_text {
    ($canonical:ty, $what:literal) => {
        impl Serialize for $canonical {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if !self.is_canonical() {
                    return Err(ser::Error::custom(concat!($what, " out of range")));
                }
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $canonical {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $canonical;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str(concat!("a ", $what, " as a string"))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

serde_as_canonical_text!(Timestamp, "timestamp");
serde_as_canonical_text!(Duration, "duration");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn formats_timestamps_in_utc_with_as_many_digits_as_needed() {
        let written = |seconds, nanos| Timestamp { seconds, nanos }.to_string();
        assert_eq!(written(1_769_860_800, 0), "2026-01-31T12:00:00Z");
        assert_eq!(written(1_769_860_800, 250_000_000), "2026-01-31T12:00:00.250Z");
        assert_eq!(written(1_769_860_800, 250_001_000), "2026-01-31T12:00:00.250001Z");
        assert_eq!(written(1_769_860_800, 1), "2026-01-31T12:00:00.000000001Z");
        assert_eq!(written(-1, 500_000_000), "1969-12-31T23:59:59.500Z");
    }

    #[test]
    fn formats_durations_in_seconds_with_as_many_digits_as_needed() {
        let written = |seconds, nanos| Duration { seconds, nanos }.to_string();
        assert_eq!(written(1, 0), "1s");
        assert_eq!(written(0, 200_000_000), "0.200s");
        assert_eq!(written(0, -200_000_000), "-0.200s");
        assert_eq!(written(3600, 1), "3600.000000001s");
    }

    #[test]
    fn parses_what_it_formats_as_well_as_time_zone_offsets() {
        let noon = Timestamp { seconds: 1_769_860_800, nanos: 1_000 };
        let json = serde_json::to_string(&noon).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), noon);
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-01-31T13:00:00.000001+01:00\"").unwrap(), noon);
        let span = Duration { seconds: -2, nanos: -5 };
        let json = serde_json::to_string(&span).unwrap();
        assert_eq!(serde_json::from_str::<Duration>(&json).unwrap(), span);
    }

    #[test]
    fn rejects_values_that_canonical_json_cannot_express() {
        for timestamp in [
            Timestamp { seconds: MAX_TIMESTAMP_SECONDS + 1, nanos: 0 },
            Timestamp { seconds: 0, nanos: -1 },
            Timestamp { seconds: 0, nanos: NANOS_PER_SECOND },
        ] {
            assert!(serde_json::to_string(&timestamp).is_err(), "{timestamp:?}");
        }
        for duration in [Duration { seconds: MAX_DURATION_SECONDS + 1, nanos: 0 }, Duration { seconds: 1, nanos: -1 }] {
            assert!(serde_json::to_string(&duration).is_err(), "{duration:?}");
        }
        for text in ["", "now", "2026-13-31T00:00:00Z", "10000-01-01T00:00:00Z"] {
            assert!(serde_json::from_str::<Timestamp>(&format!("\"{text}\"")).is_err(), "{text}");
        }
        for text in ["", "1", "s", "NaNs"] {
            assert!(serde_json::from_str::<Duration>(&format!("\"{text}\"")).is_err(), "{text}");
        }
    }

    #[test]
    fn rejects_values_that_the_standard_library_cannot_express() {
        for duration in [
            Duration { seconds: i64::MIN, nanos: 0 },
            Duration { seconds: -1, nanos: 0 },
            Duration { seconds: -1, nanos: i32::MAX },
            Duration { seconds: 0, nanos: -1 },
            Duration { seconds: i64::MAX, nanos: i32::MAX },
        ] {
            assert_eq!(std::time::Duration::try_from(duration), Err(OutOfRange), "{duration}");
        }
        assert_eq!(SystemTime::try_from(Timestamp { seconds: i64::MIN, nanos: i32::MIN }), Err(OutOfRange));
        let longest = Duration::from(std::time::Duration::MAX);
        assert!(longest.is_canonical(), "{longest}");
        let span = std::time::Duration::new(3, 5);
        assert_eq!(std::time::Duration::try_from(Duration::from(span)), Ok(span));
    }
}
