//! How a client of the control API logs in.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use telemetry_testing::ClientFiles;
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// A login for each call.
#[derive(Debug, Clone)]
pub struct Login(Option<AsciiMetadataValue>);

impl Login {
    pub fn none() -> Self {
        Self(None)
    }

    pub fn token(token: &str) -> Self {
        Self(Some(format!("Bearer {token}").parse().unwrap()))
    }

    /// A call with this login.
    pub fn on<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

/// A file of tokens, with the name, the role and the text of each.
#[derive(Debug)]
pub struct TokenFile(NamedTempFile);

impl TokenFile {
    pub fn new(tokens: &[(&str, &str, &str)]) -> Self {
        let file = Self(NamedTempFile::new().unwrap());
        file.set(tokens);
        file
    }

    pub fn set(&self, tokens: &[(&str, &str, &str)]) {
        let lines: Vec<_> =
            tokens.iter().map(|(name, role, token)| format!("{name} {role} {}\n", hash(token))).collect();
        self.write(&lines.concat());
    }

    pub fn write(&self, text: &str) {
        fs::write(self.0.path(), text).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The setting that names the file.
    pub fn var(&self) -> (&'static str, &str) {
        ("TELEMETRY_CONTROL__TOKENS_FILE", self.0.path().to_str().unwrap())
    }
}

/// The hash of a token, as it stands in the file.
pub fn hash(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A TLS endpoint with the files of a client.
pub fn tls(address: SocketAddr, files: &ClientFiles) -> Endpoint {
    let pem = |path: &Path| fs::read(path).unwrap();
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(files.ca.as_ref().unwrap())));
    if let (Some(cert), Some(key)) = (&files.cert, &files.key) {
        tls = tls.identity(Identity::from_pem(pem(cert), pem(key)));
    }
    Channel::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap()
}

/// A TLS connection with the files of a client. With TLS 1.3 it exists before the server has checked the client's certificate.
pub async fn connect_tls(address: SocketAddr, files: &ClientFiles) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(files.ca.as_ref().unwrap()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
        _ => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(address.ip().into(), stream).await
}
