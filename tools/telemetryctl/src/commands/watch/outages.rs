//! When outages of components begin and end.

use std::collections::BTreeSet;

use telemetry_client::control::Health;
use telemetry_proto::v1::HealthStatus;

use crate::output::{clean, health_name};

/// The components of a collector that do not serve.
#[derive(Debug, Clone, Default)]
pub(super) struct Outages(BTreeSet<String>);

impl Outages {
    /// A line for each component whose outage has begun or ended.
    pub(super) fn changes(&mut self, health: &Health) -> Vec<String> {
        let change = |component: &telemetry_client::control::ComponentHealth| {
            self.change(&component.name, component.status, component.last_error.as_deref())
        };
        health.components.iter().filter_map(change).collect()
    }

    fn change(&mut self, name: &str, status: HealthStatus, error: Option<&str>) -> Option<String> {
        match status {
            HealthStatus::Degraded | HealthStatus::NotServing => {
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                let is_new = self.0.insert(name.to_owned());
                is_new.then(|| clean(&format!("HEALTH: {name} is {}{error}", health_name(status))))
            }
            HealthStatus::Serving => self.0.remove(name).then(|| clean(&format!("HEALTH: {name} is serving again"))),
            HealthStatus::Starting | HealthStatus::Unspecified => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_beginning_and_the_end_of_an_outage_once() {
        let mut outages = Outages::default();
        let mut change = |status, error| outages.change("sink", status, error);
        assert_eq!(change(HealthStatus::Serving, None), None);
        let begun = change(HealthStatus::Degraded, Some("refused"));
        assert_eq!(begun.as_deref(), Some("HEALTH: sink is degraded: refused"));
        assert_eq!(change(HealthStatus::Degraded, Some("refused")), None);
        assert_eq!(change(HealthStatus::Serving, Some("refused")).as_deref(), Some("HEALTH: sink is serving again"));
        assert_eq!(change(HealthStatus::Serving, None), None);
    }
}
