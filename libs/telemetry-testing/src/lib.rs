//! What the integration tests of several crates share: servers that end with the test, and waiting for a condition.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by a panic")]

mod redis_server;

use std::time::{Duration, Instant};

pub use redis_server::RedisServer;

/// How long a condition may take to become true before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, and fails the test when it does not for too long.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "after {PATIENCE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
