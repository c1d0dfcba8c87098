//! One reading per logical CPU.

use crate::collectors::Reading;
use crate::models::UnavailableReason;

/// One reading per logical CPU, by the number that the kernel assigned to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PerCore<T>(Vec<(u32, Reading<T>)>);

impl<T: Copy> PerCore<T> {
    /// Takes readings in ascending order of CPU number.
    pub(super) fn from_readings(readings: impl Iterator<Item = (u32, Reading<T>)>) -> Self {
        Self(readings.collect())
    }

    /// The reading of one CPU; pending for a CPU that came online after the readings were taken.
    pub(super) fn get(&self, core: u32) -> Reading<T> {
        match self.0.binary_search_by_key(&core, |(id, _)| *id) {
            Ok(index) => self.0[index].1,
            Err(_) => Err(UnavailableReason::Pending),
        }
    }

    pub(super) fn readings(&self) -> impl Iterator<Item = Reading<T>> {
        self.0.iter().map(|(_, reading)| *reading)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = T> {
        self.readings().flatten()
    }
}
