//! A Redis list or stream as the queue.

mod commands;
mod script;
mod settings;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool::managed::{Object, Pool};
use redis::{Cmd, FromRedisValue, RedisError};
use telemetry_outbox::Batch;
use telemetry_redis::{Connector, Failure, FailureKind, QueueMode};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use self::commands::{Commands, Outcome};
pub use self::settings::{DeliveryMode, RedisSettings};
use super::{Acknowledgement, PoolState, Receipt, RedisPublisher, TelemetryPublisher};
use crate::errors::{InvalidSetting, TelemetryError, TelemetryResult};

/// One connection publishes, the other answers questions meanwhile. More would only cost the server.
const MAX_CONNECTIONS: usize = 2;

/// A connection that was idle for longer is tested before it is used: servers, firewalls and NAT drop idle connections,
/// some without a word.
const TRUSTED_FOR: Duration = Duration::from_secs(15);

/// How much longer the pool may take than the connect timeout. The connector keeps that timeout itself, and is waited for
/// because it knows what a server said until then.
const CONNECTOR_FIRST: Duration = Duration::from_millis(50);

/// A Redis list or stream that messages are pushed onto.
///
/// The connection that publishes is checked out of the pool once and kept while it works, because the pool tests a
/// connection each time it hands it out: a round trip more. After any failure every connection is dropped, so that the
/// next try looks the server up afresh and follows a failover. Questions ([`health_check`], [`queue_length`]) use another
/// connection and never wait behind a push.
///
/// A call takes no longer than the connect timeout and the response timeout together, and 50 ms.
///
/// With [`DeliveryMode::ExactlyOnce`] a script on the server pushes a batch and remembers the highest number of its
/// instance, in one step: what is offered again is not taken again, and a server that lost what it had acknowledged is
/// found out.
///
/// [`health_check`]: TelemetryPublisher::health_check
/// [`queue_length`]: RedisPublisher::queue_length
pub struct RedisQueue {
    destination: String,
    commands: Commands,
    high_water: Option<u64>,
    wait_replicas: u32,
    connect_timeout: Duration,
    pool: Pool<Connector>,
    /// The connection that publishes, while it does not.
    kept: Mutex<Option<Kept>>,
    cap_refused: AtomicBool,
}

#[derive(Debug, Error)]
#[error("not enough replicas: {reached} of {wanted} have it")]
struct NotEnoughReplicas {
    reached: u64,
    wanted: u32,
}

/// A connection that is checked out and known to work.
struct Kept {
    connection: Object<Connector>,
    since: Instant,
}

impl RedisQueue {
    /// A queue that connects when it is first used.
    ///
    /// # Errors
    /// [`Configuration`](TelemetryError::Configuration) when the settings are wrong or do not go together; the URL's
    /// password is not shown.
    pub fn connect_lazily(settings: &RedisSettings) -> TelemetryResult<Self> {
        let commands = Commands::new(settings);
        let connector = settings.connector(commands.length())?;
        let kind = match settings.mode {
            QueueMode::List => "list",
            QueueMode::Stream => "stream",
        };
        let destination = format!("{} {kind} {}", connector.url(), settings.key);
        let pool = Pool::builder(connector).max_size(MAX_CONNECTIONS).build();
        Ok(Self {
            destination,
            commands,
            high_water: (settings.high_water > 0).then_some(settings.high_water),
            wait_replicas: settings.wait_replicas,
            connect_timeout: settings.connect_timeout,
            pool: pool.map_err(|error| TelemetryError::setting("TELEMETRY_REDIS__URL", error.to_string()))?,
            kept: Mutex::default(),
            cap_refused: AtomicBool::new(false),
        })
    }

    async fn push(&self, batch: &Batch) -> Result<Outcome, Failure> {
        let mut link = match self.take_kept() {
            Some(link) => link,
            None => self.check_out().await?,
        };
        let failure = match self.commands.push(&mut link.connection, batch).await {
            Ok(Outcome::Pushed(pushed)) if pushed.replicas.is_some_and(|count| count < self.wait_replicas.into()) => {
                let reached = pushed.replicas.unwrap_or_default();
                Failure::new(FailureKind::Refused, NotEnoughReplicas { reached, wanted: self.wait_replicas })
            }
            Ok(outcome) => {
                self.keep(link);
                return Ok(outcome);
            }
            Err(error) => self.failure(error).with_permissions(self.commands.permissions()),
        };
        self.discard(link);
        Err(failure)
    }

