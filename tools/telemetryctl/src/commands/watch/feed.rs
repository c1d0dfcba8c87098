//! What the targets of a watch tell.

use std::time::Duration;

use telemetry_client::control::{Health, Watch};
use telemetry_client::{ControlClient, ControlError, WatchEvent, WatchOptions};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::failure::Failure;
use crate::fan_out::Target;

/// Time until a target is asked again after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// Time from one question for the health to the next.
const HEALTH: Duration = Duration::from_secs(2);
/// Updates that may wait to be shown. Then the collector is read more slowly, and tells how much was missed.
const WAITING: usize = 256;

/// What a target tells.
#[derive(Debug)]
pub(super) enum Update {
    /// A watch has begun.
    Begun,
    /// An event of the watch.
    Event(WatchEvent),
    /// The health of the collector.
    Health(Health),
    /// The watch could not begin, or has ended.
    Failed(Failure),
}

/// What to do when a watch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// Begin another one.
    Reconnect,
    /// Leave it at that.
    Stop,
}

/// Watches every target, and asks for its health if that is wanted. Each update comes with the index of its target. Without
/// health, the channel closes when all watches have ended.
pub(super) fn start(targets: &[Target], at_end: AtEnd, with_health: bool) -> Receiver<(usize, Update)> {
    let (sender, receiver) = mpsc::channel(WAITING);
    for (index, target) in targets.iter().enumerate() {
        let feed = Feed { index, sender: sender.clone() };
        match &target.client {
            Ok(client) => {
                tokio::spawn(feed.clone().watch(client.clone(), at_end));
                if with_health {
                    tokio::spawn(feed.ask_for_health(client.clone()));
                }
            }
            Err(failure) => {
                let failure = failure.clone();
                tokio::spawn(async move { feed.send(Update::Failed(failure)).await });
            }
        }
    }
    receiver
}

/// The way of one target's updates.
#[derive(Debug, Clone)]
struct Feed {
    index: usize,
    sender: Sender<(usize, Update)>,
}

impl Feed {
    /// Returns whether somebody still listens.
    async fn send(&self, update: Update) -> bool {
        self.sender.send((self.index, update)).await.is_ok()
    }

    async fn watch(self, client: ControlClient, at_end: AtEnd) {
        loop {
            let ended = match client.watch(WatchOptions::default().delivery(true)).await {
                Ok(watch) => self.follow(watch).await,
                Err(error) => Some(error),
            };
            let Some(error) = ended else { return };
            if !self.send(Update::Failed(error.into())).await || at_end == AtEnd::Stop {
                return;
            }
            sleep(RETRY).await;
        }
    }

    /// Returns why the watch ended, or `None` if nobody listens any more.
    async fn follow(&self, mut watch: Watch) -> Option<ControlError> {
        if !self.send(Update::Begun).await {
            return None;
        }
        loop {
            match watch.next().await? {
                Ok(event) => {
                    if !self.send(Update::Event(event)).await {
                        return None;
                    }
                }
                Err(error) => return Some(error),
            }
        }
    }

    async fn ask_for_health(self, client: ControlClient) {
        let mut ticks = interval(HEALTH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // That it cannot be reached is what the watch tells.
            if let Ok(health) = client.health().await
                && !self.send(Update::Health(health)).await
            {
                return;
            }
        }
    }
}
