//! A server that answers as a test wants, and what it answers.

use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use telemetry_client::proto::control_service_server::{ControlService, ControlServiceServer};
use telemetry_client::proto::{
    ComponentHealth, CoreMetrics, CpuMetrics, GapReason, GapRecord, GetCapabilitiesRequest, GetCapabilitiesResponse,
    GetConfigRequest, GetConfigResponse, GetSnapshotRequest, GetSnapshotResponse, GroupSnapshot, HealthRequest,
    HealthResponse, HealthStatus, ResetIntervalRequest, ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse,
    Stamp, TelemetryData, TelemetryMessage, TelemetryMetadata, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use telemetry_client::{ControlClient, ControlSettings};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

/// What the server's answers are.
#[derive(Clone, Default)]
pub struct Collector {
    pub message: Option<TelemetryMessage>,
    pub snapshots: Vec<GroupSnapshot>,
    /// What a watch tells before it ends.
    pub events: Vec<WatchSnapshotsResponse>,
    /// What each call is refused with.
    pub refusal: Option<Code>,
    /// The value of the header `authorization` that is wanted.
    pub login: Option<Arc<Mutex<String>>>,
}

impl Collector {
    /// A collector whose latest message is `message`.
    pub fn with(message: TelemetryMessage) -> Self {
        Self { message: Some(message), ..Self::default() }
    }

    /// Serves on a free port until the test ends.
    pub async fn serve(self) -> u16 {
        self.serve_by(Server::builder()).await
    }

    /// Serves with TLS.
    pub async fn serve_tls(self, tls: ServerTlsConfig) -> u16 {
        self.serve_by(Server::builder().tls_config(tls).unwrap()).await
    }

    async fn serve_by(self, mut server: Server) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.add_service(self.service());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        port
    }

    /// Serves on a Unix socket.
    pub fn serve_unix(self, path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        let server = Server::builder().add_service(self.service());
        tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    }

    fn service(self) -> InterceptedService<ControlServiceServer<Self>, impl Interceptor + Clone> {
        let (login, refusal) = (self.login.clone(), self.refusal);
        let admit = move |request: Request<()>| {
            if let Some(code) = refusal {
                return Err(Status::new(code, "not today"));
            }
            let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
            match &login {
                Some(wanted) if shown != Some(&*wanted.lock().unwrap()) => {
                    Err(Status::unauthenticated("who is there?"))
                }
                _ => Ok(request),
            }
        };
        ControlServiceServer::with_interceptor(self, admit)
    }
}

/// As a collector of schema 1.0.0, but for watches.
#[tonic::async_trait]
impl ControlService for Collector {
    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Result<Response<GetSnapshotResponse>, Status> {
        let message = self.message.clone().ok_or_else(|| Status::unavailable("no sample yet"))?;
        let age = Some(Duration::from_millis(250).into());
        Ok(Response::new(GetSnapshotResponse { message: Some(message), age, snapshots: self.snapshots.clone() }))
    }

    async fn set_interval(
        &self,
        request: Request<SetIntervalRequest>,
    ) -> Result<Response<SetIntervalResponse>, Status> {
        let interval = request.into_inner().interval;
        if interval.is_none_or(|interval| interval.seconds >= 3600) {
            return Err(Status::invalid_argument("interval: 2h is not a duration from 100ms to 1h"));
        }
        let previous_interval = Some(Duration::from_secs(1).into());
        Ok(Response::new(SetIntervalResponse { previous_interval, interval, ..SetIntervalResponse::default() }))
    }

    type WatchSnapshotsStream = tokio_stream::Iter<std::vec::IntoIter<Result<WatchSnapshotsResponse, Status>>>;

    async fn watch_snapshots(
        &self,
        _: Request<WatchSnapshotsRequest>,
    ) -> Result<Response<Self::WatchSnapshotsStream>, Status> {
        let events: Vec<_> = self.events.iter().cloned().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(events)))
    }

    async fn reset_interval(
        &self,
        _: Request<ResetIntervalRequest>,
    ) -> Result<Response<ResetIntervalResponse>, Status> {
        Err(Status::unimplemented("this is schema 1.0.0"))
    }

    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented("this is schema 1.0.0"))
    }

    async fn get_config(&self, _: Request<GetConfigRequest>) -> Result<Response<GetConfigResponse>, Status> {
        Err(Status::unimplemented("this is schema 1.0.0"))
    }

    /// Hangs when there is no message.
    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        if self.message.is_none() {
            pending::<()>().await;
        }
        let sink = ComponentHealth { name: "sink".to_owned(), ..ComponentHealth::default() };
        Ok(Response::new(HealthResponse { status: HealthStatus::Degraded.into(), components: vec![sink] }))
    }
}

pub fn message() -> TelemetryMessage {
    let stamp =
        Stamp { message_id: Uuid::now_v7(), instance_id: Uuid::new_v4(), sequence: 8, collected_at: SystemTime::now() };
    TelemetryMessage::new(stamp, GapRecord::new([3..=7], GapReason::OutboxFull))
}

/// A sample of the group "cpu".
pub fn sample() -> TelemetryMessage {
    let metadata = TelemetryMetadata {
        hostname: "web-7".to_owned(),
        collector_version: "0.1.0".to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::now().into()),
        collection_duration: Some(Duration::ZERO.into()),
        ..TelemetryMetadata::default()
    };
    let cpu = CpuMetrics::new(vec![CoreMetrics::new(0)]);
    TelemetryMessage { payload: Some(TelemetryData::new(metadata, cpu).into()), ..message() }
}

/// Settings for a server without TLS.
pub fn plain(port: u16) -> ControlSettings {
    ControlSettings::new(format!("http://127.0.0.1:{port}"))
}

pub fn client(settings: ControlSettings) -> ControlClient {
    ControlClient::connect_lazily(settings).unwrap()
}
