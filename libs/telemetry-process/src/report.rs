//! An error on one line.

use std::error::Error;

/// The error and everything that caused it, on one line, each cause once.
#[must_use]
pub fn report(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let context = error.to_string();
        if !line.ends_with(&context) {
            line.push_str(": ");
            line.push_str(&context);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// An error and its cause.
    #[derive(Debug)]
    struct Failure(&'static str, Option<Box<Failure>>);

    impl fmt::Display for Failure {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn failure(text: &'static str, cause: Option<Failure>) -> Failure {
        Failure(text, cause.map(Box::new))
    }

    #[test]
    fn names_every_cause() {
        let error = failure("cannot start", Some(failure("cannot open x", Some(failure("no such file", None)))));
        assert_eq!(report(&error), "cannot start: cannot open x: no such file");
    }

    #[test]
    fn names_a_cause_that_is_in_its_error_once() {
        let error = failure("cannot open x: no such file", Some(failure("no such file", None)));
        assert_eq!(report(&error), "cannot open x: no such file");
    }
}
