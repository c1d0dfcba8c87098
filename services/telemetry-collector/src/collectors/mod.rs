//! What knows the host. One file a metrics group; nothing in here hears of Redis, gRPC or the settings of others.

mod traits;

pub use traits::{CpuCollector, TelemetryCollector};
