//! The list of values that are absent from a sample, with reasons.
//!
//! A value is named by the path of its field in the schema. If it is absent for every CPU and for the same reason, it is
//! listed once ("cores.frequency_mhz"). Otherwise it is listed for each CPU that lacks it ("cores[7].usage_percent"); the
//! index is the `core_id`, not the position in the list.

use crate::collectors::Reading;
use crate::models::{UnavailableField, UnavailableReason};

/// Collects absent values and their reasons.
#[derive(Debug, Default)]
pub(super) struct Unavailable(Vec<UnavailableField>);

impl Unavailable {
    /// Returns the value, or lists `field` as absent.
    pub(super) fn value<T>(&mut self, field: &str, reading: Reading<T>) -> Option<T> {
        reading.map_err(|reason| self.0.push(UnavailableField::new(field, reason))).ok()
    }

    /// Lists the CPUs that lack `field`, out of `count` CPUs in total.
    pub(super) fn cores(&mut self, field: CoreField, count: usize) {
        match field.absent.first() {
            None => {}
            Some((_, reason))
                if field.absent.len() == count && field.absent.iter().all(|(_, other)| other == reason) =>
            {
                self.0.push(UnavailableField::new(format!("cores.{}", field.name), *reason));
            }
            Some(_) => self.0.extend(
                field
                    .absent
                    .iter()
                    .map(|(core, reason)| UnavailableField::new(format!("cores[{core}].{}", field.name), *reason)),
            ),
        }
    }

    pub(super) fn into_fields(self) -> Vec<UnavailableField> {
        self.0
    }
}

/// A field of the CPUs, and the CPUs that lack it with the reason.
#[derive(Debug)]
pub(super) struct CoreField {
    name: &'static str,
    absent: Vec<(u32, UnavailableReason)>,
}

impl CoreField {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, absent: Vec::new() }
    }

    /// Returns the value of one CPU, or records that it is absent.
    pub(super) fn value<T>(&mut self, core: u32, reading: Reading<T>) -> Option<T> {
        reading.map_err(|reason| self.absent.push((core, reason))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UnavailableReason::{CounterReset, FirstSample};

    /// The listed paths if the CPUs 0, 1 … lack a value for these reasons.
    fn listed(reasons: &[Option<UnavailableReason>]) -> Vec<String> {
        let mut field = CoreField::new("usage_percent");
        for (core, reason) in (0..).zip(reasons) {
            field.value(core, reason.map_or(Ok(0.0), Err));
        }
        let mut unavailable = Unavailable::default();
        unavailable.cores(field, reasons.len());
        unavailable.into_fields().into_iter().map(|absent| absent.field).collect()
    }

    #[test]
    fn lists_a_field_once_if_all_cpus_lack_it_for_one_reason() {
        assert_eq!(listed(&[Some(FirstSample), Some(FirstSample)]), ["cores.usage_percent"]);
    }

    #[test]
    fn otherwise_lists_each_cpu_that_lacks_it() {
        assert_eq!(listed(&[None, Some(FirstSample)]), ["cores[1].usage_percent"]);
        let both = ["cores[0].usage_percent", "cores[1].usage_percent"];
        assert_eq!(listed(&[Some(FirstSample), Some(CounterReset)]), both);
        assert!(listed(&[None, None]).is_empty());
    }
}
