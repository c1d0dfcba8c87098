//! The Redis list and what stands beside it: each function is one round trip.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult};
use serde::Serialize;
use telemetry_proto::well_known::Timestamp;
use tracing::debug;
use uuid::Uuid;

use super::delivery::Settlement;
use super::keys::Keys;
use super::{ConsumerError, ConsumerSettings};

/// How long the server waits for a message before it answers that there is none. A connection that broke without a word
/// can take one more message in that time.
const BLOCK: Duration = Duration::from_secs(2);
/// Messages taken in one round trip, at most.
const BATCH: usize = 256;
/// Messages that the dead-letter list holds, at most.
const MAX_DEAD: isize = 10_000;

/// Gives back what a consumer had taken, oldest at the head again, unless it lives. One that had nothing is forgotten; one
/// that had something is forgotten the next time, since a server may still serve a connection of its own.
const RECLAIM: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local moved = 0
while redis.call('LMOVE', KEYS[2], KEYS[3], 'LEFT', 'RIGHT') do moved = moved + 1 end
if moved == 0 then redis.call('SREM', KEYS[4], ARGV[1]) end
return moved";

/// Puts a message that this consumer still has back to the head of the queue.
const RETURN: &str = "
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 1 then redis.call('RPUSH', KEYS[2], ARGV[1]) end";

/// Moves a message that this consumer still has to the dead-letter list.
const BURY: &str = "
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 1 then
  redis.call('LPUSH', KEYS[2], ARGV[2])
  redis.call('LTRIM', KEYS[2], 0, ARGV[3])
end";

/// An element of the queue as it was found.
pub(super) type Element = Vec<u8>;

/// The queue as one consumer sees it.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    client: Client,
    keys: Keys,
    consumer: Uuid,
    processing: String,
    alive: String,
    dead_after: Duration,
    response_timeout: Duration,
}

/// What is known after a sign of life.
pub(super) struct Beat {
    /// Elements that this consumer has in Redis' eyes.
    pub(super) held: usize,
    /// Elements of dead consumers that went back to the queue.
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
    pub(super) fn new(settings: &ConsumerSettings) -> Result<Self, ConsumerError> {
        let keys = Keys::new(&settings.key);
        let consumer = Uuid::new_v4();
        Ok(Self {
            client: Client::open(settings.url.as_str()).map_err(ConsumerError::Settings)?,
            processing: keys.processing(&consumer),
            alive: keys.alive(&consumer),
            keys,
            consumer,
            dead_after: settings.dead_after,
            response_timeout: settings.response_timeout,
        })
    }

    pub(super) fn consumer(&self) -> Uuid {
        self.consumer
    }

    pub(super) fn dead_letters(&self) -> &str {
        &self.keys.dead
    }

    /// A connection to ask on.
    pub(super) async fn connect(&self, limit: Duration) -> RedisResult<MultiplexedConnection> {
        self.connect_with(limit, self.response_timeout).await
    }

    /// A connection to wait on, which nothing else can use meanwhile.
    pub(super) async fn connect_to_wait(&self, limit: Duration) -> RedisResult<MultiplexedConnection> {
        self.connect_with(limit, self.response_timeout + BLOCK).await
    }

