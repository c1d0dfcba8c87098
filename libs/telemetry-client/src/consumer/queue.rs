//! The list or stream in Redis and what stands beside it: each function is one round trip.

mod list;
mod stream;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError};
use serde::Serialize;
use telemetry_proto::well_known::Timestamp;
use telemetry_redis::{Connector, Failure, InvalidSetting, QueueKeys};
use tokio::time::{Instant, timeout};
use tracing::debug;
use uuid::Uuid;

use super::delivery::Settlement;
use super::settings::{ConsumerSettings, Source};

/// How long the server waits for a message before it answers that there is none. A connection that broke without a word
/// can take one more message in that time.
const BLOCK: Duration = Duration::from_secs(2);
/// Messages taken in one round trip, at most.
const BATCH: usize = 256;
/// Messages that the dead-letter list holds, at most.
const MAX_DEAD: isize = 10_000;

/// Ends a script that takes a message from this consumer: it goes to the dead-letter list.
const BURY: &str = "redis.call('LPUSH', KEYS[2], ARGV[1]) redis.call('LTRIM', KEYS[2], 0, ARGV[2])";

/// An element of the queue as it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Element {
    /// Of an entry of a stream; elements of a list have none.
    id: String,
    pub(super) payload: Vec<u8>,
}

impl Element {
    fn of_list(payload: Vec<u8>) -> Self {
        Self { id: String::new(), payload }
    }
}

/// The queue as one consumer sees it.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    connector: Arc<Connector>,
    connect_timeout: Duration,
    source: Source,
    keys: QueueKeys,
    consumer: Uuid,
    processing: String,
    alive: String,
    dead_after: Duration,
}

/// The connections to the server, both to the same one.
pub(super) struct Connections {
    /// Answers at once.
    pub(super) asking: MultiplexedConnection,
    /// Waits for messages, and can do nothing else meanwhile.
    pub(super) waiting: MultiplexedConnection,
    /// The server's number of `waiting`, where it tells.
    pub(super) waiting_id: Option<i64>,
}

/// What is known after a sign of life.
pub(super) struct Beat {
    /// Elements that this consumer has in Redis' eyes.
    pub(super) held: usize,
    /// Elements of dead consumers that went back to the queue, or are this one's now.
    pub(super) reclaimed: u64,
}

