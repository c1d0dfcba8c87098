//! The wall clock, injected so that tests can set it. It only provides timestamps; timers use tokio's monotonic clock.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Tells the time of day.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    /// The clock of the host.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("WallClock").field(&self.now()).finish()
    }
}

#[cfg(test)]
pub(crate) mod manual {
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, SystemTime};

    use super::WallClock;

    /// Advances a manual clock.
    pub(crate) struct Time(Arc<Mutex<SystemTime>>);

    impl Time {
        pub(crate) fn advance(&self, span: Duration) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) += span;
        }
    }

    impl WallClock {
        /// A clock that shows `start` until it is advanced.
        pub(crate) fn manual(start: SystemTime) -> (Self, Time) {
            let now = Arc::new(Mutex::new(start));
            let shown = Arc::clone(&now);
            let clock = Self(Arc::new(move || *shown.lock().unwrap_or_else(PoisonError::into_inner)));
            (clock, Time(now))
        }
    }
}
