//! Constructors and sums of the CPU metrics.

use super::{CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, InvalidMessage, LoadAverages};

impl CpuMetrics {
    /// Name of this metrics group.
    pub const GROUP: &'static str = "cpu";

    /// Metrics of these logical CPUs, which must ascend by `core_id`. Sets `logical_count`; the caller sets other
    /// totals.
    #[must_use]
    pub fn new(cores: Vec<CoreMetrics>) -> Self {
        Self { logical_count: u32::try_from(cores.len()).unwrap_or(u32::MAX), cores, ..Self::default() }
    }
}

impl LoadAverages {
    /// Load averages over one, five and fifteen minutes.
    ///
    /// # Errors
    /// If a value is negative, infinite or NaN.
    pub fn new(one: f64, five: f64, fifteen: f64) -> Result<Self, InvalidMessage> {
        let averages = Self { one, five, fifteen };
        averages.check()?;
        Ok(averages)
    }
}

impl CpuFrequencies {
    /// Clock frequencies in MHz; `None` if unknown.
    ///
    /// # Errors
    /// If a value is not positive and finite, or if `min_mhz` is greater than `max_mhz`.
    pub fn new(current_mhz: Option<f64>, min_mhz: Option<f64>, max_mhz: Option<f64>) -> Result<Self, InvalidMessage> {
        let frequencies = Self { current_mhz, min_mhz, max_mhz };
        frequencies.check()?;
        Ok(frequencies)
    }
}

impl CoreMetrics {
    /// A logical CPU with this number, as assigned by the kernel, and no values.
    #[must_use]
    pub fn new(core_id: u32) -> Self {
        Self { core_id, ..Self::default() }
    }
}

impl CpuStates {
    /// Share of time that the CPU was busy, in percent: the sum of all states except idle and iowait.
    #[must_use]
    pub fn busy_percent(&self) -> f64 {
        self.user_percent
            + self.nice_percent
            + self.system_percent
            + self.irq_percent
            + self.softirq_percent
            + self.steal_percent
    }

    /// Sum of all states, in percent: 100, apart from rounding. Guest time is part of user and nice and not added.
    #[must_use]
    pub fn total_percent(&self) -> f64 {
        self.busy_percent() + self.idle_percent + self.iowait_percent
    }
}
