//! How many changes a second are accepted.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Admits a number of changes in any second.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: usize,
    /// When the latest changes were admitted, the oldest first.
    admitted: VecDeque<Instant>,
}

impl Rate {
    pub(super) fn new(per_second: usize) -> Self {
        Self { per_second, admitted: VecDeque::with_capacity(per_second) }
    }

    pub(super) fn per_second(&self) -> usize {
        self.per_second
    }

    /// Whether one more change may be made `now`; it then counts.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        if self.admitted.len() >= self.per_second
            && self.admitted.pop_front_if(|oldest| *oldest + SECOND <= now).is_none()
        {
            return false;
        }
        self.admitted.push_back(now);
        true
    }
}
