//! What can go wrong between a service and the queue.

use semver::Version;
use telemetry_redis::{Cause, Failure, FailureKind, InvalidSetting};
use thiserror::Error;

/// The queue could not be read, or a message of it could not.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The URL or the TLS files cannot be used. Settings are named as those of
    /// [`ConsumerSettings`](crate::ConsumerSettings): `url`, `tls.ca`, `tls.cert`, `tls.key`.
    #[error("{0}")]
    Settings(InvalidSetting),
    /// Redis did not do what it was asked.
    #[error("cannot {operation}: {kind}")]
    Redis {
        /// What was tried, as it reads after "cannot".
        operation: &'static str,
        /// What sort of failure it is.
        kind: FailureKind,
        /// What the server or the network said.
        #[source]
        source: Cause,
    },
    /// A message is of another major version of the schema. It lies on the dead-letter list, whole.
    #[error(
        "a message of schema {found} cannot be read by a program that knows {known}: upgrade this program; \
             the message is kept in {kept_in}"
    )]
    OtherMajor {
        /// Version of the message.
        found: Version,
        /// Version that this program knows.
        known: Version,
        /// The list that the message was moved to.
        kept_in: String,
    },
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
}

impl ConsumerError {
    pub(super) fn redis(operation: &'static str, failure: Failure) -> Self {
        Self::Redis { operation, kind: failure.kind(), source: failure.into_cause() }
    }

    /// The error with an [`InvalidSetting`] that caused it replaced by what the service's users know it as: a file can
    /// become unusable after the start. [`Settings`](Self::Settings) stays as it is.
    #[must_use]
    pub fn name_setting<E: Into<Cause>>(self, name: impl FnOnce(InvalidSetting) -> E) -> Self {
        match self {
            Self::Redis { operation, kind, source } => {
                Self::redis(operation, Failure::new(kind, source).name_setting(name))
            }
            error => error,
        }
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Redis { kind, .. } => kind.is_retryable(),
            Self::Settings(_) | Self::OtherMajor { .. } | Self::Closed => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn error(kind: FailureKind) -> ConsumerError {
        ConsumerError::redis("take messages", Failure::new(kind, "WRONGTYPE Operation against a key"))
    }

    #[test]
    fn is_retryable_as_its_failure_is() {
        for kind in [FailureKind::Unreachable, FailureKind::TimedOut, FailureKind::Refused] {
            assert!(error(kind).is_retryable(), "{kind}");
        }
        assert!(!error(FailureKind::Rejected).is_retryable());
        assert!(!ConsumerError::Closed.is_retryable());
    }

    #[test]
    fn names_the_operation_and_keeps_the_source() {
        let error = error(FailureKind::Rejected);
        assert_eq!(error.to_string(), "cannot take messages: rejected");
        assert_eq!(error.source().unwrap().to_string(), "WRONGTYPE Operation against a key");
    }
}
