//! The clock of the collector's host beside the one of this host.

use std::time::{Duration, SystemTime};

use super::check::Check;
use super::collector::Facts;
use crate::messages::collected_at;
use crate::output::span;

/// A difference that nobody minds.
pub(super) const TOLERANCE: Duration = Duration::from_secs(1);
/// What to do about a clock.
pub(super) const REMEDY: &str = "synchronise the clocks, for example with chrony";

pub(super) fn check(facts: &Facts) -> Option<Check> {
    let snapshot = facts.snapshot.as_ref().ok()?;
    let theirs = collected_at(&snapshot.message)?.checked_add(snapshot.age)?;
    let (received, latency) = facts.snapshot_at;
    Some(compare("clock", "the collector's host", theirs, received, latency))
}

/// Compares a clock with that of this host. The reading came at `ours`, `latency` after it was asked for.
pub(super) fn compare(
    name: &'static str,
    whose: &str,
    theirs: SystemTime,
    ours: SystemTime,
    latency: Duration,
) -> Check {
    let middle = ours.checked_sub(latency / 2).unwrap_or(ours);
    let (difference, direction) = match theirs.duration_since(middle) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if difference <= TOLERANCE + latency / 2 {
        return Check::ok(name, format!("{whose} agrees with this host within {}", span(TOLERANCE + latency / 2)));
    }
    Check::warn(name, format!("{whose} is {} {direction} this host", span(difference)), REMEDY)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn takes_the_time_of_the_answer_into_account() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let verdict = |millis: u64, latency: u64| {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            compare("clock", "it", theirs, now, Duration::from_millis(latency)).verdict
        };
        assert_eq!(verdict(1_000_500, 0), Verdict::Ok);
        assert_eq!(verdict(1_001_500, 0), Verdict::Warn);
        assert_eq!(verdict(998_500, 0), Verdict::Warn);
        assert_eq!(verdict(997_500, 2000), Verdict::Ok);
    }

    #[test]
    fn says_in_which_direction_it_is_wrong() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let check = compare("clock", "the collector's host", now - Duration::from_secs(90), now, Duration::ZERO);
        assert_eq!(check.message, "the collector's host is 1m 30s behind this host");
    }
}
