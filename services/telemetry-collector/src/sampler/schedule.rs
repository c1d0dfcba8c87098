//! When samples are due.

use std::time::Duration;

use tokio::time::Instant;

/// Due times on an absolute grid: each is the previous one plus the period, even when a sample is late.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    next: Instant,
    period: Duration,
}

impl Schedule {
    pub(super) fn new(first: Instant, period: Duration) -> Self {
        Self { next: first, period }
    }

    /// When the next sample is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Moves on to the first due time after `now`. Returns how many due times were skipped.
    pub(super) fn advance(&mut self, now: Instant) -> u64 {
        let late = now.saturating_duration_since(self.next);
        let skipped = late.as_nanos() / self.period.as_nanos();
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX - 1);
        self.next += self.period * (skipped + 1);
        skipped.into()
    }

    /// Changes the period. The next sample is due one new period after the last one, or now if that time has passed.
    pub(super) fn change_period(&mut self, period: Duration, now: Instant) {
        let last = self.next.checked_sub(self.period).unwrap_or(now);
        self.next = (last + period).max(now);
        self.period = period;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn late_samples_do_not_move_the_grid() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, SECOND);
        assert_eq!(schedule.advance(start + Duration::from_millis(300)), 0);
        assert_eq!(schedule.next(), start + SECOND);
    }

    #[test]
    fn ticks_that_have_passed_are_skipped_and_counted() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, SECOND);
        assert_eq!(schedule.advance(start + Duration::from_millis(3500)), 3);
        assert_eq!(schedule.next(), start + 4 * SECOND);
    }

    #[test]
    fn a_shorter_period_counts_from_the_last_sample() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, SECOND);
        schedule.advance(start);
        schedule.change_period(SECOND / 5, start + SECOND / 10);
        assert_eq!(schedule.next(), start + SECOND / 5);
        schedule.change_period(10 * SECOND, start + SECOND / 10);
        assert_eq!(schedule.next(), start + 10 * SECOND);
        schedule.change_period(SECOND / 10, start + 3 * SECOND);
        assert_eq!(schedule.next(), start + 3 * SECOND);
    }

    proptest! {
        #[test]
        fn the_next_due_time_is_on_the_grid_and_every_skipped_one_is_counted(
            lateness in proptest::collection::vec(0_u64..5_000, 1..50), period_ms in 100_u64..2_000,
        ) {
            let start = Instant::now();
            let period = Duration::from_millis(period_ms);
            let mut schedule = Schedule::new(start, period);
            let (mut taken, mut skipped) = (0, 0);
            for late_ms in lateness {
                let now = schedule.next() + Duration::from_millis(late_ms);
                taken += 1;
                skipped += schedule.advance(now);
                prop_assert!(schedule.next() > now && schedule.next() <= now + period);
                prop_assert_eq!(schedule.next(), start + period * u32::try_from(taken + skipped).unwrap());
            }
        }
    }
}
