//! Certificates, from the files that the settings name.

use std::fs;
use std::path::{Path, PathBuf};

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

use crate::errors::InvalidSetting;

/// The PEM files of a `rediss` connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of those who vouch for the server; the system's when it is not set.
    pub ca: Option<PathBuf>,
    /// Our certificate, for a server that asks for one.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
}

const CA: &str = "TELEMETRY_REDIS__TLS_CA";
const CERT: &str = "TELEMETRY_REDIS__TLS_CERT";
const KEY: &str = "TELEMETRY_REDIS__TLS_KEY";

impl TlsFiles {
    /// Whether no file is named.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `node` with what the files hold now: certificates are renewed while the process runs, and a new connection must
    /// know the new ones. A node that is not encrypted stays as it is.
    pub(super) fn apply(&self, node: ConnectionInfo) -> Result<ConnectionInfo, InvalidSetting> {
        if !matches!(node.addr(), ConnectionAddr::TcpTls { .. }) || self.is_empty() {
            return Ok(node);
        }
        let client_tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                Some(ClientTlsConfig { client_cert: read(CERT, cert)?, client_key: read(KEY, key)? })
            }
            (None, None) => None,
            (Some(_), None) => return Err(wrong(CERT, format!("needs {KEY}, too"))),
            (None, Some(_)) => return Err(wrong(KEY, format!("needs {CERT}, too"))),
        };
        let root_cert = self.ca.as_ref().map(|ca| read(CA, ca)).transpose()?;
        let name = if client_tls.is_some() && root_cert.is_none() { CERT } else { CA };
        if root_cert.as_ref().is_some_and(|pem| !holds_certificate(pem)) {
            return Err(wrong(CA, "holds no certificate in PEM form".to_owned()));
        }
        if client_tls.as_ref().is_some_and(|tls| !holds_certificate(&tls.client_cert)) {
            return Err(wrong(CERT, "holds no certificate in PEM form".to_owned()));
        }
        let client = Client::build_with_tls(node, TlsCertificates { client_tls, root_cert })
            .map_err(|error| wrong(name, format!("cannot be used: {error}")))?;
        Ok(client.get_connection_info().clone())
    }
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, InvalidSetting> {
    fs::read(path).map_err(|error| wrong(name, format!("cannot read {}: {error}", path.display())))
}

/// The library takes a file without any for an empty list, and would then trust nobody without saying why.
fn holds_certificate(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
}

fn wrong(name: &str, problem: String) -> InvalidSetting {
    InvalidSetting { name: name.to_owned(), problem }
}
