//! What integration tests of the collector share. Servers, faults and waiting are in the crate telemetry-testing.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code, unreachable_pub)]

pub mod collector;
pub mod publisher;
