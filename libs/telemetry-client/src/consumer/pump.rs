//! The task behind a consumer: it alone talks to Redis, takes messages as long as there is room, and settles them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::pending;

use futures_util::future::BoxFuture;
use telemetry_redis::Failure;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::counters::Counters;
use super::delivery::{Command, Delivery, Settlement, Unsettled};
use super::error::ConsumerError;
use super::queue::{Connections, Element, Queue};
use super::settings::ConsumerSettings;
use crate::decode::{Unreadable, decode};
use crate::event::Event;
use crate::ledger::{Ledger, Verdict};
use crate::outage::Outage;

/// Settlements told to Redis in one round trip, at most.
const BATCH: usize = 256;
/// Signs of life in the time after which a consumer counts as dead.
const BEATS: u32 = 3;

type Outcome = Result<Delivery, ConsumerError>;
type Taking = BoxFuture<'static, Result<Vec<Element>, Failure>>;

pub(super) struct Pump {
    settings: ConsumerSettings,
    queue: Queue,
    to_service: mpsc::Sender<Outcome>,
    commands: mpsc::UnboundedSender<Command>,
    from_service: mpsc::UnboundedReceiver<Command>,
    counters: Counters,
    ledger: Ledger,
    /// What the service will be given.
    ready: VecDeque<Outcome>,
    /// Everything taken that Redis does not know to be settled.
    in_flight: HashMap<u64, InFlight>,
    next_id: u64,
    /// What Redis must still be told, in this order.
    unsettled: VecDeque<Unsettled>,
    outage: Outage,
    /// When the last sign of life was sent that Redis has; it counts from then.
    last_beat: Instant,
}

struct InFlight {
    element: Element,
    number: Option<(Uuid, u64)>,
}

/// The way to Redis.
enum Link {
    Up(Box<Session>),
    Down { until: Instant },
}

/// What goes on while Redis can be reached.
struct Session {
    connections: Connections,
    /// The take that is under way on the waiting connection.
    taking: Option<Taking>,
    next_beat: Instant,
    /// Redis holds more for this consumer than it knows of: a take whose answer was lost.
    strays: bool,
}

/// What happened on the way to Redis.
enum Happened {
    RetryDue,
    BeatDue,
    Taken(Result<Vec<Element>, Failure>),
}

