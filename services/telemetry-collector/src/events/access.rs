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

static CALLS_REFUSED: Refusals = Refusals::of("control API");
static REQUESTS_REFUSED: Refusals = Refusals::of("HTTP");

pub(crate) fn control_listening(address: &Address) {
    info!(%address, "control API listening");
}

pub(crate) fn control_insecure(address: &Address) {
    warn!(%address, "other hosts can reach the control API without TLS or without a login");
}

pub(crate) fn http_listening(address: &Address) {
    info!(%address, "HTTP listening");
}

pub(crate) fn http_insecure(address: &Address) {
    warn!(%address, "other hosts can reach HTTP without TLS or without a login");
}

pub(crate) fn call_refused(refusal: &Refusal, peer: &Peer) {
    CALLS_REFUSED.tell(refusal, peer);
}

pub(crate) fn request_refused(refusal: &Refusal, peer: &Peer) {
    REQUESTS_REFUSED.tell(refusal, peer);
}

/// Refusals of a service. A flood of one kind does not keep another kind out of the log.
struct Refusals {
    service: &'static str,
    unknown_token: Seldom,
    no_login: Seldom,
    not_allowed: Seldom,
}

impl Refusals {
    const fn of(service: &'static str) -> Self {
        Self { service, unknown_token: Seldom::new(), no_login: Seldom::new(), not_allowed: Seldom::new() }
    }

    /// The name of a caller may come from a certificate, so it is recorded as a string: the log then escapes control characters.
    fn tell(&self, refusal: &Refusal, peer: &Peer) {
        let service = self.service;
        if let Some(unlogged) = self.of_kind(refusal).admits() {
            warn!(service, reason = refusal.to_string(), from = peer.address().to_string(), unlogged, "call refused");
        }
    }

    fn of_kind(&self, refusal: &Refusal) -> &Seldom {
        match refusal {
            Refusal::UnknownToken => &self.unknown_token,
            Refusal::NoLogin => &self.no_login,
            Refusal::NotAllowed { .. } => &self.not_allowed,
        }
    }
}

/// What happens at a listener, as log lines and, for the control API, as its health.
#[derive(Debug)]
pub(crate) struct ListenerEvents {
    /// What is served, as it reads in a sentence.
    service: &'static str,
    /// What the names of its settings begin with.
    section: &'static str,
    health: Option<HealthReporter>,
    connections_closed: Seldom,
    handshakes_failed: Seldom,
}

impl ListenerEvents {
    pub(crate) fn of_control(health: HealthReporter) -> Self {
        Self::new("the control API", "TELEMETRY_CONTROL__", Some(health))
    }

    pub(crate) fn of_http() -> Self {
        Self::new("HTTP", "TELEMETRY_HTTP__", None)
    }

    fn new(service: &'static str, section: &'static str, health: Option<HealthReporter>) -> Self {
        let (connections_closed, handshakes_failed) = (Seldom::new(), Seldom::new());
        Self { service, section, health, connections_closed, handshakes_failed }
    }
}

impl Observer for ListenerEvents {
    fn notify(&self, event: &Event<'_>) {
        let Self { service, section, .. } = self;
        match event {
            Event::AcceptFailed(failure) => {
                // The system's error cannot be cloned.
                let failure = std::io::Error::new(failure.kind(), failure.to_string());
                let failure = TelemetryError::system(format!("take a connection to {service}"), failure);
                error!(error = report(&failure), "cannot accept connections to {service}; retrying");
                if let Some(health) = &self.health {
                    health.failing(HealthStatus::Degraded, &failure);
                }
            }
            Event::Accepting => {
                if let Some(health) = &self.health {
                    health.serving();
                }
            }
            Event::TooManyConnections { max } => {
                if let Some(unlogged) = self.connections_closed.admits() {
                    warn!(
                        max,
                        unlogged,
                        "connection to {service} closed: there are as many as {section}MAX_CONNECTIONS allows"
                    );
                }
            }
            Event::HandshakeFailed { address, error } => {
                if let Some(unlogged) = self.handshakes_failed.admits() {
                    warn!(from = %address, error = report(error), unlogged, "TLS handshake with {service} failed");
                }
            }
            Event::Reloaded(Setting::TokensFile) => info!("changed tokens of {service} are in force"),
            Event::Reloaded(_) => info!("changed certificates of {service} are in force"),
            Event::ReloadFailed(invalid) => {
                let name = |setting: Setting| format!("{section}{setting}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_of_refusal_does_not_hide_another() {
        let refusals = Refusals::of("HTTP");
        let not_allowed =
            Refusal::NotAllowed { caller: String::new(), role: None, needed: telemetry_server::Role::Read };
        assert_eq!(refusals.of_kind(&Refusal::UnknownToken).admits(), Some(0));
        assert_eq!(refusals.of_kind(&Refusal::UnknownToken).admits(), None);
        assert_eq!(refusals.of_kind(&Refusal::NoLogin).admits(), Some(0));
        assert_eq!(refusals.of_kind(&not_allowed).admits(), Some(0));
    }
}
