//! Certificates of a test's own, and a redis-server that shows one.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use telemetry_collector::publishers::TlsFiles;
use tempfile::TempDir;

use super::redis_server::{RedisServer, free_port, program};
use super::sentinel::MASTER_NAME;

/// Somebody who vouches for servers and clients, with everything in files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A redis-server that is encrypted on a port of its own, and plain on its Unix socket.
pub struct TlsServer {
    /// The server.
    pub server: RedisServer,
    port: u16,
}

/// A Sentinel that is encrypted, and watches a master that is.
pub struct TlsSentinel {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// What a client needs that trusts this authority.
    pub fn trusted(&self) -> TlsFiles {
        TlsFiles { ca: Some(self.ca()), ..TlsFiles::default() }
    }

    /// The same for a client with a certificate of this authority.
    pub fn trusted_with_certificate(&self) -> TlsFiles {
        let (cert, key) = self.certificate("client", &[]);
        TlsFiles { ca: Some(self.ca()), cert: Some(cert), key: Some(key) }
    }

    /// A certificate for `names` and its key.
    pub fn certificate(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let path = |extension: &str| self.directory.path().join(format!("{file}.{extension}"));
        fs::write(path("pem"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }
}

impl TlsServer {
    /// A server whose certificate is for `name`; `clients` says whether it wants one of them, too.
    pub async fn start(authority: &Authority, name: &str, clients: bool) -> Self {
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
            if clients { "yes" } else { "no" },
        ])
        .await;
        Self { server, port }
    }

    /// URL of the encrypted port.
    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}

impl TlsSentinel {
    /// A Sentinel that begins to watch `master`.
    pub fn start(authority: &Authority, master: &TlsServer) -> Self {
        let (cert, key) = authority.certificate("sentinel", &["127.0.0.1"]);
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let configuration = directory.path().join("sentinel.conf");
        let text = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ndir {}\ntls-cert-file {}\ntls-key-file {}\n\
             tls-ca-cert-file {}\ntls-auth-clients no\ntls-replication yes\n\
             sentinel monitor {MASTER_NAME} 127.0.0.1 {} 1\n",
            directory.path().display(),
            cert.display(),
            key.display(),
            authority.ca().display(),
            master.port,
        );
        fs::write(&configuration, text).unwrap();
        let process = program().arg(&configuration).arg("--sentinel").spawn().unwrap();
        Self { process, port, _directory: directory }
    }

    /// Where a collector finds the master.
    pub fn url(&self) -> String {
        format!("rediss+sentinel://127.0.0.1:{}/{MASTER_NAME}", self.port)
    }
}

impl Drop for TlsSentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
