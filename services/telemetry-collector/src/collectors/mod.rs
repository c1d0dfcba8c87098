//! Collectors: they read metrics from the host, one module per metrics group.
//!
//! Collectors do not depend on Redis, gRPC or the service's configuration. They read files below a [`HostRoot`] and get
//! everything else from the `sysinfo` crate through [`SystemInfo`]. Both are constructor arguments, so that tests can
//! supply recorded hosts and fake sensors.

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

/// A value read from the host, or the reason why it is absent.
pub type Reading<T> = Result<T, UnavailableReason>;

/// A CPU collector for the host that this process runs on. It takes slow readings at [`DEFAULT_SLOW_CADENCE`].
#[must_use]
pub fn cpu() -> HostCpuCollector {
    HostCpuCollector::new(HostRoot::default(), Arc::new(Sysinfo::new()), DEFAULT_SLOW_CADENCE)
}
