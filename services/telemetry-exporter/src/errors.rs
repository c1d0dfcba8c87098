//! Why the exporter does not start or ends.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use telemetry_client::ConsumerError;
use telemetry_settings::InvalidSettings;
use thiserror::Error;

/// As `sysexits.h` has them.
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_SOFTWARE: u8 = 70;
const EXIT_CONFIG: u8 = 78;

/// Why the exporter does not start or ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// Settings are not what they must be.
    #[error(transparent)]
    Configuration(#[from] InvalidSettings),
    /// The queue cannot be read with these settings.
    #[error("cannot read the queue (TELEMETRY_REDIS__URL)")]
    Queue(#[from] ConsumerError),
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
            Self::Configuration(_) | Self::Queue(_) => EXIT_CONFIG,
            Self::Bind { .. } => EXIT_UNAVAILABLE,
            Self::System { .. } => EXIT_SOFTWARE,
        }
    }
}

/// The error and everything that caused it, on one line.
#[must_use]
pub fn report(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
