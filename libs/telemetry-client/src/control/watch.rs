//! The stream of everything that a collector makes.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};
use telemetry_proto::v1::watch_snapshots_response::Event;
use telemetry_proto::v1::{
    DeliveryState, DeliveryUpdate, GapReason, TelemetryMessage, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use tonic::{Status, Streaming};

use super::answer::{message, ranges};
use super::error::ControlError;

pub(super) const CALL: &str = "watch the collector";

/// What a watch shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchOptions {
    delivery: bool,
}

/// One event of a watch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// The collector has made a message: the same one that goes to the queue; checked.
    Message(Box<TelemetryMessage>),
    /// This client read too slowly, and the collector dropped so many events, delivery updates included.
    Missed(u64),
    /// The delivery state of messages changed. Only with [`WatchOptions::delivery`].
    Delivery {
        /// Numbers of the messages, in ascending ranges.
        numbers: Vec<RangeInclusive<u64>>,
        /// Their state.
        state: DeliveryState,
        /// Why they are lost. Only if they are.
        reason: Option<GapReason>,
    },
}

/// Every message of a collector from now on, as a [`Stream`]. Dropping it ends the call.
///
/// The last item is always an error; `None` follows. It is [`Unavailable`](ControlError::Unavailable) when the collector stops or
/// the connection breaks: after a while a new [`watch`](super::ControlClient::watch) of the same client connects again. What
/// the collector made between the two watches is not told. Another `instance_id` in the messages means that the collector has
/// restarted and numbers its messages from 1; with the same one, a jump of the numbers shows what was missed.
///
/// ```no_run
/// # use std::time::Duration;
/// use telemetry_client::{ControlClient, ControlError, WatchOptions};
///
/// async fn watch_for_ever(collector: &ControlClient) -> Result<(), ControlError> {
///     loop {
///         match watch_once(collector).await {
///             Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_secs(1)).await,
///             ended => return ended,
///         }
///     }
/// }
///
/// async fn watch_once(collector: &ControlClient) -> Result<(), ControlError> {
///     let mut watch = collector.watch(WatchOptions::default()).await?;
///     while let Some(event) = watch.next().await {
///         println!("{:?}", event?);
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "a watch does nothing unless it is read"]
pub struct Watch {
    answers: Option<Streaming<WatchSnapshotsResponse>>,
}

impl WatchOptions {
    /// Whether to report what becomes of the messages, too (no).
    #[must_use]
    pub fn delivery(mut self, delivery: bool) -> Self {
        self.delivery = delivery;
        self
    }
}

impl From<WatchOptions> for WatchSnapshotsRequest {
    fn from(options: WatchOptions) -> Self {
        Self { delivery: options.delivery }
    }
}

impl Watch {
    pub(super) fn new(answers: Streaming<WatchSnapshotsResponse>) -> Self {
        Self { answers: Some(answers) }
    }

    /// The next event; `None` after the error that ended the watch. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, ControlError>> {
        StreamExt::next(self).await
    }
}

impl Stream for Watch {
    type Item = Result<WatchEvent, ControlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(answers) = &mut self.answers else { return Poll::Ready(None) };
            let event = match ready!(answers.poll_next_unpin(context)) {
                Some(answer) => answer.map_err(|status| ControlError::from_status(CALL, status)).and_then(typed),
                None => Err(ControlError::from_status(CALL, Status::unavailable("the collector is stopping"))),
            };
            if event.is_err() {
                self.answers = None;
            }
            if let Some(event) = event.transpose() {
                return Poll::Ready(Some(event));
            }
        }
    }
}

/// An event as this client's users see it; `None` for one that only a newer schema knows.
fn typed(answer: WatchSnapshotsResponse) -> Result<Option<WatchEvent>, ControlError> {
    Ok(match answer.event {
        Some(Event::Message(sent)) => Some(WatchEvent::Message(Box::new(message(CALL, Some(sent))?))),
        Some(Event::Missed(missed)) => Some(WatchEvent::Missed(missed.count)),
        Some(Event::Delivery(update)) => Some(delivery(update)?),
        None => None,
    })
}

fn delivery(update: DeliveryUpdate) -> Result<WatchEvent, ControlError> {
    let (state, reason) = (update.state(), update.reason.map(|_| update.reason()));
    Ok(WatchEvent::Delivery { numbers: ranges(CALL, update.numbers)?, state, reason })
}
