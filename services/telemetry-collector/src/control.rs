//! The control API over gRPC. It reads and changes the running collector through handles and knows no other part of it.

mod access;
mod calls;
mod capabilities;
mod grpc_health;
mod interval;
mod server;
mod settings;
mod watch;

use std::time::Duration;

use telemetry_proto::v1::control_service_server::ControlService;
use telemetry_proto::v1::{
    CpuMetrics, GetCapabilitiesRequest, GetCapabilitiesResponse, GetConfigRequest, GetConfigResponse,
    GetSnapshotRequest, GetSnapshotResponse, GroupSnapshot, HealthRequest, HealthResponse, ResetIntervalRequest,
    ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse, WatchSnapshotsRequest,
};
use telemetry_proto::well_known;
use tonic::{Request, Response, Status};

pub use self::access::WithoutLogin;
pub use self::server::{CallLimits, Serving, serve};
pub use self::settings::Settings;
pub use self::watch::Watches;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::health::HealthReader;
use crate::sampler::{Snapshot, SnapshotReader};
use crate::steering::Steering;

/// `telemetry.v1.ControlService` on top of handles.
#[derive(Debug, Clone)]
pub struct Control {
    snapshots: SnapshotReader,
    steering: Steering,
    health: HealthReader,
    watches: Watches,
    settings: Settings,
}

impl Control {
    /// A control API that uses these handles.
    #[must_use]
    pub fn new(
        snapshots: SnapshotReader,
        steering: Steering,
        health: HealthReader,
        watches: Watches,
        settings: Settings,
    ) -> Self {
        Self { snapshots, steering, health, watches, settings }
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    async fn get_snapshot(
        &self,
        request: Request<GetSnapshotRequest>,
    ) -> Result<Response<GetSnapshotResponse>, Status> {
        let snapshots = match request.into_inner().max_age {
            None => self.snapshots.latest(),
            Some(max_age) => self.snapshots.no_older_than(not_negative("max_age", max_age)?).await?,
        };
        let snapshots: Vec<_> = snapshots.iter().map(GroupSnapshot::from).collect();
        let single = for_older_clients(&snapshots)
            .ok_or_else(|| TelemetryError::collection("a snapshot", "no sample has been taken yet"))?;
        let (message, age) = (single.message.clone(), single.age);
        Ok(Response::new(GetSnapshotResponse { message, age, snapshots }))
    }

    type WatchSnapshotsStream = watch::WatchStream;

    async fn watch_snapshots(
        &self,
        request: Request<WatchSnapshotsRequest>,
    ) -> Result<Response<Self::WatchSnapshotsStream>, Status> {
        Ok(Response::new(self.watches.open(request.into_inner().delivery)?))
    }

    async fn set_interval(
        &self,
        request: Request<SetIntervalRequest>,
    ) -> Result<Response<SetIntervalResponse>, Status> {
        let caller = interval::caller_of(&request);
        let changed = self.steering.set(interval::change(request.into_inner())?, caller)?;
        Ok(Response::new(changed.into()))
    }

    async fn reset_interval(
        &self,
        request: Request<ResetIntervalRequest>,
    ) -> Result<Response<ResetIntervalResponse>, Status> {
        let caller = interval::caller_of(&request);
        let changed = self.steering.reset(request.into_inner().reason, caller)?;
        Ok(Response::new(changed.into()))
    }

    async fn get_capabilities(
        &self,
        _request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Ok(Response::new(capabilities::of(&self.snapshots.groups())?))
    }

    async fn get_config(&self, _request: Request<GetConfigRequest>) -> Result<Response<GetConfigResponse>, Status> {
        Ok(Response::new(self.settings.with_interval(self.steering.reader().interval())))
    }

    async fn health(&self, _request: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(HealthResponse::from(&self.health)))
    }
}

fn not_negative(field: &str, wire: well_known::Duration) -> TelemetryResult<Duration> {
    Duration::try_from(wire).map_err(|_| TelemetryError::setting(field, format!("{wire} is not a duration from 0s")))
}

/// The snapshot for clients of schema 1.0.0, which read only one: the one of the group "cpu", or else the newest.
fn for_older_clients(snapshots: &[GroupSnapshot]) -> Option<&GroupSnapshot> {
    let age = |snapshot: &&GroupSnapshot| snapshot.age.map(|age| (age.seconds, age.nanos));
    snapshots.iter().find(|snapshot| snapshot.group == CpuMetrics::GROUP).or_else(|| snapshots.iter().min_by_key(age))
}

impl From<&Snapshot> for GroupSnapshot {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            group: snapshot.group.to_owned(),
            message: Some((*snapshot.message).clone()),
            age: Some(snapshot.age().into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn snapshot(group: &str, age_ms: u64) -> GroupSnapshot {
        GroupSnapshot { group: group.to_owned(), message: None, age: Some(Duration::from_millis(age_ms).into()) }
    }

    fn group_for_older_clients(snapshots: &[GroupSnapshot]) -> &str {
        &for_older_clients(snapshots).unwrap().group
    }

    #[test]
    fn older_clients_get_the_cpu_group_whatever_its_age() {
        assert_eq!(
            group_for_older_clients(&[snapshot("battery", 1), snapshot("cpu", 9000), snapshot("disk", 2)]),
            "cpu"
        );
    }

    #[test]
    fn older_clients_get_the_newest_group_when_there_is_no_cpu_group() {
        let snapshots = [snapshot("battery", 1300), snapshot("disk", 200), snapshot("memory", 1100)];
        assert_eq!(group_for_older_clients(&snapshots), "disk");
        assert!(for_older_clients(&[]).is_none());
    }
}
