//! The bearer token of each call.

use std::path::PathBuf;
use std::{fmt, fs};

use tonic::metadata::{Ascii, MetadataValue};

use super::error::ControlError;

const SETTING: &str = "the token";

/// Where the token comes from.
#[derive(Clone)]
pub(super) enum Token {
    None,
    Value(String),
    /// It is read at each call: a few bytes, which the kernel has in memory.
    File(PathBuf),
}

impl Token {
    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The value of the header `authorization`.
    pub(super) fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, ControlError> {
        match self {
            Self::None => Ok(None),
            Self::Value(token) => header(token).map(Some),
            Self::File(file) => {
                let token = fs::read_to_string(file).map_err(|error| {
                    ControlError::settings(SETTING, format!("cannot read {}: {error}", file.display()))
                })?;
                header(token.trim()).map(Some)
            }
        }
    }
}

fn header(token: &str) -> Result<MetadataValue<Ascii>, ControlError> {
    if token.is_empty() {
        return Err(ControlError::settings(SETTING, "it is empty"));
    }
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {token}").parse().map_err(|error| ControlError::settings(SETTING, error))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Token {
    /// Omits the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Value(_) => formatter.write_str("***"),
            Self::File(file) => file.fmt(formatter),
        }
    }
}
