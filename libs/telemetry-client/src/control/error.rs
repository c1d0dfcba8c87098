//! Errors of calls to a collector's control API.

use std::error::Error;
use std::iter;
use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status, TimeoutExpired};

type Cause = Box<dyn Error + Send + Sync>;

/// Alerts of TLS (RFC 8446, section 6.2) about the client's certificate, as rustls names them.
const CERTIFICATE_ALERTS: &[&str] = &[
    "BadCertificate",
    "UnsupportedCertificate",
    "CertificateRevoked",
    "CertificateExpired",
    "CertificateUnknown",
    "UnknownCA",
    "AccessDenied",
    // The signature of another CA with the same name.
    "DecryptError",
    "CertificateRequired",
];

/// A call to the control API failed.
///
/// | variant | what to do | retryable |
/// | --- | --- | --- |
/// | `Settings` | correct the setting | no |
/// | `TimedOut`, `Unavailable`, `Limited` | try again later | yes |
/// | `Unauthenticated`, `PermissionDenied` | give a token or client certificate that the collector knows, with the role that the call needs | no |
/// | `Older`, `TtlIgnored` | upgrade the collector | no |
/// | `Refused` | correct the request | no |
/// | `WrongAnswer` | compare the versions of client and collector | no |
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
    #[error("cannot {call}: not available: {}", said(source))]
    Unavailable {
        /// The call.
        call: &'static str,
        /// The status, from the collector or the network.
        #[source]
        source: Box<Status>,
    },
    /// The collector has reached one of its limits: calls or changes a second, or watches at once.
    #[error("cannot {call}: a limit of the collector is reached, try again later: {}", source.message())]
    Limited {
        /// The call.
        call: &'static str,
        /// The status of the answer.
        #[source]
        source: Box<Status>,
    },
    /// The collector asks for a login, or does not know the one that was given.
    #[error(
        "cannot {call}: the collector does not accept the login, give a valid bearer token or client certificate: {}",
        said(source)
    )]
    Unauthenticated {
        /// The call.
        call: &'static str,
        /// The status of the answer.
        #[source]
        source: Box<Status>,
    },
    /// The login is valid, and its role does not allow this call.
    #[error("cannot {call}: permission denied, the call needs a login with another role: {}", source.message())]
    PermissionDenied {
        /// The call.
        call: &'static str,
        /// The status of the answer.
        #[source]
        source: Box<Status>,
    },
    /// The collector's schema does not have the call, or ignored a part of the request that it does not know.
    #[error("cannot {call}: the collector is older than schema 1.1.0, upgrade it")]
    Older {
        /// The call.
        call: &'static str,
    },
    /// The interval was changed by a collector that does not know the ttl. It stays in force until it is changed again.
    #[error(
        "the interval was changed for good: the collector is older than schema 1.1.0 and ignored the ttl, \
         set the previous interval again when it is due"
    )]
    TtlIgnored {
        /// The interval before the change.
        previous: Duration,
        /// The interval now.
        current: Duration,
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
        if is_refused_certificate(&source) {
            return Self::Unauthenticated { call, source };
        }
        match source.code() {
            // The client reports its own timeout as Cancelled, the server as DeadlineExceeded.
            Code::Cancelled if causes(&source).any(|cause| cause.is::<TimeoutExpired>()) => {
                Self::TimedOut { call, source }
            }
            // Only the client's own statuses have a cause: here the connection broke.
            Code::Cancelled | Code::Unknown | Code::Internal if causes(&source).next().is_some() => {
                Self::Unavailable { call, source }
            }
            Code::Cancelled | Code::DeadlineExceeded => Self::TimedOut { call, source },
            Code::Unavailable | Code::Aborted => Self::Unavailable { call, source },
            Code::ResourceExhausted => Self::Limited { call, source },
            Code::Unauthenticated => Self::Unauthenticated { call, source },
            Code::PermissionDenied => Self::PermissionDenied { call, source },
            Code::Unimplemented => Self::Older { call },
            _ => Self::Refused { call, source },
        }
    }

    /// Whether the same call may succeed later without any change to settings or collector.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unavailable { .. } | Self::Limited { .. })
    }
}

/// What a status says, with the cause at its root: of a connection that failed, the status has only the step.
fn said(status: &Status) -> String {
    let root = causes(status).last().map(ToString::to_string);
    match root {
        Some(root) if !status.message().contains(&root) => format!("{}: {root}", status.message()),
        _ => status.message().to_owned(),
    }
}

/// Whether the collector ended the TLS handshake because the client's certificate is missing or not accepted.
fn is_refused_certificate(status: &Status) -> bool {
    // h2 keeps only the text of the error that rustls reports.
    let alert = causes(status).last().map(ToString::to_string);
    let alert = alert.as_deref().and_then(|text| text.strip_prefix("received fatal alert: "));
    alert.is_some_and(|alert| CERTIFICATE_ALERTS.contains(&alert))
}

/// What caused a status, from the nearest to the root. Only the client's own statuses have causes.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(status.source(), |&cause| cause.source())
}
