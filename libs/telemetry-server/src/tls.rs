//! Certificates of encrypted connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::InvalidSetting;
use crate::files::{FromFiles, damaged, read};
use crate::settings::Setting;

/// What a server needs for TLS handshakes.
#[derive(Debug)]
pub(crate) struct Tls(pub(crate) Arc<ServerConfig>);

/// The files, and what is negotiated.
#[derive(Debug, Clone)]
pub(crate) struct TlsSource {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) protocols: &'static [&'static str],
}

impl FromFiles for Tls {
    type Files = TlsSource;

    const SETTING: Setting = Setting::TlsCert;

    fn paths(files: &TlsSource) -> Vec<PathBuf> {
        [&files.cert, &files.key].into_iter().chain(&files.client_ca).cloned().collect()
    }

    fn load(files: &TlsSource, _previous: Option<&Self>) -> Result<Self, InvalidSetting> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(Setting::TlsCert, &files.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(Setting::TlsKey, &files.key)?)
            .map_err(|_| damaged(Setting::TlsKey, &files.key, "holds no private key in PEM that can be used"))?;
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                damaged(Setting::TlsKey, &files.key, "is not the key of the certificate")
            }
            error => damaged(Setting::TlsCert, &files.cert, format!("cannot be used with its key: {error}")),
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| damaged(Setting::TlsCert, &files.cert, error.to_string()))?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(Setting::TlsClientCa, path)? {
                    roots.add(certificate).map_err(|error| damaged(Setting::TlsClientCa, path, error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|error| damaged(Setting::TlsClientCa, path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = files.protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        // A session that is resumed would not check the client's certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(setting: Setting, path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidSetting> {
    let pem = read(setting, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(damaged(setting, path, "holds no certificate in PEM")),
    }
}

/// What the owner of a certificate is called: its common name (CN), or its whole subject if it does not have exactly one.
pub(crate) fn name_of(certificate: &CertificateDer<'_>) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return String::new() };
    let subject = certificate.subject();
    let mut names = subject.iter_common_name().map(|name| name.as_str().ok());
    match (names.next(), names.next()) {
        (Some(Some(name)), None) => name.to_owned(),
        _ => subject.to_string(),
    }
}
