//! What can go wrong with the spool.

use std::io;

use thiserror::Error;

/// The operating system refused something that the spool needs. Trying again may help.
#[derive(Debug, Error)]
#[error("cannot {operation}")]
pub struct SpoolError {
    /// What was tried, as it reads after "cannot".
    pub operation: &'static str,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}
