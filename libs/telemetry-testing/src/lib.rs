//! What the integration tests of several crates share: servers that end with the test, and waiting for a condition.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by a panic")]

mod conditions;
mod process;
mod redis_server;

pub use conditions::{PATIENCE, eventually};
pub use process::{Finished, Process, python};
pub use redis_server::RedisServer;
