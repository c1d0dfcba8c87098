//! The status of a collector and of its components.

use std::collections::BTreeMap;
use std::time::SystemTime;

use telemetry_proto::v1::{self as proto, HealthResponse, HealthStatus};

use super::answer::time;
use super::error::ControlError;

/// Health of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Overall status of the collector.
    pub status: HealthStatus,
    /// Its components: sampler, sink, control and, if configured, spool.
    pub components: Vec<ComponentHealth>,
}

/// Health of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// Name of the component: "sampler", "sink", "control" or "spool".
    pub name: String,
    /// Status of the component.
    pub status: HealthStatus,
    /// When the component changed to this status, by the clock of the collector's host. `None` if the collector does not
    /// say.
    pub since: Option<SystemTime>,
    /// The last error of the component, kept after it has recovered. `None` if there was none.
    pub last_error: Option<String>,
    /// What the component has counted since the collector started, by name ("samples"). Empty for a collector of schema
    /// 1.0.0.
    pub counters: BTreeMap<String, u64>,
}

impl Health {
    /// Health of the component of this name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&ComponentHealth> {
        self.components.iter().find(|component| component.name == name)
    }

    pub(super) fn from_answer(call: &'static str, answer: HealthResponse) -> Result<Self, ControlError> {
        let status = answer.status();
        let components = answer.components.into_iter().map(|component| ComponentHealth::from_answer(call, component));
        Ok(Self { status, components: components.collect::<Result<_, _>>()? })
    }
}

impl ComponentHealth {
    fn from_answer(call: &'static str, component: proto::ComponentHealth) -> Result<Self, ControlError> {
        Ok(Self {
            status: component.status(),
            since: time(call, component.since)?,
            name: component.name,
            last_error: component.last_error,
            counters: component.counters.into_iter().collect(),
        })
    }
}
