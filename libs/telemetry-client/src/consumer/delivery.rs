//! One event, and the way back to say that it is done with.

use tokio::sync::{mpsc, oneshot};

use super::error::ConsumerError;
use crate::event::Event;

/// What a service asks of its consumer.
#[derive(Debug)]
pub(super) enum Command {
    Settle(Unsettled),
    Close(oneshot::Sender<()>),
}

/// A message that was taken, and what shall become of it.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) id: u64,
    pub(super) how: Settlement,
    /// Who waits until Redis knows.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// What becomes of a message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settlement {
    /// It is done with.
    Acknowledged,
    /// It goes back to the head of the queue.
    Returned,
    /// It goes to the dead-letter list, for this reason.
    Dead(String),
}

/// One event. Redis keeps its message until [`ack`](Self::ack); dropped without that, the message goes back to the head of
/// the queue and comes again. (Events that are no message, such as `InstanceStarted`, need no acknowledgement; it does
/// no harm.)
#[derive(Debug)]
#[must_use = "a delivery that is dropped without ack() comes again"]
pub struct Delivery {
    event: Event,
    receipt: Option<Receipt>,
}

#[derive(Debug)]
pub(super) struct Receipt {
    id: u64,
    commands: mpsc::UnboundedSender<Command>,
    settled: bool,
}

impl Delivery {
    pub(super) fn of_message(event: Event, id: u64, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { event, receipt: Some(Receipt { id, commands, settled: false }) }
    }

    pub(super) fn of_notice(event: Event) -> Self {
        Self { event, receipt: None }
    }

    /// What happened.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Says that the event is done with: its message will not come again. It is settled as soon as this is called and
    /// polled once; the answer comes when Redis has it, which during an outage takes until its end.
    ///
    /// # Errors
    /// [`ConsumerError::Closed`] when the consumer ended first: the message may come again.
    pub async fn ack(self) -> Result<(), ConsumerError> {
        self.settle(Settlement::Acknowledged).await
    }

    /// Moves the message to the dead-letter list with `reason`: nobody can make anything of it.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn reject(self, reason: impl Into<String>) -> Result<(), ConsumerError> {
        self.settle(Settlement::Dead(reason.into())).await
    }

    async fn settle(self, how: Settlement) -> Result<(), ConsumerError> {
        let Some(mut receipt) = self.receipt else { return Ok(()) };
        let (done, settled) = oneshot::channel();
        receipt.send(how, Some(done));
        settled.await.map_err(|_| ConsumerError::Closed)
    }
}

impl Receipt {
    fn send(&mut self, how: Settlement, done: Option<oneshot::Sender<()>>) {
        self.settled = true;
        // A consumer that is gone has given the message back.
        let _ = self.commands.send(Command::Settle(Unsettled { id: self.id, how, done }));
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.settled {
            self.send(Settlement::Returned, None);
        }
    }
}
