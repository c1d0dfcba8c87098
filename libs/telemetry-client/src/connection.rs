//! Where the queue is, and the way there.

use std::time::Duration;

use telemetry_redis::{ConnectionSettings, Connector, InvalidSetting, RetrySettings, TlsFiles};

/// Where the queue is, and how long Redis may take.
#[derive(Clone)]
pub(crate) struct QueueAddress {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) tls: TlsFiles,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) retry: RetrySettings,
}

impl QueueAddress {
    pub(crate) fn new(url: String, key: String) -> Self {
        Self {
            url,
            key,
            tls: TlsFiles::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
            retry: retry(Duration::from_millis(100), Duration::from_secs(30)),
        }
    }

    /// Finds the server that takes writes; in a Cluster, the node that holds the key.
    pub(crate) fn connector(&self) -> Result<Connector, InvalidSetting> {
        let connection = ConnectionSettings {
            url: self.url.parse()?,
            tls: self.tls.clone(),
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
        };
        Connector::new(connection, redis::cmd("EXISTS").arg(&self.key).to_owned())
    }
}

/// Waits between tries to reach Redis, from `initial` to `max`.
pub(crate) fn retry(initial: Duration, max: Duration) -> RetrySettings {
    RetrySettings { initial, max, rejected: max }
}
