//! The sampling interval and its limits, which apply to the environment and to the control API.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::errors::{InvalidSetting, TelemetryError};

/// The time between two samples, from [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
///
/// ```
/// use telemetry_collector::Interval;
///
/// assert_eq!("500ms".parse::<Interval>().unwrap().to_string(), "500ms");
/// assert_eq!("2h".parse::<Interval>().unwrap_err().problem, "\"2h\" is not a duration from 100ms to 1h");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

impl Interval {
    /// The shortest interval. The kernel counts processor time in units of 10 ms, so shares would be too coarse below it.
    pub const MIN: Self = Self(Duration::from_millis(100));
    /// The longest interval.
    pub const MAX: Self = Self(Duration::from_secs(3600));

    /// The interval as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    fn refuse(value: impl fmt::Display) -> InvalidSetting {
        InvalidSetting {
            name: "interval".to_owned(),
            problem: format!("{value} is not a duration from {} to {}", Self::MIN, Self::MAX),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}

impl TryFrom<Duration> for Interval {
    type Error = InvalidSetting;

    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        let interval = Self(duration);
        if (Self::MIN..=Self::MAX).contains(&interval) { Ok(interval) } else { Err(Self::refuse(interval)) }
    }
}

impl FromStr for Interval {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = humantime::parse_duration(text).map_err(|_| Self::refuse(format_args!("{text:?}")))?;
        Self::try_from(duration).map_err(|_| Self::refuse(format_args!("{text:?}")))
    }
}

impl TryFrom<telemetry_proto::well_known::Duration> for Interval {
    type Error = TelemetryError;

    fn try_from(wire: telemetry_proto::well_known::Duration) -> Result<Self, Self::Error> {
        let duration = Duration::try_from(wire).map_err(|_| Self::refuse(wire))?;
        Ok(Self::try_from(duration)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn accepts_durations_up_to_the_limits_and_rejects_others() {
        for inside in ["100ms", "1s", "1m", "1h", "1500ms"] {
            assert!(inside.parse::<Interval>().is_ok(), "{inside}");
        }
        for outside in ["99ms", "3601s", "0s", "-1s", "1", "", "soon"] {
            let refused = outside.parse::<Interval>().unwrap_err();
            assert!(refused.problem.ends_with("is not a duration from 100ms to 1h"), "{refused}");
        }
    }

    #[test]
    fn rejects_a_negative_duration_and_names_its_value() {
        let wire = telemetry_proto::well_known::Duration { seconds: -1, nanos: 0 };
        let refused = Interval::try_from(wire).unwrap_err();
        assert_eq!(refused.to_string(), "interval: -1s is not a duration from 100ms to 1h");
    }
}
