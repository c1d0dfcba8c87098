//! Settings of the control API client.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::error::ControlError;
use super::token::Token;

/// Settings of the [`ControlClient`](super::ControlClient): address, TLS, token and timeouts.
///
/// | address | connects to |
/// | --- | --- |
/// | `http://host:port` | the collector without encryption. A token is sent to a loopback host only |
/// | `https://host:port` | the collector by TLS |
/// | `unix:///run/telemetry/control.sock` | the collector of this host by its Unix socket |
#[derive(Clone)]
pub struct ControlSettings {
    address: String,
    ca_certificate: Option<Vec<u8>>,
    server_name: Option<String>,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    token: Token,
    connect_timeout: Duration,
    pub(super) call_timeout: Duration,
    keep_alive: (Duration, Duration),
}

/// How the address says to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Unix,
}

impl ControlSettings {
    /// Settings for the collector at `address`.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ca_certificate: None,
            server_name: None,
            client_certificate: None,
            token: Token::None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            keep_alive: (Duration::from_secs(30), Duration::from_secs(10)),
        }
    }

    /// The CA certificates (PEM) that the server's certificate is verified with (the system's). Requires `https`.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// The name that the server's certificate must be for (the host of the address). For an address that is one of many of a
    /// name. Only with `https`.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The certificate and the private key (both PEM) that identify this client to the collector. Requires `https`.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// A token to send with each call, as `authorization: Bearer TOKEN`. Requires `https`, a loopback host or a Unix socket:
    /// plain `http` would expose it.
    #[must_use]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Token::Value(token.into());
        self
    }

    /// A file with the token of [`bearer_token`](Self::bearer_token). It is read at each call, so a new token needs no
    /// restart. White space around the token is ignored.
    #[must_use]
    pub fn bearer_token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.token = Token::File(file.into());
        self
    }

    /// Timeouts for a connection attempt (default: 5 s) and for a call (default: 10 s). A watch has no time limit once it has
    /// begun.
    #[must_use]
    pub fn timeouts(mut self, connect: Duration, call: Duration) -> Self {
        self.connect_timeout = connect;
        self.call_timeout = call;
        self
    }

    /// How often to ask during calls and watches whether the collector is still there (default: 30 s), and how long to wait
    /// for its answer (default: 10 s). Without an answer the connection counts as broken.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive = (interval, timeout);
        self
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, ControlError> {
        let scheme = self.scheme()?;
        let endpoint = Endpoint::from_shared(self.address.clone())
            .map_err(|error| ControlError::settings("the address", error))?
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keep_alive.0)
            .keep_alive_timeout(self.keep_alive.1);
        if scheme != Scheme::Unix && endpoint.uri().host().is_none_or(str::is_empty) {
            return Err(ControlError::settings("the address", "it lacks a host"));
        }
        if scheme == Scheme::Http && self.token.is_some() && !endpoint.uri().host().is_some_and(is_loopback) {
            let problem = "beyond loopback a token requires https: plain http would expose it";
            return Err(ControlError::settings("the token", problem));
        }
        self.encrypted(endpoint, scheme)
    }

    pub(super) fn token(&self) -> Result<Token, ControlError> {
        // What is wrong with it is reported now rather than at the first call.
        self.token.authorization()?;
        Ok(self.token.clone())
    }

    fn scheme(&self) -> Result<Scheme, ControlError> {
        let (scheme, rest) = self.address.split_once(':').unwrap_or_default();
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(Scheme::Http),
            "https" => Ok(Scheme::Https),
            "unix" if rest.starts_with("///") => Ok(Scheme::Unix),
            _ => Err(ControlError::settings(
                "the address",
                "it is not http://host:port, https://host:port or unix:///path",
            )),
        }
    }

    fn encrypted(&self, endpoint: Endpoint, scheme: Scheme) -> Result<Endpoint, ControlError> {
        match (scheme, &self.ca_certificate, &self.client_certificate) {
            (Scheme::Https, authorities, identity) => {
                let mut tls = ClientTlsConfig::new();
                tls = match authorities {
                    Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                    None => tls.with_native_roots(),
                };
                if let Some(name) = &self.server_name {
                    tls = tls.domain_name(name);
                }
                if let Some((certificate, key)) = identity {
                    tls = tls.identity(Identity::from_pem(certificate, key));
                }
                endpoint.tls_config(tls).map_err(|error| ControlError::settings("the certificate", error))
            }
            (_, Some(_), _) => {
                Err(ControlError::settings("the certificate", "CA certificates require an https address"))
            }
            (_, None, Some(_)) => {
                Err(ControlError::settings("the certificate", "a client certificate requires an https address"))
            }
            (_, None, None) => Ok(endpoint),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for ControlSettings {
    /// Omits the token and the private key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ControlSettings")
            .field("address", &self.address)
            .field("token", &self.token)
            .field("client_certificate", &self.client_certificate.is_some())
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}
