//! Which reasons of an outage have been logged.

use std::error::Error;

use crate::errors::report;

/// How many different reasons of one outage are logged. Error texts that always differ must not flood the log.
const REASONS_MAX: usize = 8;

/// The reasons of one outage that have been logged.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<String>);

impl Reasons {
    /// Notes `error` as logged. Returns whether it should be: it is new, and not too many others have been logged before.
    pub(crate) fn is_new(&mut self, error: &dyn Error) -> bool {
        let reason = report(error);
        let is_new = self.0.len() < REASONS_MAX && !self.0.contains(&reason);
        if is_new {
            self.0.push(reason);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::{PublishingErrorKind, TelemetryError};

    #[test]
    fn each_reason_of_an_outage_is_logged_once_and_only_so_many() {
        let mut reasons = Reasons::default();
        let mut is_new = |detail: &str| {
            reasons.is_new(&TelemetryError::publishing("push", PublishingErrorKind::Rejected, detail.to_owned()))
        };
        assert!(is_new("broken pipe"));
        assert!(!is_new("broken pipe"));
        assert!(is_new("NOAUTH"));
        assert!(!is_new("NOAUTH"));
        assert!(!is_new("broken pipe"));
        let more = (0..100).filter(|number| is_new(&number.to_string())).count();
        assert_eq!(more, REASONS_MAX - 2);
    }
}
