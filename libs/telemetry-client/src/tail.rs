//! Looks at the messages of the queue without taking them.
//!
//! # What is promised
//! The queue stays as it is: nothing is taken, acknowledged or written. Each message is told once, by its
//! `(instance_id, sequence)`, however often it is in the queue.
//!
//! The tail looks at the queue every quarter of a second ([`poll_interval`](TailSettings::poll_interval)). What is pushed and
//! taken by a consumer between two looks, is trimmed by the queue's cap or lost by Redis cannot be told. A later message of
//! the same instance shows that numbers are missing. If no gap record names them for [5 s](TailSettings::missing_after) and
//! they are nowhere in the queue, the tail tells them as [`Missing`](TailEvent::Missing). So a tail of a list that consumers
//! keep empty shows some of the messages only. For all of them, use a stream, where consumers remove nothing, or the
//! collector's `WatchSnapshots`.
//!
//! # Lists and streams
//! The tail finds out by itself which one the key holds. A list is read from its left end, where collectors push. Redis has no
//! position in it that stays, so the tail reads until it finds messages that it knows. A stream is read after the last entry.
//!
//! Of a list that does not change, a look reads 4 elements; after a change, it reads at least 32 known elements beside the new
//! ones. Before numbers of a list are told as missing, the whole list is read once, in pages of 256.
//!
//! # Permissions
//! The user needs `TYPE` and, for a list, `LRANGE`; for a stream `XREVRANGE` and `XREAD`; in a Cluster also `EXISTS`.

mod error;
mod found;
mod list;
mod missing;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::ops::RangeInclusive;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use telemetry_proto::v1::TelemetryMessage;
use telemetry_redis::{Connector, Failure, FailureKind};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

pub use self::error::TailError;
use self::found::{Found, Unreadables};
use self::missing::Missing;
pub use self::settings::TailSettings;
use crate::ledger::{Ledger, Verdict};
use crate::outage::Outage;

/// Elements that one look may hold: some 25 MB.
const MAX_LOOK: usize = 10_000;

/// What a tail tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TailEvent {
    /// A message of the queue; checked.
    Message(Box<TelemetryMessage>),
    /// These numbers were not in the queue when the tail looked: a consumer took them, the queue's cap trimmed them, or
    /// Redis lost them. Should one come later, it is told all the same.
    Missing {
        /// The instance whose numbers they are.
        instance_id: Uuid,
        /// The numbers.
        numbers: RangeInclusive<u64>,
    },
    /// An element of the queue is not a message that this program can read. The consumer that takes it moves it to the
    /// dead-letter list.
    Unreadable {
        /// Why.
        reason: String,
        /// The element.
        payload: Vec<u8>,
    },
    /// So many messages are new since the last look that only the newest 10 000 were read. It comes before them. The older
    /// ones are neither told nor missing.
    Skipped,
}

/// Tells the messages of a queue without taking them.
///
/// ```no_run
/// use telemetry_client::{QueueTail, TailEvent, TailSettings};
///
/// # async fn example() -> Result<(), telemetry_client::TailError> {
/// let settings = TailSettings::new("redis://127.0.0.1:6379/0", "telemetry:queue").last(20);
/// let mut tail = QueueTail::connect(settings)?;
/// while let Some(event) = tail.next().await {
///     match event {
///         Ok(TailEvent::Message(message)) => println!("{} {}", message.instance_id, message.sequence),
///         Ok(TailEvent::Missing { instance_id, numbers }) => println!("{instance_id} lacks {numbers:?}"),
///         Ok(_) => {}
///         Err(error) => eprintln!("{error}"), // the tail reconnects by itself
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct QueueTail {
    settings: TailSettings,
    connector: Connector,
    connection: Option<MultiplexedConnection>,
    /// What the key holds; `None` while it holds nothing.
    kind: Option<Kind>,
    /// The newest messages at the start are known.
    begun: bool,
    ledger: Ledger,
    /// Numbers that are missing unless they are somewhere in the queue.
    missing: Missing,
    unreadables: Unreadables,
    ready: VecDeque<TailEvent>,
    outage: Outage,
    next_look: Instant,
    ended: bool,
}

/// What the key holds, and how far it has been read.
#[derive(Debug, Clone)]
enum Kind {
    List { head: Vec<Vec<u8>> },
    Stream { last_id: String },
}

/// What one look at the queue found.
#[derive(Debug, Default)]
struct Look {
    /// Oldest first.
    found: Vec<Found>,
    /// There was more than a look may hold.
    skipped: bool,
    /// There is more to read at once.
    more: bool,
}