/// A step that Redis did not take.
struct Failed(&'static str, Failure);

impl Pump {
    pub(super) fn new(
        settings: ConsumerSettings,
        queue: Queue,
        to_service: mpsc::Sender<Outcome>,
        (commands, from_service): (mpsc::UnboundedSender<Command>, mpsc::UnboundedReceiver<Command>),
        counters: Counters,
    ) -> Self {
        Self {
            ledger: Ledger::new(settings.missing_after),
            outage: Outage::new(settings.address.retry),
            settings,
            queue,
            to_service,
            commands,
            from_service,
            counters,
            ready: VecDeque::new(),
            in_flight: HashMap::new(),
            next_id: 0,
            unsettled: VecDeque::new(),
            last_beat: Instant::now(),
        }
    }

    /// Works until the consumer is closed or dropped.
    pub(super) async fn run(mut self) {
        let to_service = self.to_service.clone();
        let mut link = Link::Down { until: Instant::now() };
        let mut commands = Vec::new();
        let closed = 'open: loop {
            for command in commands.drain(..) {
                match command {
                    Command::Settle(unsettled) => self.unsettled.push_back(unsettled),
                    Command::Close(done) => break 'open Some(done),
                }
            }
            if let Link::Up(session) = &mut link
                && let Err(failed) = self.advance(session).await
            {
                link = self.lost(failed);
            }
            tokio::select! {
                biased;
                () = to_service.closed() => break None,
                _ = self.from_service.recv_many(&mut commands, BATCH) => {}
                Ok(permit) = to_service.reserve(), if !self.ready.is_empty() => {
                    if let Some(outcome) = self.ready.pop_front() {
                        permit.send(outcome);
                    }
                }
                now = at(self.ledger.next_overdue()) => {
                    let missing = self.ledger.take_overdue(now);
                    self.ready.extend(missing.into_iter().map(|event| Ok(Delivery::of_notice(event))));
                }
                happened = link.happening() => {
                    link = match self.proceed(link, happened).await {
                        Ok(link) => link,
                        Err(failed) => self.lost(failed),
                    };
                }
            }
        };
        self.end(link, closed).await;
    }

    async fn proceed(&mut self, link: Link, happened: Happened) -> Result<Link, Failed> {
        match (link, happened) {
            (Link::Up(session), Happened::Taken(taken)) => {
                let taken = taken.map_err(|failure| Failed("take messages", failure))?;
                self.serves();
                self.doubt_silence();
                taken.into_iter().for_each(|element| self.admit(element));
                Ok(Link::Up(session))
            }
            (Link::Up(mut session), _) => {
                self.beat(&mut session).await?;
                Ok(Link::Up(session))
            }
            (Link::Down { .. }, _) => Ok(Link::Up(Box::new(self.connect().await?))),
        }
    }

    async fn connect(&mut self) -> Result<Session, Failed> {
        let connections = self.queue.connect().await.map_err(|failure| Failed("connect to Redis", failure))?;
        let mut session = Session { connections, taking: None, next_beat: Instant::now(), strays: true };
        // Others may have found no sign of life, whatever this one knows: a server that restarts can have forgotten it.
        self.doubt_claims();
        self.beat(&mut session).await?;
        Ok(session)
    }

    /// Redis does what it is asked. That it takes a connection is not enough: the key may have another type.
    fn serves(&mut self) {
        if !self.counters.is_connected() {
            info!(consumer = %self.queue.consumer(), "the telemetry queue is read");
            self.outage.over();
            self.counters.set_connected(true);
        }
    }

    /// Tells Redis what is settled, and takes more while there is room.
    async fn advance(&mut self, session: &mut Session) -> Result<(), Failed> {
        while !self.unsettled.is_empty() {
            self.settle(session).await?;
        }
        if session.taking.is_none() {
            if session.strays {
                self.find_strays(session).await?;
            }
            let room = self.settings.max_in_flight.saturating_sub(self.in_flight.len());
            if room > 0 {
                let waiting = session.connections.waiting.clone();
                session.taking = Some(Box::pin(self.queue.clone().take(waiting, room)));
            } else {
                // Nothing is asked until the service has worked.
                self.serves();
            }
        }
        Ok(())
    }

    async fn settle(&mut self, session: &mut Session) -> Result<(), Failed> {
        let batch = self.unsettled.len().min(BATCH);
        let elements = self
            .unsettled
            .iter()
            .take(batch)
            .filter_map(|unsettled| Some((&self.in_flight.get(&unsettled.id)?.element, &unsettled.how)));
        let told = self.queue.settle(&mut session.connections.asking, elements).await;
        told.map_err(|failure| Failed("settle messages", failure))?;
        for Unsettled { id, how, done } in self.unsettled.drain(..batch) {
            let number = self.in_flight.remove(&id).and_then(|taken| taken.number);
            if let Settlement::Dead(_) = how {
                self.counters.count_dead_letter();
            }
            match (how, number) {
                (Settlement::Returned, Some((instance, sequence))) => {
                    self.ledger.forget(instance, sequence);
                    // Of a stream it is still this consumer's.
                    session.strays = true;
                }
                // Its number may have been forgotten in doubt.
                (Settlement::Acknowledged | Settlement::Dead(_), Some((instance, sequence))) => {
                    self.ledger.remember(instance, sequence);
                }
                (_, None) => {}
            }
            // Nobody waits for it any more: that is the service's to decide.
            let _ = done.map(|done| done.send(()));
        }
        Ok(())
    }

    async fn beat(&mut self, session: &mut Session) -> Result<(), Failed> {
        self.doubt_silence();
        let sent = Instant::now();
        let beat = self
            .queue
            .beat(&mut session.connections.asking)
            .await
            .map_err(|failure| Failed("give a sign of life", failure))?;
        self.last_beat = sent;
        session.next_beat = sent + self.settings.dead_after / BEATS;
        if beat.held < self.in_flight.len() {
            self.doubt_claims();
        }
        // A take that is under way may have arrived there and not here: this is looked at when none is.
        session.strays |= beat.held != self.in_flight.len();
        if beat.reclaimed > 0 {
            info!(messages = beat.reclaimed, "messages of dead consumers are back in the telemetry queue");
            self.counters.count_reclaimed(beat.reclaimed);
        }
        Ok(())
    }

    /// Admits what Redis holds for this consumer and the consumer does not know of. No take may be under way.
    async fn find_strays(&mut self, session: &mut Session) -> Result<(), Failed> {
        let held = self
            .queue
            .held(&mut session.connections.asking)
            .await
            .map_err(|failure| Failed("look for strays", failure))?;
        let mut known: BTreeMap<&Element, usize> = BTreeMap::new();
        for taken in self.in_flight.values() {
            *known.entry(&taken.element).or_default() += 1;
        }
        let mut is_stray = |element: &Element| match known.get_mut(element) {
            Some(copies) if *copies > 0 => {
                *copies -= 1;
                false
            }
            _ => true,
        };
        let strays: Vec<_> = held.into_iter().filter(|element| is_stray(element)).collect();
        self.doubt_silence();
        debug!(strays = strays.len(), "looked for messages that were taken and never arrived");
        strays.into_iter().for_each(|element| self.admit(element));
        session.strays = false;
        Ok(())
    }

    /// A consumer that was silent for too long may have been taken for dead.
    fn doubt_silence(&mut self) {
        if self.last_beat.elapsed() >= self.settings.dead_after {
            self.doubt_claims();
        }
    }

    /// Others may have taken this consumer for dead, and given back what it has. What comes back to it then is no copy of
    /// that: it is the message itself, which would be lost if it were acknowledged as a copy and the service dropped the
    /// first delivery.
    fn doubt_claims(&mut self) {
        for (instance, sequence) in self.in_flight.values().filter_map(|taken| taken.number) {
            self.ledger.forget(instance, sequence);
        }
    }

    /// Makes of an element what the service will see of it.
    fn admit(&mut self, element: Element) {
        let id = self.next_id;
        self.next_id += 1;
        let number = match decode(&element.payload) {
            Ok(event) => self.admit_event(id, event),
            Err(unreadable) => {
                self.bury(id, unreadable);
                None
            }
        };
        self.in_flight.insert(id, InFlight { element, number });
    }

    fn admit_event(&mut self, id: u64, event: Event) -> Option<(Uuid, u64)> {
        let number = event.envelope().map(|envelope| (envelope.instance_id, envelope.sequence));
        match self.ledger.record(&event, Instant::now()) {
            Verdict::Duplicate => {
                self.counters.count_duplicate();
                self.unsettled.push_back(Unsettled { id, how: Settlement::Acknowledged, done: None });
                // It leaves no trace in the ledger: the number is the first copy's.
                return None;
            }
            Verdict::New { first: true } => {
                self.ready.extend(number.map(|(instance_id, first_sequence)| {
                    Ok(Delivery::of_notice(Event::InstanceStarted { instance_id, first_sequence }))
                }));
            }
            Verdict::New { first: false } => {}
        }
        self.counters.count_message();
        self.ready.push_back(Ok(Delivery::of_message(event, id, self.commands.clone())));
        number
    }

    fn bury(&mut self, id: u64, unreadable: Unreadable) {
        let reason = unreadable.to_string();
        let kept_in = self.queue.dead_letters();
        warn!(reason, kept_in, "a message cannot be read");
        if let Unreadable::OtherMajor { found, known } = unreadable {
            self.ready.push_back(Err(ConsumerError::OtherMajor { found, known, kept_in: kept_in.to_owned() }));
        }
        self.unsettled.push_back(Unsettled { id, how: Settlement::Dead(reason), done: None });
    }

    fn lost(&mut self, Failed(operation, failure): Failed) -> Link {
        self.counters.set_connected(false);
        let retryable = failure.is_retryable();
        let pause = self.outage.pause(retryable);
        let error = ConsumerError::redis(operation, failure);
        if self.outage.is_news(retryable) {
            self.ready.push_back(Err(error));
        } else {
            debug!(%error, ?pause, "the telemetry queue is still not read");
        }
        Link::Down { until: Instant::now() + pause }
    }

    /// Tells Redis what it can be told, gives the rest back, and ends.
    async fn end(mut self, link: Link, done: Option<oneshot::Sender<()>>) {
        while let Ok(Command::Settle(unsettled)) = self.from_service.try_recv() {
            self.unsettled.push_back(unsettled);
        }
        if let Link::Up(mut session) = link {
            // A take that is still under way there would take what is about to be given back.
            self.queue.unblock(&mut session.connections).await;
            if session.taking.is_some() {
                // What it brings or whether it fails makes no difference: all goes back.
                let _ = arrival(&mut session.taking).await;
            }
            let mut told = Ok(());
            while told.is_ok() && !self.unsettled.is_empty() {
                told = self.settle(&mut session).await;
            }
            let gone = self.queue.sign_off(&mut session.connections.asking).await;
            if told.is_err() || gone.is_err() {
                info!(
                    "the end of the telemetry consumer could not be told to Redis; the next one gives its messages back"
                );
            }
        }
        // Deliveries that are still ready must not ask to be returned: they have been.
        self.from_service.close();
        let _ = done.map(|done| done.send(()));
    }
}

impl Link {
    /// Waits for the next thing to do. Dropping the future loses nothing.
    async fn happening(&mut self) -> Happened {
        match self {
            Self::Down { until } => {
                sleep_until(*until).await;
                Happened::RetryDue
            }
            Self::Up(session) => tokio::select! {
                biased;
                () = sleep_until(session.next_beat) => Happened::BeatDue,
                taken = arrival(&mut session.taking) => Happened::Taken(taken),
            },
        }
    }
}

async fn arrival(taking: &mut Option<Taking>) -> Result<Vec<Element>, Failure> {
    let Some(future) = taking else { return pending().await };
    let taken = future.await;
    *taking = None;
    taken
}

async fn at(time: Option<Instant>) -> Instant {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
    Instant::now()
}
