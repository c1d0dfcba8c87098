//! Who connects and calls.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use telemetry_proto::v1::HealthStatus;
use telemetry_server::{Address, Event, Observer, Peer, Refusal, Setting};
use tracing::{error, info, warn};

use crate::errors::{TelemetryError, report};
use crate::health::HealthReporter;

/// Time between two log lines about what clients can cause as often as they like.
const QUIET: Duration = Duration::from_secs(10);

static CALLS_REFUSED: Seldom = Seldom::new();

pub(crate) fn control_listening(address: &Address) {
    info!(%address, "control API listening");
}

pub(crate) fn control_insecure(address: &Address) {
    warn!(%address, "other hosts can reach the control API without TLS or without a login");
}

/// The name of a caller may come from a certificate, so it is recorded as a string: the log then escapes control characters.
pub(crate) fn call_refused(refusal: &Refusal, peer: &Peer) {
    if let Some(unlogged) = CALLS_REFUSED.admits() {
        warn!(reason = refusal.to_string(), from = peer.address().to_string(), unlogged, "call refused");
    }
}

/// What happens at the listener of the control API, as log lines and as its health.
#[derive(Debug)]
pub(crate) struct ListenerEvents {
    health: HealthReporter,
    connections_closed: Seldom,
    handshakes_failed: Seldom,
}

impl ListenerEvents {
    pub(crate) fn new(health: HealthReporter) -> Self {
        Self { health, connections_closed: Seldom::new(), handshakes_failed: Seldom::new() }
    }
}

impl Observer for ListenerEvents {
    fn notify(&self, event: &Event<'_>) {
        match event {
            Event::AcceptFailed(failure) => {
                // The system's error cannot be cloned.
                let failure = std::io::Error::new(failure.kind(), failure.to_string());
                let failure = TelemetryError::system("take a connection to the control API", failure);
                error!(error = report(&failure), "cannot accept connections to the control API; retrying");
                self.health.failing(HealthStatus::Degraded, &failure);
            }
            Event::Accepting => self.health.serving(),
            Event::TooManyConnections { max } => {
                if let Some(unlogged) = self.connections_closed.admits() {
                    warn!(
                        max,
                        unlogged, "connection closed: there are as many as TELEMETRY_CONTROL__MAX_CONNECTIONS allows"
                    );
                }
            }
            Event::HandshakeFailed { address, error } => {
                if let Some(unlogged) = self.handshakes_failed.admits() {
                    warn!(from = %address, error = report(error), unlogged, "TLS handshake failed");
                }
            }
            Event::Reloaded(Setting::TokensFile) => info!("changed tokens are in force"),
            Event::Reloaded(_) => info!("changed certificates are in force"),
            Event::ReloadFailed(invalid) => {
                let name = |setting: Setting| format!("TELEMETRY_CONTROL__{setting}");
                let (setting, problem) = (name(invalid.setting), invalid.describe(name));
                error!(setting, error = problem, "a changed file cannot be used; what it held before stays in force");
            }
        }
    }
}

/// Lets a log line through now and then, and counts the others.
#[derive(Debug)]
struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// How many were not let through since the last one, if this one is.
    fn admits(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unlogged) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < QUIET) {
            *unlogged += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(unlogged))
    }
}
