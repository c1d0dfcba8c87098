//! The environment variables that every service reads the way to the queue from, so that one environment serves all.
//!
//! A service puts [`VARIABLES`] into its table and reads them with [`RedisEnvironment::read`]:
//!
//! ```
//! use telemetry_redis::environment::{RedisEnvironment, VARIABLES};
//! use telemetry_settings::{Program, Reader};
//!
//! const READER: &Program = &Program {
//!     name: "reader",
//!     prefix: "TELEMETRY_",
//!     variables: VARIABLES,
//!     other_programs: &[],
//!     standards: &[],
//! };
//!
//! let mut reader = Reader::new(READER, [("TELEMETRY_REDIS__SHARDS".into(), "2".into())]);
//! let redis = RedisEnvironment::read(&mut reader);
//! assert_eq!(redis.keys().unwrap(), ["telemetry:queue:{0}", "telemetry:queue:{1}"]);
//!
//! let mut reader = Reader::new(READER, [("TELEMETRY_REDIS__URL".into(), "http://host".into())]);
//! RedisEnvironment::read(&mut reader);
//! assert!(reader.finish().unwrap_err().to_string().starts_with("TELEMETRY_REDIS__URL: the value is not a URL such as redis://"));
//! ```

use std::ops::RangeInclusive;

use telemetry_settings::parse::{NotAllowed, Parsed, number, one_of, path, text};
use telemetry_settings::{Reader, Secret, Variable};

use crate::keys::{QueueMode, shard_key, shard_keys};
use crate::setting::{InvalidSetting, Setting};
use crate::tls::TlsFiles;
use crate::url::RedisUrl;

const MODES: &[(&str, QueueMode)] = &[("list", QueueMode::List), ("stream", QueueMode::Stream)];
/// A Cluster has no more slots, and so no use for more.
const SHARDS_RANGE: RangeInclusive<u32> = 1..=16384;

/// Server, Sentinels or Cluster, database and login.
pub const URL: &Variable = &Variable {
    name: "TELEMETRY_REDIS__URL",
    default: "redis://127.0.0.1:6379/0",
    allowed: "a URL such as redis://user:password@host:6379/0, rediss://host, unix:///run/redis.sock, \
              redis+sentinel://user:password@host:26379,host:26379/master-name/0 or redis+cluster://host:6379,host:6379",
    meaning: "Redis server, Sentinels or Cluster, with login and database. rediss, rediss+sentinel and rediss+cluster use TLS. \
              ?sentinel_username=…&sentinel_password=… is a login for the Sentinels. Redis need not be up at the \
              start.",
    secret: true,
};

/// CA certificates.
pub const TLS_CA: &Variable = &Variable {
    name: "TELEMETRY_REDIS__TLS_CA",
    default: "",
    allowed: "the path of a PEM file",
    meaning: "CA certificates (PEM) that the Redis server's certificate is checked against. Unset = those of the system. The file is read again for each connection.",
    secret: false,
};

/// Client certificate.
pub const TLS_CERT: &Variable = &Variable {
    name: "TELEMETRY_REDIS__TLS_CERT",
    default: "",
    allowed: "the path of a PEM file",
    meaning: "Client certificate (PEM), for a Redis server that asks for one.",
    secret: false,
};

/// Key of the client certificate.
pub const TLS_KEY: &Variable = &Variable {
    name: "TELEMETRY_REDIS__TLS_KEY",
    default: "",
    allowed: "the path of a PEM file",
    meaning: "Private key (PEM) of TELEMETRY_REDIS__TLS_CERT.",
    secret: false,
};

/// The queue.
pub const KEY: &Variable = &Variable {
    name: "TELEMETRY_REDIS__KEY",
    default: "telemetry:queue",
    allowed: "any string",
    meaning: "Key of the list or stream that is the queue. A list is pushed at the left; consumers pop at the right.",
    secret: false,
};

/// What the key holds.
pub const MODE: &Variable = &Variable {
    name: "TELEMETRY_REDIS__MODE",
    default: "list",
    allowed: "list or stream",
    meaning: "What the key holds: a list, or a stream with the fields instance_id, sequence and message in each entry.",
    secret: false,
};

/// Keys that hosts are spread over.
pub const SHARDS: &Variable = &Variable {
    name: "TELEMETRY_REDIS__SHARDS",
    default: "1",
    allowed: "a whole number from 1 to 16384",
    meaning: "Number of keys that hosts are spread over: KEY:{0}, KEY:{1}, …. A host always uses the same one. A consumer has two connections for each.",
    secret: false,
};

/// Every variable in here, in the order in which people meet them.
pub const VARIABLES: &[&Variable] = &[URL, TLS_CA, TLS_CERT, TLS_KEY, KEY, MODE, SHARDS];

/// Where the queue is.
#[derive(Debug, Clone)]
pub struct RedisEnvironment {
    /// Server, Sentinels or Cluster, database and login: a [`RedisUrl`].
    pub url: Secret,
    /// Certificates of an encrypted connection.
    pub tls: TlsFiles,
    /// The list or stream that is the queue.
    pub key: String,
    /// What the key holds.
    pub mode: QueueMode,
    /// Keys that hosts are spread over.
    pub shards: u32,
}

impl RedisEnvironment {
    /// Reads [`VARIABLES`]; the reader keeps every mistake.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.read(URL, redis_url),
            tls: TlsFiles {
                ca: reader.read(TLS_CA, path),
                cert: reader.read(TLS_CERT, path),
                key: reader.read(TLS_KEY, path),
            },
            key: reader.read(KEY, text),
            mode: reader.read(MODE, one_of(MODES)),
            shards: reader.read(SHARDS, number(SHARDS_RANGE)),
        }
    }

    /// The key of one host's messages.
    ///
    /// # Errors
    /// As [`shard_key`].
    pub fn key_of(&self, host: &str) -> Result<String, InvalidSetting> {
        shard_key(&self.key, self.shards, host)
    }

    /// Every key that hosts' messages are in.
    ///
    /// # Errors
    /// As [`shard_keys`].
    pub fn keys(&self) -> Result<Vec<String>, InvalidSetting> {
        shard_keys(&self.key, self.shards)
    }
}

/// The name of the variable that a setting is read from.
fn variable(setting: Setting) -> &'static str {
    let variable = match setting {
        Setting::Url => URL,
        Setting::TlsCa => TLS_CA,
        Setting::TlsCert => TLS_CERT,
        Setting::TlsKey => TLS_KEY,
        Setting::Key => KEY,
    };
    variable.name
}

impl From<InvalidSetting> for telemetry_settings::InvalidSetting {
    /// With the names of the variables.
    fn from(invalid: InvalidSetting) -> Self {
        Self::new(variable(invalid.setting), invalid.describe(variable))
    }
}

fn redis_url(text: &str) -> Parsed<Secret> {
    text.parse::<RedisUrl>().map_err(|_| NotAllowed)?;
    Ok(Secret::new(text))
}
