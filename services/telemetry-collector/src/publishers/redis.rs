//! A Redis list as the queue.

mod commands;
mod failure;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::{Connection, Hook, HookError, Manager, Pool};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    RedisError, RedisResult, ServerErrorKind,
};
use tokio::time::{Instant, timeout};

use self::commands::Pushed;
use self::failure::Failure;
use super::{Acknowledgement, PoolState, Receipt, RedisPublisher, TelemetryPublisher};
use crate::batch::{Batch, EncodedMessage};
use crate::errors::{Cause, TelemetryError, TelemetryResult};

/// One connection publishes, the other answers questions meanwhile. More would only cost the server.
const MAX_CONNECTIONS: usize = 2;

/// A connection that was idle for longer is tested before it is used: servers, firewalls and NAT drop idle connections,
/// some without a word.
const TRUSTED_FOR: Duration = Duration::from_secs(15);

/// How to reach the queue.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user][:password]@host[:port][/database]` or `unix:///path[?db=…&user=…&pass=…]`.
    pub url: String,
    /// Name of the list.
    pub key: String,
    /// Messages the list may hold; the oldest are dropped beyond that. 0: no cap.
    pub max_length: u64,
    /// Longest time to get hold of a connection, from name resolution to login.
    pub connect_timeout: Duration,
    /// Longest time to wait for an answer.
    pub response_timeout: Duration,
}

/// A Redis list that messages are pushed onto.
///
/// The connection that publishes is checked out of the pool once and kept while it works, because the pool tests a
/// connection each time it hands it out: a round trip more. After any failure every connection is dropped, so that the
/// next try looks the server up afresh and follows a failover. Questions ([`health_check`], [`queue_length`]) use another
/// connection and never wait behind a push.
///
/// A call takes no longer than the connect time-out and the response time-out together.
///
/// The user needs the permission for `LPUSH`, `LTRIM` (when there is a cap), `LLEN` and `PING`.
///
/// [`health_check`]: TelemetryPublisher::health_check
/// [`queue_length`]: RedisPublisher::queue_length
pub struct RedisQueue {
    destination: String,
    key: String,
    cap: Option<NonZeroU64>,
    connect_timeout: Duration,
    pool: Pool,
    /// The connection that publishes, while it does not.
    kept: Mutex<Option<Kept>>,
    cap_refused: AtomicBool,
}

/// A connection that is checked out and known to work.
struct Kept {
    connection: Connection,
    since: Instant,
}

impl RedisQueue {
    /// A queue that connects when it is first used.
    ///
    /// # Errors
    /// [`Configuration`](TelemetryError::Configuration) when the URL is wrong; its password is not shown.
    pub fn connect_lazily(settings: &RedisSettings) -> TelemetryResult<Self> {
        let wrong_url = |problem: Cause| {
            let problem =
                format!("{problem}; redis://[user][:password]@host[:port][/database] or unix:///path is wanted");
            TelemetryError::setting("TELEMETRY_REDIS__URL", problem)
        };
        let server = settings.url.as_str().into_connection_info().map_err(|error| wrong_url(error.into()))?;
        Ok(Self {
            destination: format!("{} list {}", describe(&server), settings.key),
            key: settings.key.clone(),
            cap: NonZeroU64::new(settings.max_length),
            connect_timeout: settings.connect_timeout,
            pool: pool(server, settings.response_timeout).map_err(wrong_url)?,
            kept: Mutex::default(),
            cap_refused: AtomicBool::new(false),
        })
    }

    async fn push(&self, messages: &[EncodedMessage]) -> Result<Pushed, Failure> {
        let mut connection = match self.take_kept() {
            Some(connection) => connection,
            None => self.check_out().await?,
        };
        match commands::push(&mut connection, &self.key, self.cap, messages).await {
            Ok(pushed) => {
                self.keep(connection);
                Ok(pushed)
            }
            Err(error) => {
                self.discard(connection);
                Err(error.into())
            }
        }
    }

    async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, Failure> {
        let mut connection = self.check_out().await?;
        match question.query_async(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.discard(connection);
                Err(error.into())
            }
        }
    }

    /// A connection that answered just now: an idle one that still works, else a new one.
    async fn check_out(&self) -> Result<Connection, Failure> {
        match timeout(self.connect_timeout, self.pool.get()).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(Failure::no_connection(self.connect_timeout)),
        }
    }

    fn take_kept(&self) -> Option<Connection> {
        // One that was idle for too long goes back to the pool, which tests it before it hands it out.
        self.kept().take().filter(|kept| kept.since.elapsed() < TRUSTED_FOR).map(|kept| kept.connection)
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.kept();
        if !self.pool.is_closed() {
            *kept = Some(Kept { connection, since: Instant::now() });
        }
    }

    /// Drops a connection that failed, and the idle ones with it: what befell one may have befallen all.
    fn discard(&self, connection: Connection) {
        drop(Connection::take(connection));
        self.pool.retain(|_, _| false);
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once that the cap is refused, and once that it no longer is.
    fn watch_cap(&self, trim_error: Option<RedisError>) {
        let was_refused = self.cap_refused.swap(trim_error.is_some(), Ordering::Relaxed);
        match trim_error {
            Some(error) if !was_refused => tracing::warn!(
                destination = self.destination,
                %error,
                "Redis takes messages but does not trim the list, which grows without bound"
            ),
            None if was_refused => tracing::info!(destination = self.destination, "Redis trims the list again"),
            _ => {}
        }
    }
}

#[async_trait]
impl TelemetryPublisher for RedisQueue {
    fn destination(&self) -> &str {
        &self.destination
    }

