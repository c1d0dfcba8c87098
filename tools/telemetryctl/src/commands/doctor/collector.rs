//! The collector itself: whether it answers, its settings, its health.

use std::time::{Duration, Instant, SystemTime};

use telemetry_client::control::{Capabilities, Config, Health, Snapshot};
use telemetry_client::{ControlClient, ControlError};
use telemetry_proto::v1::{HealthStatus, SettingOrigin};
use tokio::time::timeout;

use super::check::Check;
use crate::failure::Failure;
use crate::output::health_name;

/// Settings that open a listener to everybody.
const INSECURE: [&str; 2] = ["TELEMETRY_CONTROL__INSECURE", "TELEMETRY_HTTP__INSECURE"];

/// A counter of the sink that should stay 0.
struct Loss {
    counter: &'static str,
    what: &'static str,
    remedy: &'static str,
}

const LOSSES: [Loss; 2] = [
    Loss {
        counter: "messages_lost",
        what: "were lost",
        remedy: "raise TELEMETRY_OUTBOX__MAX_BYTES, or set TELEMETRY_SPOOL__DIR; telemetryctl tail shows the gap records",
    },
    Loss {
        counter: "messages_trimmed",
        what: "were trimmed from the queue before a consumer took them",
        remedy: "add consumers, or raise TELEMETRY_REDIS__MAX_LENGTH",
    },
];

/// What the collector says of itself.
pub(super) struct Facts {
    pub(super) config: Result<Config, Failure>,
    pub(super) health: Health,
    pub(super) capabilities: Result<Capabilities, Failure>,
    pub(super) snapshot: Result<Snapshot, Failure>,
    /// When the snapshot came, and how long that took.
    pub(super) snapshot_at: (SystemTime, Duration),
}

impl Facts {
    /// Asks the collector for everything. One that does not even tell its health does not answer.
    pub(super) async fn gather(client: &ControlClient, limit: Duration) -> Result<Self, Failure> {
        let health = within(limit, client.health()).await?;
        let config = within(limit, client.config()).await;
        let capabilities = within(limit, client.capabilities()).await;
        let asked = Instant::now();
        let snapshot = within(limit, client.snapshot()).await;
        Ok(Self { config, health, capabilities, snapshot, snapshot_at: (SystemTime::now(), asked.elapsed()) })
    }

    /// The value of a setting, if it has one.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let setting = self.config.as_ref().ok()?.setting(name)?;
        Some(setting.value.as_str()).filter(|value| !value.is_empty())
    }
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![Check::ok("collector", "answers")];
    checks.extend(settings(facts));
    checks.extend(health(&facts.health));
    checks.extend(losses(&facts.health));
    checks
}

/// Messages that did not reach a consumer since the collector started.
fn losses(health: &Health) -> Vec<Check> {
    let Some(sink) = health.component("sink") else { return Vec::new() };
    LOSSES.iter().filter_map(|loss| loss.check(sink.counters.get(loss.counter).copied().unwrap_or_default())).collect()
}

impl Loss {
    fn check(&self, count: u64) -> Option<Check> {
        let message = || format!("{count} messages {} since the collector started", self.what);
        (count > 0).then(|| Check::warn("delivery", message(), self.remedy))
    }
}

fn settings(facts: &Facts) -> Vec<Check> {
    let config = match &facts.config {
        Ok(config) => config,
        Err(failure) => {
            return vec![Check::warn(
                "settings",
                &failure.message,
                failure.remedy.unwrap_or("look at the collector's log"),
            )];
        }
    };
    let count = |origin| config.settings.iter().filter(|setting| setting.origin == origin).count();
    let (environment, file) = (count(SettingOrigin::Environment), count(SettingOrigin::File));
    let mut checks = vec![Check::ok(
        "settings",
        format!("{environment} from the environment, {file} from files, the rest by default"),
    )];
    for setting in config.settings.iter().filter(|setting| setting.origin == SettingOrigin::Control) {
        if setting.reverts_at.is_none() {
            let message = format!("{} is {} until the next change", setting.name, setting.value);
            checks.push(Check::warn("settings", message, "telemetryctl interval reset returns to the settings"));
        }
    }
    for name in INSECURE {
        if facts.setting(name) == Some("true") {
            let message = format!("{name} is true: others may listen in and connect");
            checks.push(Check::warn("settings", message, "set up TLS and a login instead"));
        }
    }
    checks
}

fn health(health: &Health) -> Vec<Check> {
    let check = |component: &telemetry_client::control::ComponentHealth| {
        let error = component.last_error.as_deref().unwrap_or("no error was reported");
        let message = format!("{} is {}", component.name, health_name(component.status));
        match component.status {
            HealthStatus::Serving => Check::ok("health", message),
            HealthStatus::NotServing => Check::fail("health", format!("{message}: {error}"), remedy(&component.name)),
            _ => Check::warn("health", format!("{message}: {error}"), remedy(&component.name)),
        }
    };
    health.components.iter().map(check).collect()
}

fn remedy(component: &str) -> &'static str {
    match component {
        "sink" => "see the lines about redis",
        "spool" => "see the line about the disk",
        "state_file" => "check TELEMETRY_CONTROL__STATE_FILE and its directory",
        _ => "look at the collector's log",
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, ControlError>>) -> Result<T, Failure> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::timed_out(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn warns_of_messages_that_did_not_reach_a_consumer() {
        for loss in LOSSES {
            assert_eq!(loss.check(0), None);
            assert_eq!(loss.check(3).map(|check| check.verdict), Some(Verdict::Warn), "{}", loss.counter);
        }
    }
}
