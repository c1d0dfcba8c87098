//! What can go wrong in the collector, and what to do about it.
//!
//! An error's `Display` is its own context alone; [`report`] writes it with everything that caused it. Whether trying
//! again can help is decided here, once, as is the way into a gRPC status and a process exit code.

use std::error::Error as StdError;
use std::{fmt, io};

use telemetry_outbox::SpoolError;
use telemetry_process::exit;
pub use telemetry_process::report;
use telemetry_proto::v1::{EncodeError, InvalidMessage};
use telemetry_redis::FailureKind;
use telemetry_server::{Address, ListenError};
pub use telemetry_settings::{InvalidSetting, InvalidSettings};
use thiserror::Error;

/// An error's cause, of any type.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The result of what can fail in the collector.
pub type TelemetryResult<T> = Result<T, TelemetryError>;

/// What can go wrong in the collector.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The operating system refused something the process itself needs: a file, a socket, a signal.
    #[error("cannot {operation}")]
    System {
        /// What was tried, as it reads after "cannot".
        operation: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}){}", remedy(source))]
    Bind {
        /// The variable that names the address.
        setting: &'static str,
        /// The address.
        address: Address,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The host did not give up a metric.
    #[error("cannot collect {metric}")]
    Collection {
        /// What was to be collected.
        metric: String,
        /// Why it could not be.
        #[source]
        source: Cause,
    },
    /// The destination did not take messages.
    #[error("cannot {operation}: {kind}")]
    Publishing {
        /// What was tried, as it reads after "cannot".
        operation: String,
        /// What sort of failure it is, which decides when to try again.
        kind: PublishingErrorKind,
        /// What the destination or the network said.
        #[source]
        source: Cause,
    },
    /// The collector was changed too often.
    #[error(
        "more than {per_second} changes a second; wait a second, or raise TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND"
    )]
    TooManyChanges {
        /// How many are accepted.
        per_second: usize,
    },
    /// The collector is about to end.
    #[error("the collector is stopping")]
    Stopping,
    /// Settings are not what they must be.
    #[error(transparent)]
    Configuration(#[from] InvalidSettings),
}

/// Why a destination did not take messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublishingErrorKind {
    /// No connection could be made, or it broke.
    Unreachable,
    /// No answer came in time; what was sent may or may not have been taken.
    TimedOut,
    /// The destination is there and does not take messages now: it loads, is full, or fails over.
    Refused,
    /// The destination will not take them until somebody changes its set-up or ours: login, permission, type of key.
    Rejected,
    /// The message itself cannot be sent.
    InvalidMessage,
}

/// What to do when an address cannot be listened on.
fn remedy(failure: &io::Error) -> &'static str {
    match failure.kind() {
        io::ErrorKind::AddrInUse => "; another program uses it: stop that one, or choose another address",
        io::ErrorKind::AddrNotAvailable => "; this host does not have the address",
        io::ErrorKind::NotFound => "; the directory of the socket must exist",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need the capability CAP_NET_BIND_SERVICE, a socket needs a directory that the collector may write to"
        }
        _ => "",
    }
}

impl TelemetryError {
    /// The operating system refused `operation`, as it reads after "cannot".
    pub fn system(operation: impl Into<String>, source: io::Error) -> Self {
        Self::System { operation: operation.into(), source }
    }

    /// The host did not give up `metric`.
    pub fn collection(metric: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Collection { metric: metric.into(), source: source.into() }
    }

    /// A destination did not do `operation`, as it reads after "cannot".
    pub fn publishing(operation: impl Into<String>, kind: PublishingErrorKind, source: impl Into<Cause>) -> Self {
        Self::Publishing { operation: operation.into(), kind, source: source.into() }
    }

    /// One setting is wrong.
    pub fn setting(name: impl Into<String>, problem: impl Into<String>) -> Self {
        InvalidSetting::new(name, problem).into()
    }

    /// A listener cannot be opened whose settings begin with `section`, such as `TELEMETRY_CONTROL__`; `setting` names its address.
    pub fn listen(section: &str, setting: &'static str, error: ListenError) -> Self {
        match error {
            ListenError::Bind { address, source } => Self::Bind { setting, address, source },
            ListenError::Setting(invalid) => {
                let name = |setting: telemetry_server::Setting| format!("{section}{setting}");
                Self::setting(name(invalid.setting), invalid.describe(name))
            }
        }
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::System { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                )
            }
            Self::Collection { .. } | Self::TooManyChanges { .. } | Self::Stopping => true,
            Self::Publishing { kind, .. } => kind.is_retryable(),
            Self::Bind { .. } | Self::Configuration(_) => false,
        }
    }

    /// The exit code of a process that ends over this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => exit::CONFIG,
            Self::Bind { .. } => exit::UNAVAILABLE,
            Self::System { .. }
            | Self::Collection { .. }
            | Self::Publishing { .. }
            | Self::TooManyChanges { .. }
            | Self::Stopping => exit::SOFTWARE,
        }
    }
}