/// A step that Redis did not take.
struct Failed(&'static str, Failure);

impl QueueTail {
    /// A tail that connects at the first [`next`](Self::next). Redis need not be up.
    ///
    /// # Errors
    /// [`TailError::Settings`] when the URL or the TLS files cannot be used.
    pub fn connect(settings: TailSettings) -> Result<Self, TailError> {
        let connector = settings.address.connector().map_err(TailError::Settings)?;
        Ok(Self {
            connector,
            connection: None,
            kind: None,
            begun: false,
            ledger: Ledger::new(Some(settings.missing_after)),
            missing: Missing::default(),
            unreadables: Unreadables::default(),
            ready: VecDeque::new(),
            outage: Outage::new(settings.address.retry),
            next_look: Instant::now(),
            ended: false,
            settings,
        })
    }

    /// The next event, as soon as there is one. `None` at the end, which comes only if the tail does not
    /// [follow](TailSettings::follow) the queue. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`TailError::Redis`], once, when the queue cannot be read. A tail that follows goes on by itself, with growing pauses:
    /// call `next` again.
    pub async fn next(&mut self) -> Option<Result<TailEvent, TailError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            sleep_until(self.next_look).await;
            match self.look().await {
                Ok(more) => {
                    self.outage.over();
                    self.ended = !self.settings.follow;
                    self.next_look = Instant::now() + if more { Duration::ZERO } else { self.settings.poll_interval };
                }
                Err(failed) => {
                    if let Some(error) = self.failed(failed) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Closes the connection. Returns the error if the caller does not know it yet.
    fn failed(&mut self, Failed(operation, failure): Failed) -> Option<TailError> {
        self.connection = None;
        self.ended = !self.settings.follow;
        let retryable = failure.is_retryable();
        if !retryable {
            // The key may hold something else by now.
            self.kind = None;
        }
        self.next_look = Instant::now() + self.outage.pause(retryable);
        self.outage.is_news(retryable).then(|| TailError::redis(operation, failure))
    }

    /// Looks at the queue once. Nothing changes here before the last answer is there. Returns whether there is more to read.
    async fn look(&mut self) -> Result<bool, Failed> {
        let mut connection = self.connected().await?;
        let mut kind = match &self.kind {
            Some(kind) => Some(kind.clone()),
            None => self.kind_of_key(&mut connection).await?,
        };
        let look =
            self.read(&mut connection, kind.as_mut()).await.map_err(|failure| Failed("read the queue", failure))?;
        let more = look.more;
        let shown = if self.begun { usize::MAX } else { self.settings.last };
        let begun = self.begun;
        self.admit(look, shown);
        (self.kind, self.begun) = (kind, true);
        self.find_missing(&mut connection, begun).await?;
        Ok(more)
    }

    async fn read(&self, connection: &mut MultiplexedConnection, kind: Option<&mut Kind>) -> Result<Look, Failure> {
        let (key, newest) = (&self.settings.address.key, self.settings.last);
        let look = match kind {
            None => Ok(Look::default()),
            Some(Kind::List { head }) if self.begun => {
                list::new(connection, key, head, |found| self.is_known(found)).await
            }
            Some(Kind::List { head }) => list::newest(connection, key, newest, head).await,
            Some(Kind::Stream { last_id }) if self.begun => stream::after(connection, key, last_id).await,
            Some(Kind::Stream { last_id }) => stream::newest(connection, key, newest, last_id).await,
        };
        look.map_err(|error| self.connector.failure(error))
    }

    async fn connected(&mut self) -> Result<MultiplexedConnection, Failed> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let link = self.connector.connect().await.map_err(|failure| Failed("connect to Redis", failure))?;
        Ok(self.connection.insert(link.connection).clone())
    }

    async fn kind_of_key(&self, connection: &mut MultiplexedConnection) -> Result<Option<Kind>, Failed> {
        let answer = redis::cmd("TYPE").arg(&self.settings.address.key).query_async::<String>(connection).await;
        let failed = |failure| Failed("find out what the key holds", failure);
        match answer.map_err(|error| failed(self.connector.failure(error)))?.as_str() {
            "none" => Ok(None),
            "list" => Ok(Some(Kind::List { head: Vec::new() })),
            "stream" => Ok(Some(Kind::Stream { last_id: "0-0".to_owned() })),
            other => {
                let problem = format!("it holds a {other}, and a queue is a list or a stream");
                Err(failed(Failure::new(FailureKind::Rejected, problem)))
            }
        }
    }

    fn is_known(&self, found: &Found) -> bool {
        match found.number() {
            Some((instance, sequence)) => self.ledger.has(instance, sequence),
            None => matches!(found, Found::Unreadable { payload, .. } if self.unreadables.has(payload)),
        }
    }

    /// Takes down what a look found. Of the messages that are new, the newest `shown` will be told.
    fn admit(&mut self, look: Look, shown: usize) {
        if look.skipped {
            // Nothing is known of the numbers before.
            self.ledger = Ledger::new(Some(self.settings.missing_after));
            self.ready.push_back(TailEvent::Skipped);
        }
        let news: Vec<_> = look.found.into_iter().filter_map(|found| self.news(found)).collect();
        self.ready.extend(news.into_iter().rev().take(shown).rev());
    }

    /// The event of an element that is not known yet.
    fn news(&mut self, found: Found) -> Option<TailEvent> {
        match found {
            Found::Message { message, event } => match self.ledger.record(&event, Instant::now()) {
                Verdict::New { .. } => Some(TailEvent::Message(message)),
                Verdict::Duplicate => None,
            },
            Found::Unreadable { reason, payload } => {
                let is_new = self.unreadables.insert(&payload);
                is_new.then_some(TailEvent::Unreadable { reason, payload })
            }
        }
    }

    /// Tells the numbers that are missing and that no gap record has named in time: of the messages at the start at once and
    /// in their place.
    async fn find_missing(&mut self, connection: &mut MultiplexedConnection, begun: bool) -> Result<(), Failed> {
        let now = Instant::now();
        self.missing.extend(self.ledger.take_overdue(if begun { now } else { now + self.settings.missing_after }));
        if self.missing.is_empty() {
            return Ok(());
        }
        // Its elements are not always in the order of their numbers: a consumer may have given some back.
        if let Some(Kind::List { .. }) = self.kind {
            let found = list::find(connection, &self.settings.address.key, &self.missing).await;
            let found = found.map_err(|error| Failed("look for missing messages", self.connector.failure(error)))?;
            for found in found {
                self.missing.remove(&found);
                let news = self.news(found);
                self.ready.extend(news.filter(|_| begun));
            }
        }
        let missing = mem::take(&mut self.missing);
        if begun {
            self.ready.extend(missing.into_events());
        } else {
            self.ready = missing.placed_in(mem::take(&mut self.ready));
        }
        Ok(())
    }
}
