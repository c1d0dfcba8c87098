//! Who called, and what the caller may do.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Who called. A server puts it into the extensions of each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token, subject of the client certificate, or user ID of the process at the other end of a Unix socket.
    /// Empty if the caller did not log in.
    pub name: String,
    /// How the caller logged in.
    pub login: Login,
    /// What the caller may do; `None` = nothing that needs a login.
    pub role: Option<Role>,
    /// Where the call came from: address and port, or the process at the other end of a Unix socket.
    pub address: String,
}

/// How a caller logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    None,
    /// With a bearer token.
    Token,
    /// With a client certificate.
    Certificate,
    /// Through a Unix socket, whose permissions decide who may connect.
    Unix,
}

/// What a caller may do. A higher role may do all that a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read: snapshots, health, settings.
    Read,
    /// Read, and change how the service works.
    Control,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Control => "control",
        })
    }
}

/// A text that is no [`Role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not read or control")]
pub struct InvalidRole;

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "read" => Ok(Self::Read),
            "control" => Ok(Self::Control),
            _ => Err(InvalidRole),
        }
    }
}
