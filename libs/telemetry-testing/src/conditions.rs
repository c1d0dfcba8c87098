//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How long a condition may take to become true before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Waits until `condition` is true. Fails the test, with `what` in its message, when that takes longer than [`PATIENCE`].
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "not true after {PATIENCE:?}: {what}");
        tokio::time::sleep(pause).await;
        // Each check takes processor time, which other tests on the machine may be waiting for.
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}
