//! The control API over gRPC: reads and steers the running collector through handles, and knows nothing else of it.

use std::time::Duration;

use telemetry_proto::v1::control_service_server::{ControlService, ControlServiceServer};
use telemetry_proto::v1::{
    FILE_DESCRIPTOR_SET, GetSnapshotRequest, GetSnapshotResponse, HealthRequest, HealthResponse, HealthStatus,
    SetIntervalRequest, SetIntervalResponse,
};
use telemetry_proto::well_known;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;

use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::{ComponentState, HealthReader, HealthReporter};
use crate::interval::Interval;
use crate::sampler::{SamplerHandle, SnapshotReader};

/// Longest time that a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it is still there.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(60);

/// `telemetry.v1.ControlService` over the handles it is given.
#[derive(Debug, Clone)]
pub struct Control {
    snapshots: SnapshotReader,
    sampler: SamplerHandle,
    health: HealthReader,
}

impl Control {
    /// A control API that reads and steers through these handles.
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
        let snapshot = self
            .snapshots
            .latest()
            .ok_or_else(|| TelemetryError::collection("a snapshot", "no sample has been taken yet"))?;
        let age = wire_duration("age", snapshot.age())?;
        Ok(Response::new(GetSnapshotResponse { message: Some((*snapshot.message).clone()), age: Some(age) }))
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
            previous_interval: Some(wire_duration("interval", previous.as_duration())?),
            interval: Some(wire_duration("interval", interval.as_duration())?),
        }))
    }

    async fn health(&self, _request: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(HealthResponse::from(&self.health)))
    }
}

/// Serves `control`, `grpc.health.v1` and reflection on `listener` until `shutdown`, then finishes the calls under way.
///
/// # Errors
/// [`System`](TelemetryError::System) when the listener fails.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    reporter: HealthReporter,
    shutdown: CancellationToken,
) -> TelemetryResult<()> {
    if let Ok(address) = listener.local_addr() {
        events::control_listening(address);
    }
    let (health_reporter, health_service) = tonic_health::server::health_reporter();
    let mirror = mirror_health(control.health.clone(), health_reporter);
    let server = Server::builder()
        .timeout(CALL_TIMEOUT)
        .http2_keepalive_interval(Some(KEEPALIVE_PERIOD))
        .add_service(ControlServiceServer::new(control))
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(unusable_descriptors)?)
        .add_service(reflection().build_v1alpha().map_err(unusable_descriptors)?)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown.cancelled());
    reporter.serving();

    tokio::select! {
        served = server => served.map_err(|error| {
            TelemetryError::system("serve the control API", std::io::Error::other(error))
        }),
        () = mirror => Ok(()),
    }
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
    TelemetryError::system("describe the control API", std::io::Error::other(error))
}

/// Keeps `grpc.health.v1` as the board is; ends only with the collector.
async fn mirror_health(mut health: HealthReader, reporter: tonic_health::server::HealthReporter) {
    loop {
        let whole = if health.is_live() { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", whole).await;
        for state in health.states() {
            reporter.set_service_status(state.component.name(), serving_status(&state)).await;
        }
        if !health.changed().await {
            return;
        }
    }
}

fn serving_status(state: &ComponentState) -> ServingStatus {
    match state.status {
        HealthStatus::Serving | HealthStatus::Degraded => ServingStatus::Serving,
        HealthStatus::Starting | HealthStatus::NotServing | HealthStatus::Unspecified => ServingStatus::NotServing,
    }
}

fn wire_duration(what: &str, span: Duration) -> TelemetryResult<well_known::Duration> {
    span.try_into().map_err(|error: prost_types::DurationError| TelemetryError::collection(what, error))
}
