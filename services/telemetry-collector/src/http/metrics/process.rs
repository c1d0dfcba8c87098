//! The process, under the names that the client libraries of Prometheus give it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use telemetry_openmetrics::{Families, Family};

/// A process of this host.
#[derive(Debug)]
pub(super) struct Process {
    id: Pid,
    /// What reads it; `None` where the operating system is not supported.
    system: Option<Mutex<System>>,
}

impl Process {
    /// The process that calls.
    pub(super) fn of_this_program() -> Self {
        Self { id: Pid::from_u32(std::process::id()), system: System::new().ok().map(Mutex::new) }
    }

    /// Writes the current values. Those that the operating system does not give are absent.
    pub(super) fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Some(system) = &self.system else { return Ok(()) };
        let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.id]), true, what);
        let Some(process) = system.process(self.id) else { return Ok(()) };

        let cpu = Family::new("process_cpu", "CPU time of the process, user and kernel mode").in_unit("seconds");
        let cpu_time = Duration::from_millis(process.accumulated_cpu_time());
        families.counter_of_fractions(cpu, [(Vec::new(), cpu_time.as_secs_f64())])?;
        let mut gauge =
            |family, value: Option<u64>| families.gauge(family, value.map(|value| (Vec::new(), as_float(value))));
        let memory = |name, help| Family::new(name, help).in_unit("bytes");
        gauge(memory("process_resident_memory", "Memory that the process occupies"), Some(process.memory()))?;
        gauge(memory("process_virtual_memory", "Address space of the process"), Some(process.virtual_memory()))?;
        let files = |count: Option<usize>| count.map(|count| count as u64);
        gauge(Family::new("process_open_fds", "Open file descriptors"), files(process.open_files()))?;
        gauge(Family::new("process_max_fds", "Limit of open file descriptors"), files(process.open_files_limit()))?;
        let start = Family::new("process_start_time", "When the process was started, since the Unix epoch");
        gauge(start.in_unit("seconds"), Some(process.start_time()))
    }
}

#[allow(clippy::cast_precision_loss, reason = "nothing of a process is counted to 2^53")]
fn as_float(value: u64) -> f64 {
    value as f64
}
