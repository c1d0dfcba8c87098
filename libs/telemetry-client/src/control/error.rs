//! What can go wrong between a service and a collector's control API.

use std::error::Error;

use thiserror::Error;
use tonic::{Code, Status};

type Cause = Box<dyn Error + Send + Sync>;

/// A call to the control API did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The client cannot be made of its settings.
    #[error("{setting} of the control API is wrong")]
    Settings {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// No answer came within the time limit. `SetInterval` may have been done all the same; repeating it does no harm.
    #[error("cannot {call}: no answer in time")]
    TimedOut {
        /// What was tried, as it reads after "cannot".
        call: &'static str,
        /// What was noticed.
        #[source]
        source: Box<Status>,
    },
    /// The collector cannot be reached, or has nothing to say yet.
    #[error("cannot {call}: not available: {}", source.message())]
    Unavailable {
        /// What was tried.
        call: &'static str,
        /// What the collector or the network said.
        #[source]
        source: Box<Status>,
    },
    /// The collector, or a proxy before it, says no.
    #[error("cannot {call}: refused ({:?}): {}", source.code(), source.message())]
    Refused {
        /// What was tried.
        call: &'static str,
        /// The answer.
        #[source]
        source: Box<Status>,
    },
    /// The answer is not what the schema promises.
    #[error("cannot {call}: the answer breaks the schema")]
    WrongAnswer {
        /// What was tried.
        call: &'static str,
        /// What is wrong with it.
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

    pub(super) fn of_status(call: &'static str, status: Status) -> Self {
        let source = Box::new(status);
        match source.code() {
            // The client's own limit is told as Cancelled, the server's as DeadlineExceeded.
            Code::Cancelled | Code::DeadlineExceeded => Self::TimedOut { call, source },
            Code::Unavailable | Code::ResourceExhausted | Code::Aborted => Self::Unavailable { call, source },
            _ => Self::Refused { call, source },
        }
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unavailable { .. })
    }
}
