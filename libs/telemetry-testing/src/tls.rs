//! Certificates of a test's own, and servers that use them.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

use crate::redis_server::{RedisServer, free_port};
use crate::sentinel::{MASTER_NAME, Sentinel};

/// A certificate authority (CA) that issues certificates for servers and clients. Its files are removed when it is dropped.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// The PEM files that a client needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The CA certificate.
    pub ca: Option<PathBuf>,
    /// The client's own certificate.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
}

/// A Redis server with a TLS port, and without TLS on its Unix socket.
#[derive(Debug)]
pub struct TlsServer {
    /// The server.
    pub server: RedisServer,
    port: u16,
}

/// A Sentinel with a TLS port, which watches a [`TlsServer`].
#[derive(Debug)]
pub struct TlsSentinel {
    sentinel: Sentinel,
}

impl Authority {
    /// An authority with a self-signed certificate.
    #[expect(clippy::new_without_default, reason = "each one makes keys and files")]
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "CA of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// The file with the authority's own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The files of a client that trusts this authority.
    #[must_use]
    pub fn trusted(&self) -> ClientFiles {
        ClientFiles { ca: Some(self.ca()), ..ClientFiles::default() }
    }

    /// The files of a client that trusts this authority and has a certificate from it.
    #[must_use]
    pub fn trusted_with_certificate(&self) -> ClientFiles {
        let (cert, key) = self.certificate("client", &[]);
        ClientFiles { ca: Some(self.ca()), cert: Some(cert), key: Some(key) }
    }

    /// The files of a client that trusts this authority and has a certificate whose subject has this common name.
    #[must_use]
    pub fn client(&self, common_name: &str) -> ClientFiles {
        self.client_until(common_name, 2100)
    }

    /// The files of a client whose certificate has expired.
    #[must_use]
    pub fn expired_client(&self, common_name: &str) -> ClientFiles {
        self.client_until(common_name, 2020)
    }

    fn client_until(&self, common_name: &str, year: i32) -> ClientFiles {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_after = date_time_ymd(year, 1, 1);
        let (cert, key) = self.issue(&format!("{common_name}-{year}"), params);
        ClientFiles { ca: Some(self.ca()), cert: Some(cert), key: Some(key) }
    }

    /// Issues a certificate for `names`, host names or IP addresses, and returns its file and that of its private key. Both
    /// are named `file`, with an extension.
    #[must_use]
    pub fn certificate(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.issue(file, CertificateParams::new(names).unwrap())
    }

    fn issue(&self, file: &str, params: CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |extension: &str| self.directory.path().join(format!("{file}.{extension}"));
        fs::write(path("pem"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }
}

impl TlsServer {
    /// Starts a server whose certificate is for `name`. With `client_certificates`, it demands one from each client.
    pub async fn start(authority: &Authority, name: &str, client_certificates: bool) -> Self {
        let (cert, key) = authority.certificate("server", &[name]);
        let port = free_port();
        let server = RedisServer::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            cert.to_str().unwrap(),
            "--tls-key-file",
            key.to_str().unwrap(),
            "--tls-ca-cert-file",
            authority.ca().to_str().unwrap(),
            "--tls-auth-clients",
            if client_certificates { "yes" } else { "no" },
        ])
        .await;
        Self { server, port }
    }

    /// The URL of the TLS port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}

impl TlsSentinel {
    /// Starts a Sentinel that watches `master`.
    #[must_use]
    pub fn start(authority: &Authority, master: &TlsServer) -> Self {
        let (cert, key) = authority.certificate("sentinel", &["127.0.0.1"]);
        let port = free_port();
        let sentinel = Sentinel::start(
            port,
            &format!(
                "port 0\ntls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
                 tls-auth-clients no\ntls-replication yes\nsentinel monitor {MASTER_NAME} 127.0.0.1 {} 1\n",
                cert.display(),
                key.display(),
                authority.ca().display(),
                master.port,
            ),
        );
        Self { sentinel }
    }

    /// The URL by which a client finds the master.
    #[must_use]
    pub fn url(&self) -> String {
        format!("rediss+sentinel://127.0.0.1:{}/{MASTER_NAME}", self.sentinel.port())
    }
}
