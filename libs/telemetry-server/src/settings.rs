//! What a listener is told: where it listens, who may log in, and its limits.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::roles::CertificateRoles;

/// Everything that a listener is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Where it listens.
    pub address: Address,
    /// Who may connect to its Unix socket.
    pub socket: SocketPermissions,
    /// Certificates of encrypted connections.
    pub tls: TlsFiles,
    /// File with bearer tokens.
    pub tokens: Option<PathBuf>,
    /// What the owner of a client certificate may do.
    pub certificate_roles: CertificateRoles,
    /// Whether it may listen beyond loopback without TLS or without a login.
    pub insecure: bool,
    /// What clients may take.
    pub limits: Limits,
    /// Protocols offered in the TLS handshake (ALPN): `h2` for gRPC, `http/1.1`.
    pub protocols: &'static [&'static str],
}

/// Who may connect to a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPermissions {
    /// Permission bits of the socket's file.
    pub mode: u32,
    /// Its group, a name or a number; `None` = that of the process.
    pub group: Option<String>,
}

/// The PEM files of encrypted connections. They are read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the server, followed by those between it and its CA.
    pub cert: Option<PathBuf>,
    /// Private key of `cert`.
    pub key: Option<PathBuf>,
    /// CA certificates that client certificates are checked against; `None` = no client certificates.
    pub client_ca: Option<PathBuf>,
}

/// What clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. One more is closed at once.
    pub connections: usize,
    /// Time that a connection may stay without a call; `None` = the server sees to it, as that of HTTP does.
    pub idle_timeout: Option<Duration>,
    /// Time until a new connection has completed its TLS handshake, and again until it has sent its first byte.
    pub handshake_timeout: Duration,
    /// Time that a client may take nothing of what it is sent.
    pub write_timeout: Duration,
}

/// One of the settings, without the name that a service's users know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// [`ListenerSettings::address`].
    Listen,
    /// [`SocketPermissions::group`].
    SocketGroup,
    /// [`TlsFiles::cert`].
    TlsCert,
    /// [`TlsFiles::key`].
    TlsKey,
    /// [`TlsFiles::client_ca`].
    TlsClientCa,
    /// [`ListenerSettings::tokens`].
    TokensFile,
    /// [`ListenerSettings::insecure`].
    Insecure,
}

impl ListenerSettings {
    /// Settings with the defaults of this crate: no TLS, no login.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            socket: SocketPermissions::default(),
            tls: TlsFiles::default(),
            tokens: None,
            certificate_roles: CertificateRoles::default(),
            insecure: false,
            limits: Limits::default(),
            protocols: &["h2"],
        }
    }

    /// Whether callers can log in with a token or a client certificate.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.tokens.is_some() || self.tls.client_ca.is_some()
    }

    /// Whether strangers neither read along nor get in.
    pub(crate) fn is_protected(&self) -> bool {
        self.tls.cert.is_some() && self.has_login()
    }
}

impl Default for SocketPermissions {
    fn default() -> Self {
        Self { mode: 0o660, group: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            idle_timeout: Some(Duration::from_secs(300)),
            write_timeout: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

impl Setting {
    /// Name of the setting, as the last part of an environment variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::SocketGroup => "SOCKET_GROUP",
            Self::TlsCert => "TLS_CERT",
            Self::TlsKey => "TLS_KEY",
            Self::TlsClientCa => "TLS_CLIENT_CA",
            Self::TokensFile => "TOKENS_FILE",
            Self::Insecure => "INSECURE",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
