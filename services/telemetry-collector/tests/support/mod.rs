//! What integration tests share.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code, unreachable_pub)]

pub mod cluster;
pub mod collector;
pub mod proxy;
pub mod publisher;
pub mod redis_server;
pub mod sentinel;
pub mod tls;

use std::time::{Duration, Instant};

/// How long a condition may take to become true before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, and fails the test when it does not for too long.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "after {PATIENCE:?} still not: {what}");
        tokio::time::sleep(pause).await;
        // To ask costs processor time, which is what others on the machine may be waiting for.
        pause = (pause * 5 / 4).min(Duration::from_millis(50));
    }
}
