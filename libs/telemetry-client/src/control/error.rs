//! Errors of calls to a collector's control API.

use std::error::Error;

use thiserror::Error;
use tonic::{Code, Status};

type Cause = Box<dyn Error + Send + Sync>;

/// A call to the control API failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The client's settings are not valid.
    #[error("{setting} of the control API is wrong")]
    Settings {
        /// The setting.
        setting: &'static str,
        /// What is wrong with the setting.
        #[source]
        source: Cause,
    },
    /// No answer came within the timeout. `SetInterval` may have taken effect nevertheless; it is safe to retry.
    #[error("cannot {call}: no answer in time")]
    TimedOut {
        /// The call, as a phrase that follows "cannot".
        call: &'static str,
        /// The status that reported the timeout.
        #[source]
        source: Box<Status>,
    },
    /// The collector cannot be reached, or has not taken a sample yet.
    #[error("cannot {call}: not available: {}", source.message())]
    Unavailable {
        /// The call.
        call: &'static str,
        /// The status, from the collector or the network.
        #[source]
        source: Box<Status>,
    },
    /// The collector, or a proxy in front of it, rejected the call.
    #[error("cannot {call}: refused ({:?}): {}", source.code(), source.message())]
    Refused {
        /// The call.
        call: &'static str,
        /// The status of the answer.
        #[source]
        source: Box<Status>,
    },
    /// The answer violates the schema.
    #[error("cannot {call}: the answer breaks the schema")]
    WrongAnswer {
        /// The call.
        call: &'static str,
        /// What is wrong with the answer.
        #[source]
        source: Cause,
    },
}

impl ControlError {
    pub(super) fn settings(setting: &'static str, source: impl Into<Cause>) -> Self {
        Self::Settings { setting, source: source.into() }
    }

    pub(super) fn wrong_answer(call: &'static str, source: impl Into<Cause>) -> Self {
        Self::WrongAnswer { call, source: source.into() }
    }

    pub(super) fn from_status(call: &'static str, status: Status) -> Self {
        let source = Box::new(status);
        match source.code() {
            // The client reports its own timeout as Cancelled, the server as DeadlineExceeded.
            Code::Cancelled | Code::DeadlineExceeded => Self::TimedOut { call, source },
            Code::Unavailable | Code::ResourceExhausted | Code::Aborted => Self::Unavailable { call, source },
            _ => Self::Refused { call, source },
        }
    }

    /// Whether the same call may succeed later without any change to settings or collector.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unavailable { .. })
    }
}
