//! Support for the integration tests of the collector. Servers, faults and waiting are in the crate telemetry-testing.

// Each test file is a separate crate and uses only a part of this module.
#![allow(dead_code, unreachable_pub)]

pub mod cases;
pub mod collector;
pub mod events;
pub mod http;
pub mod login;
pub mod otlp;
pub mod page;
pub mod publisher;
pub mod python;
