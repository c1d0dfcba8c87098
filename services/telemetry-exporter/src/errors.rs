//! Why the exporter does not start or ends.

use std::io;
use std::net::SocketAddr;

use telemetry_client::ConsumerError;
use telemetry_process::exit;
use telemetry_settings::{InvalidSetting, InvalidSettings};
use thiserror::Error;

/// Why the exporter does not start or ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// Settings are not what they must be.
    #[error(transparent)]
    Configuration(#[from] InvalidSettings),
    /// The queue cannot be read.
    #[error("cannot read the queue")]
    Queue(#[source] ConsumerError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (TELEMETRY_EXPORTER__LISTEN)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The operating system refused something.
    #[error("cannot {operation}")]
    System {
        /// What was tried, as it reads after "cannot".
        operation: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl ExporterError {
    /// The operating system refused `operation`, as it reads after "cannot".
    pub fn system(operation: &'static str, source: io::Error) -> Self {
        Self::System { operation, source }
    }

    /// The exit code of a process that ends over this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Queue(_) => exit::CONFIG,
            Self::Bind { .. } => exit::UNAVAILABLE,
            Self::System { .. } => exit::SOFTWARE,
        }
    }
}

impl From<ConsumerError> for ExporterError {
    fn from(error: ConsumerError) -> Self {
        match error {
            ConsumerError::Settings(invalid) => invalid.into(),
            error => Self::Queue(error),
        }
    }
}

impl From<telemetry_redis::InvalidSetting> for ExporterError {
    fn from(invalid: telemetry_redis::InvalidSetting) -> Self {
        Self::Configuration(InvalidSetting::from(invalid).into())
    }
}