/// An element on the dead-letter list.
#[derive(Serialize)]
struct DeadLetter<'a> {
    reason: &'a str,
    dead_since: Timestamp,
    consumer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl Queue {
    pub(super) fn new(settings: &ConsumerSettings) -> Result<Self, InvalidSetting> {
        let ConsumerSettings { address, source, .. } = settings;
        let keys = match source {
            Source::List => QueueKeys::of_list(&address.key),
            Source::Stream { group } => QueueKeys::of_stream(&address.key, group),
        };
        let consumer = Uuid::new_v4();
        Ok(Self {
            // Every key is in the slot of the queue.
            connector: Arc::new(address.connector()?),
            connect_timeout: address.connect_timeout,
            source: source.clone(),
            processing: keys.processing(consumer),
            alive: keys.alive(consumer),
            keys,
            consumer,
            dead_after: settings.dead_after,
        })
    }

    pub(super) fn consumer(&self) -> Uuid {
        self.consumer
    }

    pub(super) fn dead_letters(&self) -> &str {
        &self.keys.dead
    }

    /// Finds the server that takes writes now, and connects to it.
    pub(super) async fn connect(&self) -> Result<Connections, Failure> {
        let (limit, started) = (self.connect_timeout, Instant::now());
        let link = self.connector.connect().await?;
        let rest = limit.saturating_sub(started.elapsed());
        let waiting = timeout(rest, link.open_blocking(BLOCK)).await;
        let (mut asking, mut waiting) =
            (link.connection, waiting.unwrap_or_else(|_| Err(Failure::no_connection(limit)))?);
        if let Source::Stream { group } = &self.source {
            self.make_group(&mut asking, group).await.map_err(|error| self.failure(error))?;
        }
        let waiting_id = redis::cmd("CLIENT").arg("ID").query_async(&mut waiting).await.ok();
        Ok(Connections { asking, waiting, waiting_id })
    }

    fn failure(&self, error: RedisError) -> Failure {
        self.connector.failure(error)
    }

    /// Takes up to `room` elements, oldest first. Waits for the first one, though not for ever.
    pub(super) async fn take(
        self,
        mut connection: MultiplexedConnection,
        room: usize,
    ) -> Result<Vec<Element>, Failure> {
        let taken = match &self.source {
            Source::List => self.take_of_list(&mut connection, room).await,
            Source::Stream { group } => self.take_of_stream(&mut connection, group, room).await,
        };
        taken.map_err(|error| self.failure(error))
    }

    /// Ends the wait for a message. Where the server does not let us, it ends by itself.
    pub(super) async fn unblock(&self, connections: &mut Connections) {
        if let Some(id) = connections.waiting_id {
            let unblocked =
                redis::cmd("CLIENT").arg("UNBLOCK").arg(id).query_async::<()>(&mut connections.asking).await;
            unblocked.unwrap_or_else(|error| debug!(%error, "the wait for messages goes on to its end"));
        }
    }

    /// Everything that this consumer has in Redis' eyes, oldest first.
    pub(super) async fn held(&self, connection: &mut MultiplexedConnection) -> Result<Vec<Element>, Failure> {
        let held = match &self.source {
            Source::List => self.held_of_list(connection).await,
            Source::Stream { group } => self.held_of_stream(connection, group).await,
        };
        held.map_err(|error| self.failure(error))
    }

    /// Says what becomes of elements that this consumer has.
    pub(super) async fn settle(
        &self,
        connection: &mut MultiplexedConnection,
        settled: impl Iterator<Item = (&Element, &Settlement)>,
    ) -> Result<(), Failure> {
        let mut commands = Pipeline::new();
        for (element, how) in settled {
            match &self.source {
                Source::List => self.settle_in_list(&mut commands, element, how),
                Source::Stream { group } => self.settle_in_stream(&mut commands, group, element, how),
            }
        }
        if commands.is_empty() {
            return Ok(());
        }
        commands.query_async(connection).await.map_err(|error| self.failure(error))
    }

    /// Runs `script`, which ends in [`BURY`], on the place where `payload` is now.
    fn bury<'p>(
        &self,
        commands: &'p mut Pipeline,
        script: &str,
        place: &str,
        payload: &[u8],
        reason: &str,
    ) -> &'p mut Pipeline {
        let command = commands.cmd("EVAL").arg(script).arg(2).arg(&[place, &self.keys.dead]);
        command.arg(self.dead_letter(payload, reason)).arg(MAX_DEAD - 1)
    }

    fn dead_letter(&self, payload: &[u8], reason: &str) -> Vec<u8> {
        let text = std::str::from_utf8(payload).ok();
        let letter = DeadLetter {
            reason,
            dead_since: SystemTime::now().into(),
            consumer: self.consumer.to_string(),
            payload: text,
            payload_base64: text.is_none().then(|| STANDARD.encode(payload)),
        };
        // Nothing in it can fail to be JSON but a clock beyond the year 9999; then the element itself is kept.
        serde_json::to_vec(&letter).unwrap_or_else(|_| payload.to_vec())
    }

    /// Gives a sign of life, and gives back what dead consumers had taken.
    pub(super) async fn beat(&self, connection: &mut MultiplexedConnection) -> Result<Beat, Failure> {
        let mut commands = Pipeline::new();
        let dead_after = u64::try_from(self.dead_after.as_millis()).unwrap_or(u64::MAX);
        commands.cmd("SET").arg(&self.alive).arg(1).arg("PX").arg(dead_after).ignore();
        commands.cmd("SADD").arg(&self.keys.consumers).arg(self.consumer.to_string()).ignore();
        commands.cmd("SMEMBERS").arg(&self.keys.consumers);
        match &self.source {
            Source::List => {
                commands.cmd("LLEN").arg(&self.processing);
            }
            Source::Stream { group } => self.count_in_stream(&mut commands, group),
        }
        let beat = commands.query_async(connection).await;
        let (consumers, held): (Vec<String>, usize) = beat.map_err(|error| self.failure(error))?;
        let others = consumers.iter().filter_map(|id| Uuid::try_parse(id).ok()).filter(|id| *id != self.consumer);
        let mut reclaims = Pipeline::new();
        for other in others {
            self.reclaim(&mut reclaims, other);
        }
        if reclaims.is_empty() {
            return Ok(Beat { held, reclaimed: 0 });
        }
        let moved: Vec<u64> = reclaims.query_async(connection).await.map_err(|error| self.failure(error))?;
        Ok(Beat { held, reclaimed: moved.iter().sum() })
    }

    /// Leaves: what this consumer has goes back to a list, as if somebody had found it dead. Of a stream the next consumer
    /// claims it.
    pub(super) async fn sign_off(&self, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
        let mut commands = Pipeline::new();
        commands.cmd("DEL").arg(&self.alive).ignore();
        if let Source::List = self.source {
            self.reclaim_in_list(&mut commands, self.consumer);
        }
        commands.query_async::<Vec<u64>>(connection).await.map(drop).map_err(|error| self.failure(error))
    }

    fn reclaim(&self, commands: &mut Pipeline, consumer: Uuid) {
        match &self.source {
            Source::List => self.reclaim_in_list(commands, consumer),
            Source::Stream { group } => self.reclaim_in_stream(commands, group, consumer),
        }
    }
}
