//! A collector of schema 1.0.0, as the real one was: it knows three calls, and ignores what it does not know of a request.

use std::pin::Pin;
use std::time::Duration;

use telemetry_proto::v1::control_service_server::{ControlService, ControlServiceServer};
use telemetry_proto::v1::{
    ComponentHealth, GetCapabilitiesRequest, GetCapabilitiesResponse, GetConfigRequest, GetConfigResponse,
    GetSnapshotRequest, GetSnapshotResponse, HealthRequest, HealthResponse, HealthStatus, ResetIntervalRequest,
    ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A collector of schema 1.0.0 whose health is this.
pub struct OlderCollector(pub HealthStatus);

type Answer<T> = Result<Response<T>, Status>;

impl OlderCollector {
    /// Serves until the test ends; the target.
    pub async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let server = tonic::transport::Server::builder().add_service(ControlServiceServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        target
    }
}

fn unknown<T>() -> Answer<T> {
    Err(Status::unimplemented(""))
}

#[tonic::async_trait]
impl ControlService for OlderCollector {
    type WatchSnapshotsStream = Pin<Box<dyn Stream<Item = Result<WatchSnapshotsResponse, Status>> + Send>>;

    async fn health(&self, _: Request<HealthRequest>) -> Answer<HealthResponse> {
        let sampler = ComponentHealth {
            name: "sampler".to_owned(),
            status: self.0.into(),
            last_error: Some("cpu: \x1b]0;owned\x07".to_owned()),
            ..ComponentHealth::default()
        };
        Ok(Response::new(HealthResponse { status: self.0.into(), components: vec![sampler] }))
    }

    async fn set_interval(&self, request: Request<SetIntervalRequest>) -> Answer<SetIntervalResponse> {
        Ok(Response::new(SetIntervalResponse {
            previous_interval: Some(Duration::from_secs(1).into()),
            interval: request.into_inner().interval,
            ..SetIntervalResponse::default()
        }))
    }

    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Answer<GetSnapshotResponse> {
        Err(Status::unavailable("no sample yet"))
    }

    async fn watch_snapshots(&self, _: Request<WatchSnapshotsRequest>) -> Answer<Self::WatchSnapshotsStream> {
        unknown()
    }

    async fn reset_interval(&self, _: Request<ResetIntervalRequest>) -> Answer<ResetIntervalResponse> {
        unknown()
    }

    async fn get_capabilities(&self, _: Request<GetCapabilitiesRequest>) -> Answer<GetCapabilitiesResponse> {
        unknown()
    }

    async fn get_config(&self, _: Request<GetConfigRequest>) -> Answer<GetConfigResponse> {
        unknown()
    }
}
