//! `WatchSnapshots`: every message as soon as it is made, and what becomes of it, for each caller that asks.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use telemetry_outbox::{Feed, FeedEvent, Subscription};
use telemetry_proto::v1::watch_snapshots_response::Event;
use telemetry_proto::v1::{MissedEvents, WatchSnapshotsResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// What a watch yields.
pub(super) type WatchStream = BoxStream<'static, Result<WatchSnapshotsResponse, Status>>;

/// Opens watches, a limited number at a time.
#[derive(Debug, Clone)]
pub struct Watches {
    feed: Feed,
    places: Arc<Semaphore>,
    max: usize,
    shutdown: CancellationToken,
}

/// A watch that somebody reads.
struct Watch {
    subscription: Subscription,
    delivery: bool,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Watches {
    /// At most `max` watches of `feed` at a time, which end at `shutdown`.
    #[must_use]
    pub fn new(feed: Feed, max: usize, shutdown: CancellationToken) -> Self {
        Self { feed, places: Arc::new(Semaphore::new(max)), max, shutdown }
    }

    /// Opens a watch; with `delivery`, it tells what becomes of the messages, too.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many.
    pub(super) fn open(&self, delivery: bool) -> Result<WatchStream, Status> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let max = self.max;
            Status::resource_exhausted(format!(
                "there are {max} watches already, as many as TELEMETRY_CONTROL__MAX_WATCHES allows"
            ))
        })?;
        let (subscription, shutdown) = (self.feed.subscribe(), self.shutdown.clone());
        let watch = Watch { subscription, delivery, shutdown, _place: place };
        Ok(stream::unfold(watch, Watch::next).map(Ok).boxed())
    }
}

impl Watch {
    async fn next(mut self) -> Option<(WatchSnapshotsResponse, Self)> {
        loop {
            // What was told before the shutdown is still sent.
            let event = tokio::select! {
                biased;
                event = self.subscription.next() => event?,
                () = self.shutdown.cancelled() => return None,
            };
            if let Some(event) = self.shown(event) {
                return Some((WatchSnapshotsResponse { event: Some(event) }, self));
            }
        }
    }

    fn shown(&self, event: FeedEvent) -> Option<Event> {
        match event {
            FeedEvent::Message(message) => Some(Event::Message(Arc::unwrap_or_clone(message))),
            FeedEvent::Delivery(update) => self.delivery.then(|| Event::Delivery(Arc::unwrap_or_clone(update))),
            FeedEvent::Missed(count) => Some(Event::Missed(MissedEvents { count })),
        }
    }
}