    async fn connect_with(&self, limit: Duration, response: Duration) -> RedisResult<MultiplexedConnection> {
        let limits =
            AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(response));
        self.client.get_multiplexed_async_connection_with_config(&limits).await
    }

    /// Takes up to `room` elements, oldest first. Waits for the first one, though not for ever.
    pub(super) async fn take(self, mut connection: MultiplexedConnection, room: usize) -> RedisResult<Vec<Element>> {
        let (first, waiting): (Option<Element>, usize) = redis::pipe()
            .cmd("BLMOVE")
            .arg(&[&self.keys.queue, &self.processing, "RIGHT", "LEFT"])
            .arg(BLOCK.as_secs())
            .cmd("LLEN")
            .arg(&self.keys.queue)
            .query_async(&mut connection)
            .await?;
        let Some(first) = first else { return Ok(Vec::new()) };
        let mut taken = vec![first];
        let more = waiting.min(room - 1).min(BATCH - 1);
        if more > 0 {
            let mut moves = Pipeline::new();
            for _ in 0..more {
                moves.cmd("LMOVE").arg(&[&self.keys.queue, &self.processing, "RIGHT", "LEFT"]);
            }
            let moved: Vec<Option<Element>> = moves.query_async(&mut connection).await?;
            taken.extend(moved.into_iter().flatten());
        }
        Ok(taken)
    }

    /// Ends the wait for a message on the connection `waiting`. Where the server does not let us, it ends by itself.
    pub(super) async fn unblock(&self, connection: &mut MultiplexedConnection, waiting: Option<i64>) {
        if let Some(id) = waiting {
            let unblocked = redis::cmd("CLIENT").arg("UNBLOCK").arg(id).query_async::<()>(connection).await;
            unblocked.unwrap_or_else(|error| debug!(%error, "the wait for messages goes on to its end"));
        }
    }

    /// Everything that this consumer has in Redis' eyes, oldest first.
    pub(super) async fn held(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Element>> {
        let mut held: Vec<Element> =
            redis::cmd("LRANGE").arg(&self.processing).arg(0).arg(-1).query_async(connection).await?;
        held.reverse();
        Ok(held)
    }

    /// Says what becomes of elements that this consumer has.
    pub(super) async fn settle(
        &self,
        connection: &mut MultiplexedConnection,
        settled: impl Iterator<Item = (&Element, &Settlement)>,
    ) -> RedisResult<()> {
        let mut commands = Pipeline::new();
        for (element, how) in settled {
            match how {
                // By value: a place in the list would be another's after this consumer was taken for dead.
                Settlement::Acknowledged => commands.cmd("LREM").arg(&self.processing).arg(-1).arg(element),
                Settlement::Returned => {
                    commands.cmd("EVAL").arg(RETURN).arg(2).arg(&[&self.processing, &self.keys.queue]).arg(element)
                }
                Settlement::Dead(reason) => commands
                    .cmd("EVAL")
                    .arg(BURY)
                    .arg(2)
                    .arg(&[&self.processing, &self.keys.dead])
                    .arg(element)
                    .arg(self.dead_letter(element, reason))
                    .arg(MAX_DEAD - 1),
            }
            .ignore();
        }
        commands.query_async(connection).await
    }

    fn dead_letter(&self, element: &Element, reason: &str) -> Vec<u8> {
        let payload = std::str::from_utf8(element).ok();
        let letter = DeadLetter {
            reason,
            dead_since: SystemTime::now().into(),
            consumer: self.consumer.to_string(),
            payload,
            payload_base64: payload.is_none().then(|| STANDARD.encode(element)),
        };
        // Nothing in it can fail to be JSON but a clock beyond the year 9999; then the element itself is kept.
        serde_json::to_vec(&letter).unwrap_or_else(|_| element.clone())
    }

    /// Gives a sign of life, and gives back what dead consumers had taken.
    pub(super) async fn beat(&self, connection: &mut MultiplexedConnection) -> RedisResult<Beat> {
        let (consumers, held): (Vec<String>, usize) = redis::pipe()
            .cmd("SET")
            .arg(&self.alive)
            .arg(1)
            .arg("PX")
            .arg(u64::try_from(self.dead_after.as_millis()).unwrap_or(u64::MAX))
            .ignore()
            .cmd("SADD")
            .arg(&self.keys.consumers)
            .arg(self.consumer.to_string())
            .ignore()
            .cmd("SMEMBERS")
            .arg(&self.keys.consumers)
            .cmd("LLEN")
            .arg(&self.processing)
            .query_async(connection)
            .await?;
        let others = consumers.iter().filter_map(|id| Uuid::try_parse(id).ok()).filter(|id| *id != self.consumer);
        let mut reclaims = Pipeline::new();
        for other in others {
            self.reclaim(&mut reclaims, &other);
        }
        if reclaims.is_empty() {
            return Ok(Beat { held, reclaimed: 0 });
        }
        let moved: Vec<u64> = reclaims.query_async(connection).await?;
        Ok(Beat { held, reclaimed: moved.iter().sum() })
    }

    /// Gives back whatever this consumer has, as somebody who found it dead would.
    pub(super) async fn sign_off(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut commands = Pipeline::new();
        commands.cmd("DEL").arg(&self.alive).ignore();
        self.reclaim(&mut commands, &self.consumer);
        commands.query_async::<Vec<u64>>(connection).await.map(drop)
    }

    fn reclaim(&self, commands: &mut Pipeline, consumer: &Uuid) {
        let keys = [
            self.keys.alive(consumer),
            self.keys.processing(consumer),
            self.keys.queue.clone(),
            self.keys.consumers.clone(),
        ];
        commands.cmd("EVAL").arg(RECLAIM).arg(keys.len()).arg(&keys).arg(consumer.to_string());
    }
}
