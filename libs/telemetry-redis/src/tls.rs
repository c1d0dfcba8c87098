//! Certificates, from the files that the settings name.

use std::fs;
use std::path::{Path, PathBuf};

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

use crate::setting::{InvalidSetting, Setting, SettingProblem};
use crate::url::RedisUrl;

/// The PEM files of encrypted connections (`rediss`). They are read for each connection, so a renewed certificate needs
/// no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// CA certificates that the server's certificate is checked against; the system's when it is not set.
    pub ca: Option<PathBuf>,
    /// The client certificate, for a server that asks for one.
    pub cert: Option<PathBuf>,
    /// The key of the client certificate.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether the files can be used now for connections to `url`.
    ///
    /// # Errors
    /// [`InvalidSetting`] for files of a URL that is not encrypted, a certificate without its key, and a file that cannot
    /// be read or used.
    pub fn check(&self, url: &RedisUrl) -> Result<(), InvalidSetting> {
        let named = [(Setting::TlsCa, &self.ca), (Setting::TlsCert, &self.cert), (Setting::TlsKey, &self.key)];
        if let Some((setting, _)) = named.into_iter().find(|(_, file)| file.is_some())
            && !url.is_encrypted()
        {
            return Err(InvalidSetting::new(setting, SettingProblem::NotEncrypted));
        }
        url.entrances.iter().try_for_each(|node| self.apply(node.clone()).map(drop))
    }

    /// `node` with what the files hold now. A node that is not encrypted stays as it is.
    pub(crate) fn apply(&self, node: ConnectionInfo) -> Result<ConnectionInfo, InvalidSetting> {
        if !matches!(node.addr(), ConnectionAddr::TcpTls { .. }) || *self == Self::default() {
            return Ok(node);
        }
        let client_tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig {
                client_cert: read(Setting::TlsCert, cert)?,
                client_key: read(Setting::TlsKey, key)?,
            }),
            (None, None) => None,
            (Some(_), None) => return Err(needs(Setting::TlsCert, Setting::TlsKey)),
            (None, Some(_)) => return Err(needs(Setting::TlsKey, Setting::TlsCert)),
        };
        let root_cert = self.ca.as_ref().map(|ca| read(Setting::TlsCa, ca)).transpose()?;
        if root_cert.as_ref().is_some_and(|pem| !holds_certificate(pem)) {
            return Err(InvalidSetting::new(Setting::TlsCa, SettingProblem::NoCertificate));
        }
        if client_tls.as_ref().is_some_and(|tls| !holds_certificate(&tls.client_cert)) {
            return Err(InvalidSetting::new(Setting::TlsCert, SettingProblem::NoCertificate));
        }
        // The library does not say which file it does not take.
        let suspect = if client_tls.is_some() && root_cert.is_none() { Setting::TlsCert } else { Setting::TlsCa };
        let client = Client::build_with_tls(node, TlsCertificates { client_tls, root_cert })
            .map_err(|error| InvalidSetting::new(suspect, SettingProblem::Unusable(error)))?;
        Ok(client.get_connection_info().clone())
    }
}

fn read(setting: Setting, path: &Path) -> Result<Vec<u8>, InvalidSetting> {
    let unreadable = |source| SettingProblem::Unreadable { path: path.to_owned(), source };
    fs::read(path).map_err(|error| InvalidSetting::new(setting, unreadable(error)))
}

fn needs(setting: Setting, other: Setting) -> InvalidSetting {
    InvalidSetting::new(setting, SettingProblem::Needs(other))
}

/// The library takes a file without any for an empty list, and would then trust no server without saying why.
fn holds_certificate(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use tempfile::NamedTempFile;

    use super::*;

    fn refused(url: &str, files: TlsFiles) -> String {
        files.check(&url.parse().unwrap()).unwrap_err().to_string()
    }

    fn ca(path: &str) -> TlsFiles {
        TlsFiles { ca: Some(path.into()), ..TlsFiles::default() }
    }

    #[test]
    fn accepts_any_url_when_no_file_is_named() {
        for url in ["redis://host", "rediss://host", "unix:///run/redis.sock", "rediss+cluster://a,b"] {
            TlsFiles::default().check(&url.parse().unwrap()).unwrap();
        }
    }

    #[test]
    fn rejects_files_that_cannot_be_used() {
        let mut empty = NamedTempFile::new().unwrap();
        empty.write_all(b"no certificate").unwrap();
        let empty = empty.path().to_str().unwrap();
        assert_eq!(refused("redis://host", ca("/ca.pem")), "tls.ca: is for rediss, and url does not begin with it");
        assert_eq!(
            refused("rediss://host", ca("/nowhere/ca.pem")),
            "tls.ca: cannot read \"/nowhere/ca.pem\": No such file or directory (os error 2)"
        );
        assert_eq!(refused("rediss+cluster://host", ca(empty)), "tls.ca: holds no certificate in PEM form");
        let cert = TlsFiles { cert: Some("/dev/null".into()), ..TlsFiles::default() };
        assert_eq!(refused("rediss://host", cert), "tls.cert: needs tls.key, too");
        let key = TlsFiles { key: Some("/dev/null".into()), ..TlsFiles::default() };
        assert_eq!(
            refused("redis+sentinel://host/main", key.clone()),
            "tls.key: is for rediss, and url does not begin with it"
        );
        assert_eq!(refused("rediss+sentinel://host/main", key), "tls.key: needs tls.cert, too");
    }
}
