//! Why a listener cannot be opened, or a changed file cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::address::Address;
use crate::settings::Setting;

/// Why a listener cannot be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The operating system refused the address: it is in use, not of this host, or not permitted.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: Address,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A setting that cannot be used.
///
/// Its `Display` names settings as [`Setting::name`] does. A service whose users know them by other names writes the line
/// with [`describe`](Self::describe).
#[derive(Debug, Error)]
#[error("{setting}: {}", .problem.describe(&|setting| setting.name().to_owned()))]
pub struct InvalidSetting {
    /// Which one.
    pub setting: Setting,
    problem: Problem,
}

/// What is wrong with a setting. It never holds a secret.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The address can be reached from other hosts, and strangers could read along or get in.
    Unprotected(Address),
    /// It needs another setting, which is missing.
    Needs(Setting),
    /// It has no use at a Unix socket.
    NotForUnixSockets,
    /// No group has this name.
    UnknownGroup(String),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file does not hold what it should.
    Damaged(PathBuf, String),
}

impl InvalidSetting {
    pub(crate) fn new(setting: Setting, problem: Problem) -> Self {
        Self { setting, problem }
    }

    /// What is wrong, as it reads after the setting's name and a colon; `name` says what other settings are called.
    #[must_use]
    pub fn describe(&self, name: impl Fn(Setting) -> String) -> String {
        self.problem.describe(&name)
    }
}

impl Problem {
    fn describe(&self, name: &dyn Fn(Setting) -> String) -> String {
        match self {
            Self::Unprotected(address) => format!(
                "{address} can be reached from other hosts: set {}, {} and either {} or {}; or listen on 127.0.0.1. {}=true allows \
                 it without",
                name(Setting::TlsCert),
                name(Setting::TlsKey),
                name(Setting::TokensFile),
                name(Setting::TlsClientCa),
                name(Setting::Insecure),
            ),
            Self::Needs(other) => format!("needs {}, too", name(*other)),
            Self::NotForUnixSockets => {
                format!("is not for Unix sockets, whose permissions decide, and {} is one", name(Setting::Listen))
            }
            Self::UnknownGroup(group) => format!("there is no group {group:?} on this host"),
            Self::Unreadable(path, error) => format!("cannot read {path:?}: {error}"),
            Self::Damaged(path, problem) => format!("{path:?} {problem}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.describe(&|setting| setting.name().to_owned()))
    }
}
