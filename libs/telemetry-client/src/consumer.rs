//! The queue as a stream of checked, typed messages.
//!
//! # What is promised
//! A message is taken by moving it to a *processing list* of this consumer, in one step inside Redis, and leaves that
//! list when the service acknowledges it. What a consumer that died had not acknowledged goes back to the head of the
//! queue. So each message is handed out **at least once**; within one consumer, a second copy of the same
//! `(instance_id, sequence)` is dropped. A message that was in flight when the connection broke can be handed out twice.
//!
//! Messages of one instance come in order, but for what came back from a dead consumer or was dropped without an
//! acknowledgement. Messages that an earlier start of a collector left in its spool may come after the first ones of
//! the new start.
//!
//! # Lists and streams
//! A collector writes a list or, with `TELEMETRY_REDIS__MODE=stream`, a stream. Consumers of a list share its messages. Of a
//! [stream](ConsumerSettings::stream) every group gets all of them; there the group's pending entries serve as the
//! processing list, what a dead consumer had taken goes to the one that finds it, and what the service drops without an
//! acknowledgement comes again within two seconds.
//!
//! # Keys
//! Beside the list or stream `KEY` a consumer uses, in the same slot of a Redis Cluster:
//!
//! | key | what it is |
//! | --- | --- |
//! | `{KEY}:processing:ID` | of a list: the messages that consumer `ID` has taken and not acknowledged |
//! | `{KEY}:alive:ID` | exists while consumer `ID` lives |
//! | `{KEY}:consumers`, `{KEY}:consumers:GROUP` | a set of the ids of all consumers |
//! | `{KEY}:dead` | a list of messages that cannot be read, newest first, each as JSON with the reason; the newest 10 000 stay |
//!
//! (A `KEY` that has a hash tag of its own keeps it.) The user needs the permission for these keys and for `SET`, `DEL`,
//! `EXISTS`, `SADD`, `SREM`, `SMEMBERS`, `LPUSH`, `LTRIM` and `EVAL`; for a list `BLMOVE`, `LMOVE`, `LLEN`, `LRANGE`, `LREM` and
//! `RPUSH`; for a stream `XREADGROUP`, `XACK`, `XPENDING`, `XCLAIM` and `XGROUP`. `CLIENT ID` and `CLIENT UNBLOCK` make the
//! end quicker; `PING` and `ROLE` find a server sooner that hangs or is no master. Redis 6.2 or later.
//!
//! # Failover
//! After any failure both connections are made anew, from the addresses in the URL: so the consumer follows the master
//! that Sentinels name, and the slot of a Cluster to the node that holds it now. What the new master does not know of,
//! such as an acknowledgement that the old one had not replicated, is told or taken again; a message that only the old
//! master had is lost with it, and its number is reported as missing.
//!
//! # Encodings
//! A message in JSON begins with `{`. The protobuf encoding begins with `0x0A`, the tag of the message's first field,
//! `schema_version`, which is never empty. Both are read, side by side on one list.

mod counters;
mod delivery;
mod error;
mod pump;
mod queue;
mod settings;

use futures_util::Stream;
use futures_util::stream::poll_fn;
pub use telemetry_redis::{FailureKind, InvalidSetting, Setting, SettingProblem, TlsFiles};
use tokio::sync::{mpsc, oneshot};

pub use self::counters::Counters;
use self::delivery::Command;
pub use self::delivery::Delivery;
pub use self::error::ConsumerError;
use self::pump::Pump;
use self::queue::Queue;
pub use self::settings::ConsumerSettings;
pub use crate::event::{Control, Envelope, Event, Gap, Sample};

/// Deliveries that lie ready for [`QueueConsumer::next`]; they count as in flight.
const READY: usize = 64;

/// Reads the queue.
///
/// Dropping it gives back, in the background, what was taken and not acknowledged; [`close`](Self::close) waits for
/// that.
#[derive(Debug)]
pub struct QueueConsumer {
    events: mpsc::Receiver<Result<Delivery, ConsumerError>>,
    commands: mpsc::UnboundedSender<Command>,
    counters: Counters,
}

impl QueueConsumer {
    /// Starts to read. Redis need not be up: [`next`](Self::next) says when it cannot be reached, and goes on when it
    /// can. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`ConsumerError::Settings`] when the URL or the TLS files cannot be used.
    pub fn connect(settings: ConsumerSettings) -> Result<Self, ConsumerError> {
        let queue = Queue::new(&settings).map_err(ConsumerError::Settings)?;
        let (to_service, events) = mpsc::channel(READY.min(settings.max_in_flight));
        let (commands, from_service) = mpsc::unbounded_channel();
        let counters = Counters::default();
        let pump = Pump::new(settings, queue, to_service, (commands.clone(), from_service), counters.clone());
        tokio::spawn(pump.run());
        Ok(Self { events, commands, counters })
    }

    /// The next event, as soon as there is one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ConsumerError::Redis`] once when the queue cannot be reached or read. The consumer goes on by itself, with
    /// growing pauses: call `next` again. [`ConsumerError::OtherMajor`] for a message of another major version of the
    /// schema, which was set aside; the next call gives the message after it.
    pub async fn next(&mut self) -> Result<Delivery, ConsumerError> {
        self.events.recv().await.unwrap_or(Err(ConsumerError::Closed))
    }

    /// The same as a [`Stream`], which does not end by itself.
    pub fn into_stream(mut self) -> impl Stream<Item = Result<Delivery, ConsumerError>> + Send + Unpin {
        poll_fn(move |context| self.events.poll_recv(context))
    }

    /// What has been counted so far; a handle that stays good when the consumer has moved elsewhere.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Stops: takes no more, tells Redis the acknowledgements that are on their way, and gives everything else back to
    /// the queue. Where Redis cannot be reached, the next consumer does that.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            // An error means that the end has been reached, too.
            let _ = closed.await;
        }
    }
}
