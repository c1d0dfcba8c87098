//! Values as people read them.

use std::time::{Duration, SystemTime};

/// What stands for a value that there is not.
const NONE: &str = "-";

/// The text without control characters: what comes from a collector must not steer the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A share in percent with one decimal.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.1}%"))
}

/// A number with two decimals.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.2}"))
}

/// A temperature with one decimal.
pub(crate) fn celsius(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |celsius| format!("{celsius:.1}°C"))
}

/// A duration to the millisecond, such as `1m 30s`.
pub(crate) fn span(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis)).to_string()
}

/// A time in UTC to the second.
pub(crate) fn time(time: Option<SystemTime>) -> String {
    time.map_or_else(|| NONE.to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// The time from `since` to `now` to the second, such as `3h 5s`.
pub(crate) fn elapsed(since: Option<SystemTime>, now: SystemTime) -> String {
    let elapsed = since.map(|since| now.duration_since(since).unwrap_or_default().as_secs());
    elapsed
        .map_or_else(|| NONE.to_owned(), |seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_missing_as_a_dash() {
        assert_eq!((percent(None), number(None), time(None)), ("-".to_owned(), "-".to_owned(), "-".to_owned()));
        assert_eq!((percent(Some(12.345)), number(Some(0.5))), ("12.3%".to_owned(), "0.50".to_owned()));
    }

    #[test]
    fn rounds_spans_to_milliseconds() {
        assert_eq!(span(Duration::new(90, 1_234_567)), "1m 30s 1ms");
    }

    #[test]
    fn a_clock_that_is_behind_counts_as_now() {
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(elapsed(Some(later), SystemTime::UNIX_EPOCH), "0s");
    }
}
