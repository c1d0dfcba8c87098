//! How long to wait before the next try.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

/// No wait is shorter than this, whatever the settings say, so that no error can become a hot loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// The bounds of the waits between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// The shortest wait. The longest possible wait is twice this after the first failure and doubles with each further
    /// one.
    pub initial: Duration,
    /// The longest wait, however often it failed.
    pub max: Duration,
    /// The longest wait after a failure that is not retryable: somebody has to change the configuration first, and nobody
    /// tells us when they have.
    pub rejected: Duration,
}

/// Exponential backoff with full jitter.
///
/// Each wait is drawn evenly from all that the step allows, from [`RetrySettings::initial`] to a ceiling that doubles
/// with every failure, so that a fleet that lost its Redis at the same moment does not come back at the same moment. Unlike
/// in the textbook, which draws from zero, there is a floor: a wait near zero is a try for nothing.
///
/// ```
/// use std::time::Duration;
/// use telemetry_redis::{Backoff, RetrySettings};
///
/// let seconds = Duration::from_secs;
/// let mut backoff = Backoff::new(RetrySettings { initial: seconds(1), max: seconds(30), rejected: seconds(60) });
/// assert!((seconds(1)..=seconds(2)).contains(&backoff.next_delay(true)));
/// assert!((seconds(1)..=seconds(4)).contains(&backoff.next_delay(true)));
/// assert!((seconds(30)..=seconds(60)).contains(&backoff.next_delay(false)));
/// backoff.reset();
/// assert!((seconds(1)..=seconds(2)).contains(&backoff.next_delay(true)));
/// ```
#[derive(Debug)]
pub struct Backoff {
    settings: RetrySettings,
    ceiling: Duration,
    random: SmallRng,
}

impl Backoff {
    /// A backoff that has seen no failure yet.
    #[must_use]
    pub fn new(settings: RetrySettings) -> Self {
        Self::with_random(settings, rand::make_rng())
    }

    fn with_random(settings: RetrySettings, random: SmallRng) -> Self {
        let initial = settings.initial.max(SHORTEST);
        let settings =
            RetrySettings { initial, max: settings.max.max(initial), rejected: settings.rejected.max(2 * SHORTEST) };
        Self { settings, ceiling: initial, random }
    }

    /// How long to wait after a failure before the next try.
    ///
    /// After one that is not `retryable` this is between half of [`RetrySettings::rejected`] and all of it.
    pub fn next_delay(&mut self, retryable: bool) -> Duration {
        let RetrySettings { initial, max, rejected } = self.settings;
        if retryable {
            self.ceiling = self.ceiling.saturating_mul(2).min(max);
            self.random.random_range(initial..=self.ceiling)
        } else {
            self.random.random_range(rejected / 2..=rejected)
        }
    }

    /// Starts over: a try succeeded.
    pub fn reset(&mut self) {
        self.ceiling = self.settings.initial;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    const SETTINGS: RetrySettings = RetrySettings {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(30),
        rejected: Duration::from_secs(60),
    };

    fn backoff(settings: RetrySettings, seed: u64) -> Backoff {
        Backoff::with_random(settings, SmallRng::seed_from_u64(seed))
    }

    fn any_settings() -> impl Strategy<Value = RetrySettings> {
        let wait = || (0..100_000_u64).prop_map(Duration::from_millis);
        (wait(), wait(), wait()).prop_map(|(initial, max, rejected)| RetrySettings { initial, max, rejected })
    }

    /// The longest of many waits after `failures` failures in a row.
    fn longest_wait(failures: usize) -> Duration {
        let waits = (0..1000).filter_map(|seed| {
            let mut backoff = backoff(SETTINGS, seed);
            (0..failures).map(|_| backoff.next_delay(true)).last()
        });
        waits.max().unwrap_or_default()
    }

    #[test]
    fn fills_the_range_of_each_step_and_doubles_it() {
        let near = |longest: Duration, ceiling_ms: u64| {
            let ceiling = Duration::from_millis(ceiling_ms);
            assert!(longest <= ceiling && longest >= ceiling.mul_f64(0.95), "{longest:?} of {ceiling:?}");
        };
        near(longest_wait(1), 200);
        near(longest_wait(2), 400);
        near(longest_wait(3), 800);
        near(longest_wait(20), 30_000);
    }

    #[test]
    fn spreads_programs_that_fail_together() {
        let (mut one, mut other) = (backoff(SETTINGS, 1), backoff(SETTINGS, 2));
        assert_ne!(one.next_delay(true), other.next_delay(true));
    }

    #[test]
    fn waits_longer_after_a_rejection_without_doubling() {
        let mut backoff = backoff(SETTINGS, 1);
        for _ in 0..50 {
            let delay = backoff.next_delay(false);
            assert!((SETTINGS.rejected / 2..=SETTINGS.rejected).contains(&delay), "{delay:?}");
        }
        assert!(backoff.next_delay(true) <= 2 * SETTINGS.initial);
    }

    proptest! {
        #[test]
        fn keeps_every_wait_within_bounds(
            settings in any_settings(),
            seed: u64,
            failures in prop::collection::vec(any::<bool>(), 0..100),
        ) {
            let mut backoff = backoff(settings, seed);
            let longest = settings.initial.max(settings.max).max(settings.rejected).max(2 * SHORTEST);
            for retryable in failures {
                let delay = backoff.next_delay(retryable);
                prop_assert!((SHORTEST..=longest).contains(&delay), "{:?}", delay);
            }
        }

        #[test]
        fn starts_over_after_a_reset(seed: u64, failures in 0..200) {
            let mut backoff = backoff(SETTINGS, seed);
            for _ in 0..failures {
                backoff.next_delay(true);
            }
            backoff.reset();
            prop_assert!(backoff.next_delay(true) <= 2 * SETTINGS.initial);
        }
    }
}
