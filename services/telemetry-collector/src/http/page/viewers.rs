//! Those who look at the page. One task follows the collector for all of them while there are any, and writes each event
//! once.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use telemetry_outbox::{FeedEvent, Subscription};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::state::{CollectorState, Shown};
use crate::models::{Payload, TelemetryMessage, TelemetryMetrics};
use crate::sampler::Snapshot;

/// Most viewers at a time.
pub(super) const VIEWERS_MAX: usize = 32;
/// Events that are kept for the slowest viewer. One that falls further behind misses some.
const EVENTS_MAX: usize = 16;
/// Time from a change to the event that tells of it, so that what happens together is told together: a message that Redis
/// takes at once is never shown as waiting.
const SETTLE: Duration = Duration::from_millis(100);

/// Gives everybody who looks at the page the same events.
#[derive(Debug, Clone)]
pub(super) struct Viewers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shown: Shown,
    places: Arc<Semaphore>,
    /// What viewers get, while there are any.
    live: Mutex<Option<Live>>,
    shutdown: CancellationToken,
}

/// What viewers get. It is changed and told while it is locked, so that a new viewer misses nothing and gets nothing twice.
#[derive(Debug)]
struct Live {
    /// The latest message of each metrics group.
    messages: BTreeMap<&'static str, Event>,
    state: CollectorState,
    events: broadcast::Sender<Event>,
}

/// Somebody who looks at the page.
struct Viewer {
    events: broadcast::Receiver<Event>,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug, Serialize)]
struct Missed {
    count: u64,
}

impl Viewers {
    pub(super) fn new(shown: Shown, shutdown: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(VIEWERS_MAX));
        Self { shared: Arc::new(Shared { shown, places, live: Mutex::default(), shutdown }) }
    }

    /// Lets one more look: first at the latest messages and the state, then at every change. `None` when there are too many.
    pub(super) fn open(&self) -> Option<impl Stream<Item = Event> + use<>> {
        let place = Arc::clone(&self.shared.places).try_acquire_owned().ok()?;
        let (begin, events) = self.shared.join();
        let viewer = Viewer { events, shutdown: self.shared.shutdown.clone(), _place: place };
        Some(stream::iter(begin).chain(stream::unfold(viewer, Viewer::next)))
    }

    /// Whether the collector is followed for somebody.
    #[cfg(test)]
    pub(super) fn are_followed(&self) -> bool {
        self.shared.live().is_some()
    }
}

impl Viewer {
    async fn next(mut self) -> Option<(Event, Self)> {
        let event = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            event = self.events.recv() => event,
        };
        match event {
            Ok(event) => Some((event, self)),
            Err(RecvError::Lagged(count)) => Some((event_of("missed", &Missed { count })?, self)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Shared {
    /// What a new viewer begins with, and what it gets from then on. The first one starts the task that tells.
    fn join(self: &Arc<Self>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let mut live = self.live();
        let live = live.get_or_insert_with(|| {
            let following = self.shown.feed.subscribe();
            let live = Live::of(&self.shown);
            tokio::spawn(Arc::clone(self).tell(following, live.events.clone()));
            live
        });
        let status = event_of("status", &live.state.clone().into_status());
        (live.messages.values().cloned().chain(status).collect(), live.events.subscribe())
    }

    /// Tells viewers what happens until there are none.
    async fn tell(self: Arc<Self>, mut following: Subscription, events: broadcast::Sender<Event>) {
        let mut health = self.shown.health.clone();
        let mut steering = self.shown.steering.clone();
        let mut settled_at: Option<Instant> = None;
        loop {
            let event = tokio::select! {
                () = self.shutdown.cancelled() => return self.end(),
                () = events.closed() => {
                    if self.end_without_viewers() {
                        return;
                    }
                    continue;
                }
                () = reached(settled_at) => {
                    settled_at = None;
                    self.tell_state();
                    continue;
                }
                true = health.changed() => None,
                true = steering.changed() => None,
                event = following.next() => match event {
                    Some(event) => Some(event),
                    None => return self.end(),
                },
            };
            settled_at.get_or_insert_with(|| Instant::now() + SETTLE);
            match event {
                Some(FeedEvent::Message(message)) => self.tell_message(&message),
                Some(FeedEvent::Missed(count)) => self.tell_missed(count),
                Some(FeedEvent::Delivery(_)) | None => {}
            }
        }
    }

    fn tell_message(&self, message: &TelemetryMessage) {
        let Some(event) = message_event(message) else { return };
        if let Some(live) = &mut *self.live() {
            if let Some(group) = group_of(message) {
                live.messages.insert(group, event.clone());
            }
            live.tell(event);
        }
    }

    fn tell_missed(&self, count: u64) {
        if let (Some(live), Some(event)) = (&*self.live(), event_of("missed", &Missed { count })) {
            live.tell(event);
        }
    }

    fn tell_state(&self) {
        let state = CollectorState::of(&self.shown);
        let mut live = self.live();
        let Some(live) = live.as_mut().filter(|live| live.state != state) else { return };
        live.state = state.clone();
        if let Some(event) = event_of("status", &state.into_status()) {
            live.tell(event);
        }
    }

    fn end_without_viewers(&self) -> bool {
        let mut live = self.live();
        live.take_if(|live| live.events.receiver_count() == 0);
        live.is_none()
    }

    fn end(&self) {
        self.live().take();
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn of(shown: &Shown) -> Self {
        let latest = shown.snapshots.latest();
        let message = |snapshot: &Snapshot| Some((snapshot.group, message_event(&snapshot.message)?));
        Self {
            messages: latest.iter().filter_map(message).collect(),
            state: CollectorState::of(shown),
            events: broadcast::Sender::new(EVENTS_MAX),
        }
    }

    fn tell(&self, event: Event) {
        // The last viewer may have left just now.
        let _ = self.events.send(event);
    }
}

/// Waits for a time, for ever if there is none.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The metrics group that the message is a sample of.
fn group_of(message: &TelemetryMessage) -> Option<&'static str> {
    match &message.payload {
        Some(Payload::Data(data)) => data.metrics.as_ref().map(TelemetryMetrics::group),
        _ => None,
    }
}

/// The message as it is in the queue, if its content is JSON.
fn message_event(message: &TelemetryMessage) -> Option<Event> {
    let json = String::from_utf8(message.to_json().ok()?).ok()?;
    Some(Event::default().event("message").data(json))
}

fn event_of(name: &str, content: &impl Serialize) -> Option<Event> {
    Some(Event::default().event(name).data(serde_json::to_string(content).ok()?))
}
