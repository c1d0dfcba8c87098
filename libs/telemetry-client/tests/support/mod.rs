//! What integration tests share.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code, unreachable_pub)]

pub mod collector;
pub mod queue;
