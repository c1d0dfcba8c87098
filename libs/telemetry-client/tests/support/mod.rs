//! What integration tests share.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code, unreachable_pub)]

pub mod queue;
pub mod redis_server;

use std::time::{Duration, Instant};

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
