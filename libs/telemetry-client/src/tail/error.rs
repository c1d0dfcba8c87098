//! Why the queue cannot be looked at.

use telemetry_redis::{Cause, Failure, FailureKind, InvalidSetting};
use thiserror::Error;

/// The queue could not be looked at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TailError {
    /// The URL or the TLS files cannot be used. Settings are named as those of [`TailSettings`](super::TailSettings): `url`,
    /// `tls.ca`, `tls.cert`, `tls.key`.
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
}

impl TailError {
    pub(super) fn redis(operation: &'static str, failure: Failure) -> Self {
        Self::Redis { operation, kind: failure.kind(), source: failure.into_cause() }
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Redis { kind, .. } => kind.is_retryable(),
            Self::Settings(_) => false,
        }
    }
}
