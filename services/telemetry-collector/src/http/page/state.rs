//! What the page shows beside messages: health, the interval in force, and the delivery.

use std::time::SystemTime;

use serde::Serialize;
use telemetry_outbox::{Feed, Tally};
use telemetry_proto::v1::HealthResponse;
use telemetry_proto::well_known::{Duration, Timestamp};

use crate::health::HealthReader;
use crate::sampler::SnapshotReader;
use crate::steering::{InForce, Origin, SteeringReader};

/// The handles through which the page sees the collector.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Messages, and what becomes of them.
    pub feed: Feed,
    /// The latest message of each metrics group.
    pub snapshots: SnapshotReader,
    /// The status of each component.
    pub health: HealthReader,
    /// The interval in force.
    pub steering: SteeringReader,
}

/// The content of the event `status`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    #[serde(flatten)]
    pub(super) state: CollectorState,
    /// The time of day at the collector.
    now: Timestamp,
}

/// The state of the collector, in the names and types of the schema where it has them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CollectorState {
    health: HealthResponse,
    interval: IntervalState,
    delivery: DeliveryState,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct IntervalState {
    interval: Duration,
    /// The interval of the settings.
    default_interval: Duration,
    /// Whether the control API has changed it.
    changed: bool,
    effective_since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    reverts_at: Option<Timestamp>,
}

/// How many messages of this start of the collector are in each state.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct DeliveryState {
    pending: u64,
    acknowledged: u64,
    lost: u64,
}

impl CollectorState {
    pub(super) fn of(shown: &Shown) -> Self {
        Self {
            health: HealthResponse::from(&shown.health),
            interval: shown.steering.interval().into(),
            delivery: shown.feed.tally().into(),
        }
    }

    pub(super) fn into_status(self) -> Status {
        Status { state: self, now: SystemTime::now().into() }
    }
}

impl From<InForce> for IntervalState {
    fn from(in_force: InForce) -> Self {
        let InForce { interval, default, origin, since, reverts_at } = in_force;
        Self {
            interval: interval.as_duration().into(),
            default_interval: default.as_duration().into(),
            changed: origin == Origin::Control,
            effective_since: since.into(),
            reverts_at: reverts_at.map(Into::into),
        }
    }
}

impl From<Tally> for DeliveryState {
    fn from(Tally { pending, acknowledged, lost }: Tally) -> Self {
        Self { pending, acknowledged, lost }
    }
}
