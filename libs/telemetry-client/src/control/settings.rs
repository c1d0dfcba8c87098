//! Settings of the control API client.

use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::ControlError;

/// Settings of the [`ControlClient`](super::ControlClient): address, TLS, token and timeouts.
///
/// The collector itself serves plain HTTP/2 on loopback. TLS and the token are for a proxy in front of it.
#[derive(Clone)]
pub struct ControlSettings {
    url: String,
    ca_certificate: Option<Vec<u8>>,
    token: Option<String>,
    connect_timeout: Duration,
    pub(super) call_timeout: Duration,
}

impl ControlSettings {
    /// Settings for the collector at `url`: `http://host:port`, or `https://host:port` if a proxy adds TLS.
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

    /// The CA certificates (PEM) that the server's certificate is verified with. Required for `https`.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// A token to send with each call, as `authorization: Bearer TOKEN`. Requires `https`.
    #[must_use]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Timeouts for a connection attempt (default: 5 s) and for a call (default: 10 s).
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
            (true, None) => Err(ControlError::settings("the certificate", "https requires CA certificates (PEM)")),
            (false, Some(_)) => Err(ControlError::settings("the certificate", "CA certificates require an https URL")),
            (false, None) => Ok(endpoint),
        }
    }

    pub(super) fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, ControlError> {
        let Some(token) = &self.token else { return Ok(None) };
        if !self.is_https() {
            return Err(ControlError::settings("the token", "a token requires https: plain http would expose it"));
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
    /// Omits the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ControlSettings")
            .field("url", &self.url)
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}
