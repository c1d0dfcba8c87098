//! Servers, faults and waiting, for the integration tests of every crate.
//!
//! Everything here is real and belongs to one test: servers are processes on free ports with directories of their own, and
//! they end when their value is dropped. Whatever goes wrong fails the test by a panic, whose message says what was expected
//! and shows the program's output where that helps.
//!
//! | for | use |
//! | --- | --- |
//! | waiting until something is true, never for a time | [`eventually`], with the time limit [`PATIENCE`] |
//! | one of our programs, with an environment of the test's own | [`Process`], [`Finished`] |
//! | a script in Python | [`python`] |
//! | Redis or Valkey: started, paused, killed, restarted | [`RedisServer`] |
//! | a master, its replica and three Sentinels; failover | [`SentinelGroup`] |
//! | a Redis Cluster; moving slots | [`Cluster`] |
//! | certificates of a CA of the test's own | [`Authority`], [`ClientFiles`] |
//! | Redis and Sentinel behind TLS | [`TlsServer`], [`TlsSentinel`] |
//! | a page in a browser: its values, keyboard, what a screen reader is given | [`Browser`] |
//! | a network that fails: resets, silence, latency | [`Proxy`], [`Way`] |
//!
//! The programs `redis-server` and `valkey-server` come from the `PATH`, unless the variables `REDIS_SERVER` and
//! `VALKEY_SERVER` name others; so does `chromium-headless-shell`, or else `chromium`, unless `CHROMIUM` names another one.
//!
//! # Example
//!
//! A server behind a proxy that closes all connections, and a condition that must become true nevertheless:
//!
//! ```no_run
//! use telemetry_testing::{Proxy, RedisServer, eventually};
//!
//! # async fn example() {
//! let redis = RedisServer::start().await;
//! let proxy = Proxy::start(redis.port()).await;
//! // ... start what is tested with the URL redis://{proxy.address()} ...
//! proxy.cut();
//! eventually("a message is queued", async || redis.command::<u64>(&["LLEN", "telemetry:queue"]).await > 0).await;
//! # }
//! ```
//!
//! It is for tests and benchmarks only: a dev-dependency in Cargo, `testonly` in Bazel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by a panic")]

mod browser;
mod cluster;
mod conditions;
mod process;
mod proxy;
mod redis_server;
mod sentinel;
mod tls;

pub use browser::Browser;
pub use cluster::Cluster;
pub use conditions::{PATIENCE, eventually};
pub use process::{Finished, Process, python};
pub use proxy::{Proxy, Way};
pub use redis_server::RedisServer;
pub use sentinel::{MASTER_NAME, SentinelGroup};
pub use tls::{Authority, ClientFiles, TlsSentinel, TlsServer};
