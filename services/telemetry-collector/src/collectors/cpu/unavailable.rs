//! The list of what a sample leaves out.
//!
//! A path names a value by its fields in the schema. A value that no processor has for one and the same reason is
//! listed once ("cores.frequency_mhz"); else each processor without it is listed by its core_id, which is not its
//! place in the list ("cores[7].usage_percent").

use crate::collectors::Reading;
use crate::models::{UnavailableField, UnavailableReason};

/// Collects what is absent, and why.
#[derive(Debug, Default)]
pub(super) struct Unavailable(Vec<UnavailableField>);

impl Unavailable {
    /// The value; when there is none, `field` is listed.
    pub(super) fn value<T>(&mut self, field: &str, reading: Reading<T>) -> Option<T> {
        reading.map_err(|reason| self.0.push(UnavailableField::new(field, reason))).ok()
    }

    /// Lists a field of the processors: `absent` are those of all `count` that do not have it, and why.
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

/// One field of the processors, and which of them do not have it.
#[derive(Debug)]
pub(super) struct CoreField {
    name: &'static str,
    absent: Vec<(u32, UnavailableReason)>,
}

impl CoreField {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, absent: Vec::new() }
    }

    /// The value of one processor; when there is none, it is noted.
    pub(super) fn value<T>(&mut self, core: u32, reading: Reading<T>) -> Option<T> {
        reading.map_err(|reason| self.absent.push((core, reason))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UnavailableReason::{CounterReset, FirstSample};

    /// The paths that are listed when the processors 0, 1 … have no value for these reasons.
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
    fn what_all_processors_lack_for_one_reason_is_listed_once() {
        assert_eq!(listed(&[Some(FirstSample), Some(FirstSample)]), ["cores.usage_percent"]);
    }

    #[test]
    fn else_each_processor_without_it_is_listed() {
        assert_eq!(listed(&[None, Some(FirstSample)]), ["cores[1].usage_percent"]);
        let both = ["cores[0].usage_percent", "cores[1].usage_percent"];
        assert_eq!(listed(&[Some(FirstSample), Some(CounterReset)]), both);
        assert!(listed(&[None, None]).is_empty());
    }
}
