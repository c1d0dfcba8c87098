//! Constructors of the processor metrics.

use super::{CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, InvalidMessage, LoadAverages};

impl CpuMetrics {
    /// The metrics of these processors, ascending by `core_id`; what is known of them as a whole is for the caller to add.
    #[must_use]
    pub fn new(cores: Vec<CoreMetrics>) -> Self {
        Self { logical_count: u32::try_from(cores.len()).unwrap_or(u32::MAX), cores, ..Self::default() }
    }
}

impl LoadAverages {
    /// Run-queue averages over one, five and fifteen minutes.
    ///
    /// # Errors
    /// When a value is negative, infinite or not a number.
    pub fn new(one: f64, five: f64, fifteen: f64) -> Result<Self, InvalidMessage> {
        let averages = Self { one, five, fifteen };
        averages.check()?;
        Ok(averages)
    }
}

impl CpuFrequencies {
    /// Clock frequencies in MHz, each where it is known.
    ///
    /// # Errors
    /// When a value is not a positive number, or the lowest is above the highest.
    pub fn new(current_mhz: Option<f64>, min_mhz: Option<f64>, max_mhz: Option<f64>) -> Result<Self, InvalidMessage> {
        let frequencies = Self { current_mhz, min_mhz, max_mhz };
        frequencies.check()?;
        Ok(frequencies)
    }
}

impl CoreMetrics {
    /// A processor of which nothing is known yet but the number the kernel gave it.
    #[must_use]
    pub fn new(core_id: u32) -> Self {
        Self { core_id, ..Self::default() }
    }
}

impl CpuStates {
    /// Share of the time in which the processor was busy, in percent: everything but idle and iowait.
    #[must_use]
    pub fn busy_percent(&self) -> f64 {
        self.user_percent
            + self.nice_percent
            + self.system_percent
            + self.irq_percent
            + self.softirq_percent
            + self.steal_percent
    }

    /// Sum of the shares that exclude each other, in percent: 100 but for rounding. Guests are inside user and nice.
    #[must_use]
    pub fn total_percent(&self) -> f64 {
        self.busy_percent() + self.idle_percent + self.iowait_percent
    }
}
