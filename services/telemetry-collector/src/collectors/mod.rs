//! What knows the host. One file a metrics group; nothing in here hears of Redis, gRPC or the settings of others.
//!
//! What we read ourselves is read below a [`HostRoot`]; what sysinfo reads for us comes through [`SystemInfo`]. Both go
//! into a collector's constructor, so that tests bring recorded hosts and sensors of their own.

mod cpu;
mod host;
mod host_root;
mod system;
#[cfg(test)]
mod testing;
mod traits;
mod virtualization;

use std::sync::Arc;

pub use cpu::{DEFAULT_SLOW_CADENCE, HostCpuCollector};
pub use host::HostIdentity;
pub use host_root::HostRoot;
pub use system::{OperatingSystem, ProcessorIdentity, Sensor, Sysinfo, SystemInfo, SystemUsage};
pub use traits::{CpuCollector, TelemetryCollector};

use crate::models::UnavailableReason;

/// A value of the host, or the reason why there is none.
pub type Reading<T> = Result<T, UnavailableReason>;

/// The processors of the host this process runs on, with slow readings at [`DEFAULT_SLOW_CADENCE`].
#[must_use]
pub fn cpu() -> HostCpuCollector {
    HostCpuCollector::new(HostRoot::default(), Arc::new(Sysinfo::new()), DEFAULT_SLOW_CADENCE)
}
