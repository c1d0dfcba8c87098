//! Everything that knows Redis, and neither a message nor a service: how to reach each kind of Redis, what its errors
//! mean, when to try again, and what keys are called.
//!
//! # URL forms
//! A [`RedisUrl`] names one server, Sentinels or a Cluster. With `rediss` instead of `redis` connections are encrypted;
//! [`TlsFiles`] names the CA certificates, and a client certificate with its key, as PEM files.
//!
//! | URL | which server a [`Connector`] connects to |
//! | --- | --- |
//! | `redis[s]://[user][:password]@host[:port][/database]` | this one |
//! | `unix:///path[?db=1&user=…&pass=…]` | this one, by its Unix socket |
//! | `redis[s]+sentinel://[user:password@]host[:port],…/master-name[/database]` | the master that the Sentinels name. The login is the master's; that of the Sentinels is `?sentinel_username=…&sentinel_password=…` |
//! | `redis[s]+cluster://[user:password@]host[:port],…` | the node that holds the key which the connector is made for |
//!
//! After a failure the caller drops its connections, and the next one is found anew: so a failover, and a slot that moves
//! to another node, are followed. There is no retry in here; [`Backoff`] says when to try again.
//!
//! # Classes of failure
//! | [`FailureKind`] | cause | what to do |
//! | --- | --- | --- |
//! | `Unreachable` | no connection could be made, or it broke | retry |
//! | `TimedOut` | no answer in time: the command may or may not have been executed | retry |
//! | `Refused` | the server loads, is full, cannot save, fails over, or the slot moves | retry |
//! | `Rejected` | login, permission, certificate, type of key, unknown master or command | somebody must change the configuration; retry slowly |
//!
//! # Keys
//! All keys about one queue are in the queue's own slot of a Cluster. `{KEY}` is the queue's key as a hash tag; a key that
//! has a hash tag already keeps it.
//!
//! | key | what it is | |
//! | --- | --- | --- |
//! | `KEY` | the queue: a list or stream | |
//! | `KEY:{0}`, `KEY:{1}`, … | the queue spread over shards | [`shard_key`], [`shard_keys`] |
//! | `{KEY}:mark:INSTANCE` | the highest number that the queue has of a collector's instance | [`mark_key`] |
//! | `{KEY}:processing:ID` | messages that consumer `ID` of a list has taken and not acknowledged | [`QueueKeys::processing`] |
//! | `{KEY}:alive:ID` | exists while consumer `ID` lives | [`QueueKeys::alive`] |
//! | `{KEY}:consumers`, `{KEY}:consumers:GROUP` | the set of the ids of all consumers | [`QueueKeys::consumers`] |
//! | `{KEY}:dead` | the dead-letter list | [`QueueKeys::dead`] |
//!
//! # Settings
//! An [`InvalidSetting`] says what is wrong without the name that users know a setting by. With the feature `environment` the
//! module `environment` has the environment variables that services share.
//!
//! # Example
//! ```no_run
//! use std::time::Duration;
//! use telemetry_redis::{ConnectionSettings, Connector, TlsFiles};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = ConnectionSettings {
//!     url: "rediss+sentinel://user:secret@s1,s2/mymaster".parse()?,
//!     tls: TlsFiles { ca: Some("/etc/ssl/redis-ca.pem".into()), ..TlsFiles::default() },
//!     connect_timeout: Duration::from_secs(2),
//!     response_timeout: Duration::from_secs(2),
//! };
//! let length = redis::cmd("LLEN").arg("queue").to_owned();
//! let connector = Connector::new(settings, length.clone())?;
//!
//! let mut link = connector.connect().await?;
//! match length.query_async::<u64>(&mut link.connection).await {
//!     Ok(length) => println!("{length} messages at {}", connector.url()),
//!     Err(error) => {
//!         let failure = connector.failure(error);
//!         println!("{failure}, retryable: {}", failure.is_retryable());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connector;
#[cfg(feature = "environment")]
pub mod environment;
mod failure;
mod keys;
mod login;
mod retry;
mod setting;
mod tls;
mod url;

pub use connector::{ConnectionSettings, Connector, Link};
pub use failure::{Cause, Failure, FailureKind};
pub use keys::{QueueKeys, QueueMode, mark_key, shard_key, shard_keys};
pub use retry::{Backoff, RetrySettings};
pub use setting::{InvalidSetting, Setting, SettingProblem};
pub use tls::TlsFiles;
pub use url::{InvalidRedisUrl, RedisUrl};