impl fmt::Display for PublishingErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl StdError for PublishingErrorKind {}

impl PublishingErrorKind {
    /// Name of the kind in error texts and metric attributes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "not reachable",
            Self::TimedOut => "no answer in time",
            Self::Refused => "busy or full",
            Self::Rejected => "rejected",
            Self::InvalidMessage => "message not valid",
        }
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut | Self::Refused => true,
            Self::Rejected | Self::InvalidMessage => false,
        }
    }
}

impl From<FailureKind> for PublishingErrorKind {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Unreachable => Self::Unreachable,
            FailureKind::TimedOut => Self::TimedOut,
            FailureKind::Refused => Self::Refused,
            FailureKind::Rejected => Self::Rejected,
        }
    }
}

impl From<telemetry_redis::InvalidSetting> for TelemetryError {
    fn from(invalid: telemetry_redis::InvalidSetting) -> Self {
        InvalidSetting::from(invalid).into()
    }
}

impl From<InvalidSetting> for TelemetryError {
    fn from(setting: InvalidSetting) -> Self {
        Self::Configuration(setting.into())
    }
}

impl From<EncodeError> for TelemetryError {
    fn from(source: EncodeError) -> Self {
        Self::publishing("encode a message", PublishingErrorKind::InvalidMessage, source)
    }
}

impl From<SpoolError> for TelemetryError {
    fn from(error: SpoolError) -> Self {
        Self::system(error.operation, error.source)
    }
}

impl From<InvalidMessage> for TelemetryError {
    fn from(source: InvalidMessage) -> Self {
        Self::collection("a valid sample", source)
    }
}

impl From<TelemetryError> for tonic::Status {
    fn from(error: TelemetryError) -> Self {
        let code = match &error {
            TelemetryError::System { .. } | TelemetryError::Bind { .. } => tonic::Code::Internal,
            TelemetryError::Collection { .. } | TelemetryError::Publishing { .. } | TelemetryError::Stopping => {
                tonic::Code::Unavailable
            }
            TelemetryError::TooManyChanges { .. } => tonic::Code::ResourceExhausted,
            TelemetryError::Configuration(_) => tonic::Code::InvalidArgument,
        };
        Self::new(code, report(&error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused() -> io::Error {
        io::Error::from(io::ErrorKind::ConnectionRefused)
    }

    fn publishing(kind: PublishingErrorKind) -> TelemetryError {
        TelemetryError::publishing("push 3 messages", kind, refused())
    }

    #[test]
    fn a_report_names_every_cause_once() {
        let error = publishing(PublishingErrorKind::Unreachable);
        assert_eq!(error.to_string(), "cannot push 3 messages: not reachable");
        assert_eq!(report(&error), "cannot push 3 messages: not reachable: connection refused");
    }

    #[test]
    fn sources_are_kept() {
        let error = TelemetryError::collection("cpu", refused());
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn only_what_mends_itself_is_retryable() {
        assert!(publishing(PublishingErrorKind::Unreachable).is_retryable());
        assert!(publishing(PublishingErrorKind::TimedOut).is_retryable());
        assert!(publishing(PublishingErrorKind::Refused).is_retryable());
        assert!(!publishing(PublishingErrorKind::Rejected).is_retryable());
        assert!(!publishing(PublishingErrorKind::InvalidMessage).is_retryable());
        assert!(TelemetryError::collection("cpu", "half a file").is_retryable());
        assert!(!TelemetryError::setting("X", "is wrong").is_retryable());
        assert!(!TelemetryError::system("open it", io::Error::from(io::ErrorKind::NotFound)).is_retryable());
    }

    #[test]
    fn every_class_has_its_status_and_exit_code() {
        let in_use = TelemetryError::Bind {
            setting: "TELEMETRY_CONTROL__LISTEN",
            address: Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], 50051))),
            source: io::Error::from(io::ErrorKind::AddrInUse),
        };
        assert_eq!(in_use.exit_code(), 69);
        assert!(in_use.to_string().ends_with("; another program uses it: stop that one, or choose another address"));
        assert_eq!(tonic::Status::from(in_use).code(), tonic::Code::Internal);

        let wrong = TelemetryError::setting("interval", "5ms is below 100ms");
        assert_eq!(wrong.exit_code(), 78);
        let status = tonic::Status::from(wrong);
        assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, "interval: 5ms is below 100ms"));

        let unreachable = publishing(PublishingErrorKind::Unreachable);
        assert_eq!(unreachable.exit_code(), 70);
        assert_eq!(tonic::Status::from(unreachable).code(), tonic::Code::Unavailable);
    }
}
