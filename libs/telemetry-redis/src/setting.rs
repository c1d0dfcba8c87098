//! What can be wrong with a setting, without the name that a service's users know it by.

use std::fmt;
use std::io;
use std::path::PathBuf;

use redis::RedisError;
use thiserror::Error;

/// The forms of a URL, as they read after "is not".
const URL_FORMS: &str = "redis[s]://[user][:password]@host[:port][/database], unix:///path, \
                         redis[s]+sentinel://[user:password@]host[:port],…/master-name[/database] or \
                         redis[s]+cluster://[user:password@]host[:port],…";

/// A setting that this crate is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The URL, a [`RedisUrl`](crate::RedisUrl).
    Url,
    /// The CA certificates, [`TlsFiles::ca`](crate::TlsFiles::ca).
    TlsCa,
    /// The client certificate, [`TlsFiles::cert`](crate::TlsFiles::cert).
    TlsCert,
    /// The key of the client certificate, [`TlsFiles::key`](crate::TlsFiles::key).
    TlsKey,
    /// The key of the queue.
    Key,
}

/// A setting that cannot be used.
///
/// Its `Display` names settings as this crate does: `url`, `tls.ca`, `tls.cert`, `tls.key`, `key`. A service whose users
/// know them by other names writes the line with [`describe`](Self::describe):
///
/// ```
/// use telemetry_redis::{RedisUrl, Setting, TlsFiles};
///
/// let url: RedisUrl = "redis://127.0.0.1".parse().unwrap();
/// let files = TlsFiles { ca: Some("/etc/ssl/ca.pem".into()), ..TlsFiles::default() };
/// let invalid = files.check(&url).unwrap_err();
/// assert_eq!(invalid.to_string(), "tls.ca: is for rediss, and url does not begin with it");
///
/// let name = |setting| if setting == Setting::Url { "REDIS_URL" } else { "REDIS_TLS" };
/// assert_eq!(invalid.describe(name), "is for rediss, and REDIS_URL does not begin with it");
/// ```
#[derive(Debug, Error)]
#[error("{setting}: {}", .problem.describe(Setting::name))]
pub struct InvalidSetting {
    /// Which one.
    pub setting: Setting,
    /// What is wrong with it.
    pub problem: SettingProblem,
}

/// What is wrong with a setting. It never holds a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum SettingProblem {
    /// It is not the URL of a Redis. The value is not kept, since it may hold a password.
    NotARedisUrl,
    /// It is for encrypted connections, and the URL asks for none.
    NotEncrypted,
    /// It needs another setting, which is missing.
    Needs(Setting),
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no certificate in PEM form.
    NoCertificate,
    /// The TLS library does not take the file.
    Unusable(RedisError),
    /// The key has a hash tag, which would keep all shards on one node of a Cluster.
    HashTag {
        /// The whole key.
        key: String,
        /// The part in braces.
        tag: String,
    },
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::TlsCa => "tls.ca",
            Self::TlsCert => "tls.cert",
            Self::TlsKey => "tls.key",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl InvalidSetting {
    pub(crate) fn new(setting: Setting, problem: SettingProblem) -> Self {
        Self { setting, problem }
    }

    /// What is wrong, as it reads after the setting's name and a colon; `name` says what other settings are called.
    #[must_use]
    pub fn describe(&self, name: impl Fn(Setting) -> &'static str) -> String {
        self.problem.describe(name)
    }
}

impl SettingProblem {
    fn describe(&self, name: impl Fn(Setting) -> &'static str) -> String {
        match self {
            Self::NotARedisUrl => format!("the value is not {URL_FORMS}"),
            Self::NotEncrypted => format!("is for rediss, and {} does not begin with it", name(Setting::Url)),
            Self::Needs(other) => format!("needs {}, too", name(*other)),
            Self::Unreadable { path, source } => format!("cannot read {path:?}: {source}"),
            Self::NoCertificate => "holds no certificate in PEM form".to_owned(),
            Self::Unusable(error) => format!("cannot be used: {error}"),
            Self::HashTag { key, tag } => {
                let tag = format!("{{{tag}}}");
                format!("the hash tag {tag:?} of {key:?} would keep all shards on one node of a Cluster")
            }
        }
    }
}
