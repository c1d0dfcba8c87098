//! Which collectors are asked: addresses, names with many addresses, and files of both.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The port of a target that names none.
pub(crate) const DEFAULT_PORT: u16 = 50051;
/// The target when none is given.
pub(crate) const DEFAULT: &str = "127.0.0.1:50051";

/// A target as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetSpec {
    /// A host with a port. Whether it is TLS depends on the other settings.
    Host(String),
    /// `http://`, `https://` or `unix://`.
    Url(String),
    /// A name, each of whose addresses is a target.
    Dns {
        /// The name.
        name: String,
        /// The port of all its addresses.
        port: u16,
    },
}

/// A text that is not a target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum InvalidTarget {
    /// It looks like the path of a Unix socket.
    #[error("did you mean unix://{0}?")]
    Path(String),
    /// It looks like nothing.
    #[error("it is not HOST, HOST:PORT, http://HOST:PORT, https://HOST:PORT, unix:///PATH or dns:///NAME:PORT")]
    Unknown,
}

impl FromStr for TargetSpec {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(InvalidTarget::Unknown);
        }
        if let Some(rest) = text.strip_prefix("dns:///") {
            let (name, port) = host_and_port(rest).ok_or(InvalidTarget::Unknown)?;
            return Ok(Self::Dns { name, port });
        }
        if text.starts_with("unix:///") {
            return Ok(Self::Url(text.to_owned()));
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path != text || path.starts_with('/') {
            return Err(InvalidTarget::Path(format!("/{}", path.trim_start_matches('/'))));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let is_http = ["http", "https"].contains(&scheme);
            host_and_port(rest).filter(|_| is_http).ok_or(InvalidTarget::Unknown)?;
            return Ok(Self::Url(text.to_owned()));
        }
        let (host, port) = host_and_port(text).ok_or(InvalidTarget::Unknown)?;
        Ok(Self::Host(format!("{host}:{port}")))
    }
}

impl TargetSpec {
    /// The targets of a file: one a line; `#` begins a comment.
    pub(crate) fn all_in(file: &str) -> Result<Vec<Self>, (usize, InvalidTarget)> {
        let lines = file.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let targets = lines.enumerate().filter(|(_, line)| !line.is_empty());
        targets.map(|(index, line)| line.parse().map_err(|invalid| (index + 1, invalid))).collect()
    }

    /// The address that a client takes.
    pub(crate) fn address(&self, tls: bool) -> String {
        let scheme = if tls { "https" } else { "http" };
        match self {
            Self::Host(host) => format!("{scheme}://{host}"),
            Self::Url(url) => url.clone(),
            Self::Dns { name, port } => format!("{scheme}://{name}:{port}"),
        }
    }

    /// The name that the certificates of all its addresses are for.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match self {
            Self::Dns { name, .. } => Some(name),
            Self::Host(_) | Self::Url(_) => None,
        }
    }

    /// Whether the collector is known to be on this host.
    pub(crate) fn is_local(&self) -> bool {
        let address = self.address(false);
        let Some((scheme, rest)) = address.split_once("://") else { return false };
        let host = host_and_port(rest).map(|(host, _)| host).unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        scheme == "unix" || host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// The target for one address of a name.
    pub(crate) fn of_address(address: SocketAddr) -> Self {
        Self::Host(address.to_string())
    }
}

impl fmt::Display for TargetSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) | Self::Url(text) => formatter.write_str(text),
            Self::Dns { name, port } => write!(formatter, "dns:///{name}:{port}"),
        }
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; the host keeps its brackets.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, DEFAULT_PORT),
    };
    let inner = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    let is_bracketed = inner.len() != host.len();
    let is_host = !inner.is_empty() && !inner.contains(['/', '@', '[', ']']);
    (is_host && is_bracketed == inner.contains(':')).then(|| (host.to_owned(), port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, String)> {
        text.parse::<TargetSpec>().ok().map(|target| (target.to_string(), target.address(false)))
    }

    #[test]
    fn takes_every_form_of_a_target() {
        for (text, shown, address) in [
            ("web-7", "web-7:50051", "http://web-7:50051"),
            ("web-7:1", "web-7:1", "http://web-7:1"),
            ("[::1]", "[::1]:50051", "http://[::1]:50051"),
            ("[::1]:2", "[::1]:2", "http://[::1]:2"),
            ("https://web-7:443", "https://web-7:443", "https://web-7:443"),
            ("unix:///run/t.sock", "unix:///run/t.sock", "unix:///run/t.sock"),
            ("dns:///fleet.example:50051", "dns:///fleet.example:50051", "http://fleet.example:50051"),
        ] {
            assert_eq!(parsed(text), Some((shown.to_owned(), address.to_owned())), "{text}");
        }
    }

    #[test]
    fn rejects_what_is_no_target() {
        for text in ["", ":1", "a:b", "a:65536", "::1", "[::1", "ftp://a:1", "dns:///", "http://", "a/b", "u@h", "a b"]
        {
            assert_eq!(text.parse::<TargetSpec>(), Err(InvalidTarget::Unknown), "{text}");
        }
    }

    #[test]
    fn suggests_the_target_of_a_unix_socket() {
        for text in ["/run/c.sock", "unix:/run/c.sock", "unix://run/c.sock"] {
            let invalid = text.parse::<TargetSpec>().unwrap_err();
            assert_eq!(invalid.to_string(), "did you mean unix:///run/c.sock?", "{text}");
        }
    }

    #[test]
    fn knows_which_targets_are_on_this_host() {
        let is_local = |text: &str| text.parse::<TargetSpec>().unwrap().is_local();
        assert!(
            ["localhost", "127.0.0.1:1", "[::1]:1", "http://127.0.0.2:1", "unix:///run/t.sock"]
                .into_iter()
                .all(is_local)
        );
        assert!(!["web-7", "10.0.0.1", "https://[2001:db8::1]:1"].into_iter().any(is_local));
    }

    #[test]
    fn reads_a_file_with_comments() {
        let file = "# the fleet\nweb-1\n\n  web-2:7  # the other one\n";
        let shown: Vec<_> = TargetSpec::all_in(file).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["web-1:50051", "web-2:7"]);
        assert_eq!(TargetSpec::all_in("web-1\n:0\n"), Err((2, InvalidTarget::Unknown)));
    }

    #[test]
    fn takes_tls_for_a_host_when_it_is_set_up() {
        let target: TargetSpec = "web-7".parse().unwrap();
        assert_eq!(target.address(true), "https://web-7:50051");
    }
}
