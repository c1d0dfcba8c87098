//! Where a server listens, as users write it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

const UNIX: &str = "unix://";

/// Where a server listens: a host with a port, or a Unix socket.
///
/// ```
/// use telemetry_server::Address;
///
/// let address: Address = "[::1]:50051".parse().unwrap();
/// assert!(address.is_loopback());
/// assert_eq!(address.to_string(), "[::1]:50051");
/// assert!("unix:///run/telemetry/control.sock".parse::<Address>().unwrap().is_loopback());
/// assert!(!"0.0.0.0:50051".parse::<Address>().unwrap().is_loopback());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Tcp {
        /// IP address, without brackets, or name.
        host: String,
        /// Port; 0 = any free one.
        port: u16,
    },
    /// Absolute path of a Unix socket.
    Unix(PathBuf),
}

/// A text that is no [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not host:port or unix:///path")]
pub struct InvalidAddress;

impl Address {
    /// Whether only programs on this host can reach it. A name other than `localhost` counts as reachable from elsewhere;
    /// `localhost` is judged by its IP address as soon as a [`Listener`](crate::Listener) has one.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => match host.parse::<IpAddr>() {
                Ok(ip) => is_loopback(ip),
                Err(_) => host.eq_ignore_ascii_case("localhost"),
            },
            Self::Unix(_) => true,
        }
    }
}

/// Whether `ip` is of this host alone, written as IPv4, IPv6 or IPv4 within IPv6.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let is_file = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
            return if is_file { Ok(Self::Unix(path.into())) } else { Err(InvalidAddress) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress)?;
        let port = port.parse().map_err(|_| InvalidAddress)?;
        let is_name = host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        // What consists of numbers is a mistyped IP address, not a name.
        let is_number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_name && !is_number { Ok(Self::Tcp { host: host.to_owned(), port }) } else { Err(InvalidAddress) }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "127.0.0.1:50051",
            "[::1]:0",
            "[::]:443",
            "localhost:1",
            "db-1.example.com:50051",
            "unix:///run/telemetry/control.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rejects_what_is_no_address() {
        for text in [
            "",
            "50051",
            ":50051",
            "127.0.0.1",
            "127.0.0.1:65536",
            "127.0.0:1",
            "::1:50051x",
            "a b:1",
            "unix:/run/socket",
            "unix://run/socket",
            "unix:///",
            "unix:///run/",
            "http://host:1",
        ] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress), "{text}");
        }
    }

    #[test]
    fn tells_loopback_from_the_network() {
        for text in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LOCALHOST:1", "unix:///s"] {
            assert!(text.parse::<Address>().unwrap().is_loopback(), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example.com:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!text.parse::<Address>().unwrap().is_loopback(), "{text}");
        }
    }
}
