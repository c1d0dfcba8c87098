//! What the delivery loop asks of a destination.

use async_trait::async_trait;
use telemetry_outbox::{Batch, EncodedMessage};
use uuid::Uuid;

use crate::errors::{PublishingErrorKind, TelemetryError, TelemetryResult};

/// Somewhere messages go.
///
/// Calls do not retry: the delivery loop decides when to try again, since only it knows of shutdown and of what waits
/// behind. Each call has time limits of its own and always returns.
#[async_trait]
pub trait TelemetryPublisher: Send + Sync {
    /// Where messages go, for people to read; no secrets.
    fn destination(&self) -> &str;

    /// Sends one message, with no word on what the destination had before.
    ///
    /// # Errors
    /// As [`publish_batch`](Self::publish_batch).
    async fn publish(&self, instance_id: Uuid, message: EncodedMessage) -> TelemetryResult<Receipt> {
        self.publish_batch(&Batch { instance_id, acknowledged: 0, messages: vec![message] }).await
    }

    /// Sends messages in their order, all or none.
    ///
    /// # Errors
    /// [`Publishing`](crate::errors::TelemetryError::Publishing), classified. After
    /// [`TimedOut`](crate::errors::PublishingErrorKind::TimedOut) or a broken connection the messages may have been
    /// taken all the same; `(instance_id, sequence)` lets a consumer drop the second copy.
    async fn publish_batch(&self, batch: &Batch) -> TelemetryResult<Receipt>;

    /// Asks the destination whether it is there.
    ///
    /// # Errors
    /// [`Publishing`](crate::errors::TelemetryError::Publishing), classified.
    async fn health_check(&self) -> TelemetryResult<()>;

    /// Gives back every connection. Later calls fail.
    async fn close(&self);
}

/// A Redis list or stream that serves as a queue.
#[async_trait]
pub trait RedisPublisher: TelemetryPublisher {
    /// How many messages the queue holds (`LLEN`, `XLEN`).
    ///
    /// # Errors
    /// [`Publishing`](crate::errors::TelemetryError::Publishing), classified.
    async fn queue_length(&self) -> TelemetryResult<u64>;

    /// The connections of the pool.
    fn pool_state(&self) -> PoolState;
}

/// What the destination said to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It has acknowledged every message.
    Taken(Acknowledgement),
    /// It took nothing, since it lost messages that it had acknowledged: it should be offered what comes after `newest`.
    Behind {
        /// The highest number of the batch's instance that it still has; 0 when it knows nothing of the instance.
        newest: u64,
    },
}

/// What the destination said when it took messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledgement {
    /// Messages in the queue afterwards, the cap applied.
    pub queue_length: u64,
    /// Oldest messages that the cap pushed out.
    pub trimmed: u64,
    /// The length from which on consumers count as too slow, when the queue has reached it.
    pub high_water: Option<u64>,
}

impl Acknowledgement {
    /// What is wrong with a destination that takes messages, but faster than they are consumed.
    #[must_use]
    pub fn pressure(&self) -> Option<TelemetryError> {
        let high_water = self.high_water?;
        let cause = format!("it holds {}; consumers are too slow", self.queue_length);
        let operation = format!("keep the queue below {high_water} messages");
        Some(TelemetryError::publishing(operation, PublishingErrorKind::Refused, cause))
    }
}

/// The connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Connections that may be open at once.
    pub max_size: usize,
    /// Connections that are open.
    pub size: usize,
    /// Open connections that nobody uses.
    pub available: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}