    async fn publish_batch(&self, batch: &Batch) -> TelemetryResult<Receipt> {
        let messages = batch.messages.as_slice();
        if messages.is_empty() {
            return Ok(Receipt::Taken(Acknowledgement::default()));
        }
        let pushed = self.push(messages).await.map_err(|failure| {
            let plural = if messages.len() == 1 { "" } else { "s" };
            failure.of(format!("push {} message{plural}", messages.len()))
        })?;
        self.watch_cap(pushed.trim_error);
        Ok(Receipt::Taken(pushed.acknowledgement))
    }

    async fn health_check(&self) -> TelemetryResult<()> {
        self.ask(&redis::cmd("PING")).await.map_err(|failure| failure.of("ping Redis"))
    }

    async fn close(&self) {
        self.pool.close();
        self.kept().take();
    }
}

#[async_trait]
impl RedisPublisher for RedisQueue {
    async fn queue_length(&self) -> TelemetryResult<u64> {
        let question = redis::cmd("LLEN").arg(&self.key).to_owned();
        self.ask(&question).await.map_err(|failure| failure.of(format!("measure the list {}", self.key)))
    }

    fn pool_state(&self) -> PoolState {
        let status = self.pool.status();
        PoolState { max_size: status.max_size, size: status.size, available: status.available, waiting: status.waiting }
    }
}

impl fmt::Debug for RedisSettings {
    /// Without the URL, which holds the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("key", &self.key)
            .field("max_length", &self.max_length)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue")
            .field("destination", &self.destination)
            .field("cap", &self.cap)
            .field("pool", &self.pool.status())
            .finish_non_exhaustive()
    }
}

fn pool(server: ConnectionInfo, response_timeout: Duration) -> Result<Pool, Cause> {
    // The library would name itself to the server in commands whose errors it ignores, and so swallow the first thing
    // that a server in protected mode or without a free client slot has to say.
    let login = server.redis_settings().clone().set_skip_set_lib_name();
    // `check_out` sets one limit over all steps of getting a connection, so that none of them needs its own.
    let limits = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(Some(response_timeout));
    let manager = Manager::new_with_config(server.set_redis_settings(login), limits)?;
    // A hung server still accepts connections, and when it comes back it executes whatever was sent on them. A push
    // goes only to a server that answers, so that tries during a hang do not each leave a copy behind.
    let answers = Hook::async_fn(|connection, _| {
        Box::pin(async move { probe(redis::cmd("PING").query_async(connection).await).map_err(HookError::Backend) })
    });
    Ok(Pool::builder(manager).max_size(MAX_CONNECTIONS).post_create(answers).build()?)
}

/// Whether the server answers: that it does not let us ask is an answer, too.
fn probe(answer: RedisResult<()>) -> RedisResult<()> {
    match answer {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(()),
        answer => answer,
    }
}

/// The server's address with all but the password, put together from what may be shown.
fn describe(server: &ConnectionInfo) -> String {
    let (address, login) = (server.addr(), server.redis_settings());
    let scheme = match address {
        ConnectionAddr::Unix(_) => "unix",
        ConnectionAddr::TcpTls { .. } => "rediss",
        _ => "redis",
    };
    let user = login.username().unwrap_or_default();
    let login_part = match login.password() {
        Some(_) => format!("{user}:***@"),
        None if user.is_empty() => String::new(),
        None => format!("{user}@"),
    };
    format!("{scheme}://{login_part}{address} database {}", login.db())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::errors::report;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings {
            url: url.to_owned(),
            key: "telemetry:queue".to_owned(),
            max_length: 10,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
        }
    }

    fn destination(url: &str) -> String {
        RedisQueue::connect_lazily(&settings(url)).unwrap().destination().to_owned()
    }

    #[test]
    fn the_destination_shows_everything_but_the_password() {
        assert_eq!(destination("redis://127.0.0.1"), "redis://127.0.0.1:6379 database 0 list telemetry:queue");
        assert_eq!(
            destination("redis://user:secret@redis:6380/2?x=secret"),
            "redis://user:***@redis:6380 database 2 list telemetry:queue"
        );
        assert_eq!(
            destination("unix:///run/redis.sock?db=1&pass=secret"),
            "unix://:***@/run/redis.sock database 1 list telemetry:queue"
        );
    }

    #[test]
    fn a_wrong_url_is_a_wrong_setting_and_stays_secret() {
        for url in
            ["", "secret", "http://:secret@host", "redis://:secret@", "redis://:secret@host/x", "rediss://:secret@host"]
        {
            let error = RedisQueue::connect_lazily(&settings(url)).unwrap_err();
            assert!(matches!(error, TelemetryError::Configuration(_)), "{url}: {error}");
            let line = report(&error);
            assert!(line.starts_with("TELEMETRY_REDIS__URL: ") && !line.contains("secret"), "{line}");
        }
    }

    #[test]
    fn nothing_prints_the_password() {
        let settings = settings("redis://user:secret@host");
        let queue = RedisQueue::connect_lazily(&settings).unwrap();
        let printed = format!("{settings:?} {queue:?}");
        assert!(!printed.contains("secret"), "{printed}");
    }

    #[tokio::test]
    async fn an_empty_batch_needs_no_server() {
        let queue = RedisQueue::connect_lazily(&settings("redis://127.0.0.1:1")).unwrap();
        let empty = Batch { instance_id: Uuid::nil(), acknowledged: 0, messages: Vec::new() };
        assert_eq!(queue.publish_batch(&empty).await.unwrap(), Receipt::Taken(Acknowledgement::default()));
        assert_eq!(queue.pool_state(), PoolState { max_size: 2, size: 0, available: 0, waiting: 0 });
    }
}
