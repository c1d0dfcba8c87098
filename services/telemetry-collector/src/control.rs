//! The control API over gRPC. It reads and changes the running collector through handles and knows no other part of it.

use std::io;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use telemetry_proto::v1::control_service_server::{ControlService, ControlServiceServer};
use telemetry_proto::v1::{
    CpuMetrics, FILE_DESCRIPTOR_SET, GetSnapshotRequest, GetSnapshotResponse, GroupSnapshot, HealthRequest,
    HealthResponse, HealthStatus, SetIntervalRequest, SetIntervalResponse,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;

use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::{ComponentState, HealthReader, HealthReporter};
use crate::interval::Interval;
use crate::sampler::{SamplerHandle, Snapshot, SnapshotReader};

/// Name of the whole process in `grpc.health.v1`.
const WHOLE: &str = "";
/// Highest number of concurrent calls on one connection.
const MAX_CALLS_PER_CONNECTION: u32 = 64;
/// Wait after a connection could not be accepted.
const ACCEPT_RETRY_PERIOD: Duration = Duration::from_millis(100);
/// Timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an idle connection is pinged.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(60);

/// `telemetry.v1.ControlService` on top of handles.
#[derive(Debug, Clone)]
pub struct Control {
    snapshots: SnapshotReader,
    sampler: SamplerHandle,
    health: HealthReader,
}

impl Control {
    /// A control API that uses these handles.
    #[must_use]
    pub fn new(snapshots: SnapshotReader, sampler: SamplerHandle, health: HealthReader) -> Self {
        Self { snapshots, sampler, health }
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    async fn get_snapshot(
        &self,
        _request: Request<GetSnapshotRequest>,
    ) -> Result<Response<GetSnapshotResponse>, Status> {
        let snapshots: Vec<_> = self.snapshots.latest().iter().map(GroupSnapshot::from).collect();
        let single = for_older_clients(&snapshots)
            .ok_or_else(|| TelemetryError::collection("a snapshot", "no sample has been taken yet"))?;
        let (message, age) = (single.message.clone(), single.age);
        Ok(Response::new(GetSnapshotResponse { message, age, snapshots }))
    }

    async fn set_interval(
        &self,
        request: Request<SetIntervalRequest>,
    ) -> Result<Response<SetIntervalResponse>, Status> {
        let wanted = request.into_inner().interval.ok_or_else(|| {
            let problem = format!("is missing; give a duration from {} to {}", Interval::MIN, Interval::MAX);
            TelemetryError::setting("interval", problem)
        })?;
        let interval = Interval::try_from(wanted)?;
        let previous = self.sampler.set_interval(interval);
        Ok(Response::new(SetIntervalResponse {
            previous_interval: Some(previous.as_duration().into()),
            interval: Some(interval.as_duration().into()),
        }))
    }

    async fn health(&self, _request: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(HealthResponse::from(&self.health)))
    }
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

/// Serves `control`, `grpc.health.v1` and reflection on `listener` until `shutdown`, then finishes the calls in progress.
///
/// # Errors
/// [`System`](TelemetryError::System) when the server fails.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    reporter: HealthReporter,
    shutdown: CancellationToken,
) -> TelemetryResult<()> {
    if let Ok(address) = listener.local_addr() {
        events::control_listening(address);
    }
    reporter.serving();
    let (grpc_health, health_service) = tonic_health::server::health_reporter();
    let mirror = mirror_health(control.health.clone(), grpc_health, shutdown.clone());
    let server = Server::builder()
        .timeout(CALL_TIMEOUT)
        .http2_keepalive_interval(Some(KEEPALIVE_PERIOD))
        .max_concurrent_streams(Some(MAX_CALLS_PER_CONNECTION))
        .add_service(ControlServiceServer::new(control))
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(unusable_descriptors)?)
        .add_service(reflection().build_v1alpha().map_err(unusable_descriptors)?)
        .serve_with_incoming_shutdown(accepted(listener, reporter), shutdown.cancelled());
    let (served, ()) = tokio::join!(async { server.await.inspect_err(|_| shutdown.cancel()) }, mirror);
    served.map_err(|error| TelemetryError::system("serve the control API", io::Error::other(error)))
}

/// The connections of `listener`. When accepting fails, usually because no file descriptors are left, it is logged once and
/// retried slowly.
fn accepted(listener: TcpListener, reporter: HealthReporter) -> impl Stream<Item = io::Result<TcpStream>> {
    stream::unfold((listener, reporter), async |(listener, reporter)| {
        let mut failing = false;
        loop {
            match listener.accept().await.and_then(|(stream, _)| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => {
                    if failing {
                        reporter.serving();
                    }
                    return Some((Ok(stream), (listener, reporter)));
                }
                Err(error) => {
                    let error = TelemetryError::system("take a connection to the control API", error);
                    if !std::mem::replace(&mut failing, true) {
                        events::accept_failed(&error);
                    }
                    reporter.failing(HealthStatus::Degraded, &error);
                    sleep(ACCEPT_RETRY_PERIOD).await;
                }
            }
        }
    })
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}

fn unusable_descriptors(error: tonic_reflection::server::Error) -> TelemetryError {
    TelemetryError::system("describe the control API", io::Error::other(error))
}

/// Copies every status to `grpc.health.v1` until `shutdown`, then ends the streams of its watchers.
async fn mirror_health(
    mut health: HealthReader,
    grpc_health: tonic_health::server::HealthReporter,
    shutdown: CancellationToken,
) {
    loop {
        let whole = if health.is_live() { ServingStatus::Serving } else { ServingStatus::NotServing };
        grpc_health.set_service_status(WHOLE, whole).await;
        for state in health.states() {
            grpc_health.set_service_status(state.component.name(), serving_status(&state)).await;
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            true = health.changed() => {}
        }
    }
    let mut grpc_health = grpc_health;
    for service in health.states().iter().map(|state| state.component.name()).chain([WHOLE]) {
        grpc_health.clear_service_status(service).await;
    }
}

fn serving_status(state: &ComponentState) -> ServingStatus {
    match state.status {
        HealthStatus::Serving => ServingStatus::Serving,
        HealthStatus::Starting | HealthStatus::Degraded | HealthStatus::NotServing | HealthStatus::Unspecified => {
            ServingStatus::NotServing
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
