//! How to reach a collector's control API.

use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::ControlError;

/// How to reach a collector's control API.
///
/// The collector itself speaks plain HTTP/2 on loopback. TLS and the token are for a proxy before it.
#[derive(Clone)]
pub struct ControlSettings {
    url: String,
    ca_certificate: Option<Vec<u8>>,
    token: Option<String>,
    connect_timeout: Duration,
    pub(super) call_timeout: Duration,
}

impl ControlSettings {
    /// The collector at `url`: `http://host:port`, or `https://host:port` where a proxy adds TLS.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_certificate: None,
            token: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
        }
    }

    /// The authority that has signed the server's certificate, in PEM; needed for `https`.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// Sent with each call as `authorization: Bearer TOKEN`; only over `https`.
    #[must_use]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Longest time to connect (5 s), and for a call to be answered (10 s).
    #[must_use]
    pub fn timeouts(mut self, connect: Duration, call: Duration) -> Self {
        self.connect_timeout = connect;
        self.call_timeout = call;
        self
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, ControlError> {
        let endpoint =
            Endpoint::from_shared(self.url.clone()).map_err(|error| ControlError::settings("the address", error))?;
        let endpoint = endpoint.connect_timeout(self.connect_timeout);
        match (self.is_https(), &self.ca_certificate) {
            (true, Some(pem)) => {
                let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
                endpoint.tls_config(tls).map_err(|error| ControlError::settings("the certificate", error))
            }
            (true, None) => Err(ControlError::settings("the certificate", "https needs that of an authority")),
            (false, Some(_)) => Err(ControlError::settings("the certificate", "it is of use with https alone")),
            (false, None) => Ok(endpoint),
        }
    }

    pub(super) fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, ControlError> {
        let Some(token) = &self.token else { return Ok(None) };
        if !self.is_https() {
            return Err(ControlError::settings("the token", "without https everybody on the way could read it"));
        }
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {token}").parse().map_err(|error| ControlError::settings("the token", error))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn is_https(&self) -> bool {
        self.url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

impl fmt::Debug for ControlSettings {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ControlSettings")
            .field("url", &self.url)
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}