    async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, Failure> {
        let mut link = self.check_out().await?;
        match question.query_async(&mut link.connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.discard(link);
                Err(self.failure(error))
            }
        }
    }

    fn failure(&self, error: RedisError) -> Failure {
        self.pool.manager().failure(error)
    }

    /// A connection that answered just now: an idle one that still works, else a new one.
    async fn check_out(&self) -> Result<Object<Connector>, Failure> {
        match timeout(self.connect_timeout.saturating_add(CONNECTOR_FIRST), self.pool.get()).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(Failure::no_connection(self.connect_timeout)),
        }
    }

    fn take_kept(&self) -> Option<Object<Connector>> {
        // One that was idle for too long goes back to the pool, which tests it before it hands it out.
        self.kept().take().filter(|kept| kept.since.elapsed() < TRUSTED_FOR).map(|kept| kept.connection)
    }

    fn keep(&self, connection: Object<Connector>) {
        let mut kept = self.kept();
        if !self.pool.is_closed() {
            *kept = Some(Kept { connection, since: Instant::now() });
        }
    }

    /// Drops a connection that failed, and the idle ones with it: what befell one may have befallen all.
    fn discard(&self, connection: Object<Connector>) {
        drop(Object::take(connection));
        self.pool.retain(|_, _| false);
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once that the cap is refused, and once that it no longer is.
    fn watch_cap(&self, trim_error: Option<String>) {
        let was_refused = self.cap_refused.swap(trim_error.is_some(), Ordering::Relaxed);
        match trim_error {
            Some(error) if !was_refused => tracing::warn!(
                destination = self.destination,
                error,
                "Redis takes messages but does not trim the queue, which grows without bound"
            ),
            None if was_refused => tracing::info!(destination = self.destination, "Redis trims the queue again"),
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
        if batch.messages.is_empty() {
            return Ok(Receipt::Taken(Acknowledgement::default()));
        }
        let outcome = self.push(batch).await.map_err(|failure| {
            let plural = if batch.messages.len() == 1 { "" } else { "s" };
            cannot(format!("push {} message{plural}", batch.messages.len()))(failure)
        })?;
        Ok(match outcome {
            Outcome::Behind { newest } => Receipt::Behind { newest },
            Outcome::Pushed(pushed) => {
                self.watch_cap(pushed.trim_error);
                let high_water = self.high_water.filter(|mark| pushed.acknowledgement.queue_length >= *mark);
                Receipt::Taken(Acknowledgement { high_water, ..pushed.acknowledgement })
            }
        })
    }

    async fn health_check(&self) -> TelemetryResult<()> {
        let Some(mark) = self.high_water else {
            return self.ask(&redis::cmd("PING")).await.map_err(cannot("ping Redis"));
        };
        let queue_length = self.queue_length().await?;
        let high_water = Some(mark).filter(|mark| queue_length >= *mark);
        let state = Acknowledgement { queue_length, high_water, ..Acknowledgement::default() };
        state.pressure().map_or(Ok(()), Err)
    }

    async fn close(&self) {
        self.pool.close();
        self.kept().take();
    }
}

#[async_trait]
impl RedisPublisher for RedisQueue {
    async fn queue_length(&self) -> TelemetryResult<u64> {
        self.ask(&self.commands.length()).await.map_err(cannot("measure the queue"))
    }

    fn pool_state(&self) -> PoolState {
        let status = self.pool.status();
        PoolState { max_size: status.max_size, size: status.size, available: status.available, waiting: status.waiting }
    }
}

/// What a failure of `operation`, as it reads after "cannot", is to the delivery.
fn cannot(operation: impl Into<String>) -> impl FnOnce(Failure) -> TelemetryError {
    |failure| {
        let kind = failure.kind().into();
        TelemetryError::publishing(operation, kind, failure.name_setting(InvalidSetting::from).into_cause())
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue")
            .field("destination", &self.destination)
            .field("pool", &self.pool.status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use redis::{Value, parse_redis_value};
    use telemetry_redis::TlsFiles;
    use uuid::Uuid;

    use super::*;
    use crate::errors::report;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings::new(url, "telemetry:queue")
    }

    /// The line that refuses `settings`.
    fn refused(settings: &RedisSettings) -> String {
        let error = RedisQueue::connect_lazily(settings).unwrap_err();
        assert!(matches!(error, TelemetryError::Configuration(_)), "{error}");
        report(&error)
    }

    #[test]
    fn the_destination_names_server_and_queue() {
        let destination = |settings| RedisQueue::connect_lazily(&settings).unwrap().destination().to_owned();
        assert_eq!(
            destination(settings("redis://user:secret@redis:6380/2")),
            "redis://user:***@redis:6380 database 2 list telemetry:queue"
        );
        let stream = RedisSettings { mode: QueueMode::Stream, ..settings("redis+cluster://c1") };
        assert_eq!(destination(stream), "redis+cluster://c1:6379 stream telemetry:queue");
    }

    #[test]
    fn a_wrong_url_is_a_wrong_setting_and_stays_secret() {
        for url in ["", "secret", "http://:secret@host", "redis://:secret@", "redis+sentinel://:secret@host"] {
            let line = refused(&settings(url));
            assert!(line.starts_with("TELEMETRY_REDIS__URL: ") && !line.contains("secret"), "{line}");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let ca = TlsFiles { ca: Some("/ca.pem".into()), ..TlsFiles::default() };
        let cert = TlsFiles { cert: Some("/dev/null".into()), ..TlsFiles::default() };
        for (settings, line) in [
            (
                RedisSettings { tls: ca.clone(), ..settings("redis://host") },
                "TELEMETRY_REDIS__TLS_CA: is for rediss, and TELEMETRY_REDIS__URL does not begin with it",
            ),
            (
                RedisSettings { tls: ca, ..settings("rediss://host") },
                "TELEMETRY_REDIS__TLS_CA: cannot read \"/ca.pem\": No such file or directory (os error 2)",
            ),
            (
                RedisSettings { tls: cert, ..settings("rediss://host") },
                "TELEMETRY_REDIS__TLS_CERT: needs TELEMETRY_REDIS__TLS_KEY, too",
            ),
            (
                RedisSettings { wait_replicas: 1, ..settings("redis://host") },
                "TELEMETRY_REDIS__WAIT_REPLICAS: needs TELEMETRY_REDIS__DELIVERY=exactly_once: while replicas are missing, \
                 each try would leave another copy",
            ),
            (
                RedisSettings { max_length: 9, high_water: 10, ..settings("redis://host") },
                "TELEMETRY_REDIS__HIGH_WATER: 10 is above TELEMETRY_REDIS__MAX_LENGTH (9) and would never be reached",
            ),
        ] {
            assert_eq!(refused(&settings), line);
        }
    }

    #[test]
    fn nothing_prints_the_password() {
        let settings = settings("redis://user:secret@host");
        let queue = RedisQueue::connect_lazily(&settings).unwrap();
        let printed = format!("{settings:?} {queue:?}");
        assert!(!printed.contains("secret"), "{printed}");
    }

    #[test]
    fn an_error_names_the_operation_the_kind_and_the_cause() {
        let refusal = parse_redis_value(b"-WRONGTYPE Operation against a key\r\n").and_then(Value::extract_error);
        let error = cannot("push 3 messages")(refusal.unwrap_err().into());
        assert_eq!(report(&error), "cannot push 3 messages: rejected: WRONGTYPE Operation against a key");

        let error = cannot("ping Redis")(RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused)).into());
        assert_eq!(report(&error), "cannot ping Redis: not reachable: connection refused");

        let error = cannot("ping Redis")(Failure::no_connection(Duration::from_secs(1)));
        assert_eq!(report(&error), "cannot ping Redis: not reachable: no connection within 1s");

        let error =
            cannot("push 1 message")(Failure::new(FailureKind::Refused, NotEnoughReplicas { reached: 0, wanted: 1 }));
        assert_eq!(report(&error), "cannot push 1 message: busy or full: not enough replicas: 0 of 1 have it");
    }

    #[tokio::test]
    async fn an_empty_batch_needs_no_server() {
        let queue = RedisQueue::connect_lazily(&settings("redis://127.0.0.1:1")).unwrap();
        let empty = Batch { instance_id: Uuid::nil(), acknowledged: 0, messages: Vec::new() };
        assert_eq!(queue.publish_batch(&empty).await.unwrap(), Receipt::Taken(Acknowledgement::default()));
        assert_eq!(queue.pool_state(), PoolState { max_size: 2, size: 0, available: 0, waiting: 0 });
    }
}
