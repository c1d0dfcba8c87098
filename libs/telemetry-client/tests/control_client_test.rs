//! The control client against a small server, plain and behind TLS with a token.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::error::Error;
use std::fs;
use std::future::pending;
use std::time::{Duration, SystemTime};

use telemetry_client::proto::control_service_server::{ControlService, ControlServiceServer};
use telemetry_client::proto::telemetry_message::Payload;
use telemetry_client::proto::{
    ComponentHealth, CoreMetrics, CpuMetrics, GapReason, GapRecord, GetCapabilitiesRequest, GetCapabilitiesResponse,
    GetConfigRequest, GetConfigResponse, GetSnapshotRequest, GetSnapshotResponse, GroupSnapshot, HealthRequest,
    HealthResponse, HealthStatus, ResetIntervalRequest, ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse,
    Stamp, TelemetryData, TelemetryMessage, TelemetryMetadata, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use telemetry_client::{ControlClient, ControlError, ControlSettings};
use telemetry_testing::Authority;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// What the server's answers are.
#[derive(Clone, Default)]
struct Collector {
    message: Option<TelemetryMessage>,
    snapshots: Vec<GroupSnapshot>,
}

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

    type WatchSnapshotsStream = tokio_stream::Empty<Result<WatchSnapshotsResponse, Status>>;

    async fn watch_snapshots(
        &self,
        _: Request<WatchSnapshotsRequest>,
    ) -> Result<Response<Self::WatchSnapshotsStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn reset_interval(
        &self,
        _: Request<ResetIntervalRequest>,
    ) -> Result<Response<ResetIntervalResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn get_config(&self, _: Request<GetConfigRequest>) -> Result<Response<GetConfigResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
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

/// A server's certificate for `localhost`, and the CA certificate to trust it by, both in PEM.
fn certificate() -> (Identity, String) {
    let authority = Authority::new();
    let (cert, key) = authority.certificate("server", &["localhost"]);
    let pem = |file| fs::read_to_string(file).unwrap();
    (Identity::from_pem(pem(cert), pem(key)), pem(authority.ca()))
}

fn message() -> TelemetryMessage {
    let stamp =
        Stamp { message_id: Uuid::now_v7(), instance_id: Uuid::new_v4(), sequence: 8, collected_at: SystemTime::now() };
    TelemetryMessage::new(stamp, GapRecord::new([3..=7], GapReason::OutboxFull))
}

/// A sample of the group "cpu".
fn sample() -> TelemetryMessage {
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

/// A sample of a group that only a newer schema knows.
fn sample_of_newer_group() -> TelemetryMessage {
    let mut message = TelemetryMessage { schema_version: "1.99.0".to_owned(), ..sample() };
    let Some(Payload::Data(data)) = &mut message.payload else { panic!("no data") };
    data.metrics = None;
    message
}

fn snapshot_of(group: &str, message: TelemetryMessage, age_ms: u64) -> GroupSnapshot {
    GroupSnapshot { group: group.to_owned(), message: Some(message), age: Some(Duration::from_millis(age_ms).into()) }
}

/// Serves on a free port until the test ends; behind TLS a token is wanted, too.
async fn serve(message: Option<TelemetryMessage>, tls: Option<Identity>) -> u16 {
    serve_collector(Collector { message, ..Collector::default() }, tls).await
}

async fn serve_collector(collector: Collector, tls: Option<Identity>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = Server::builder();
    let wants_token = tls.is_some();
    if let Some(identity) = tls {
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
    }
    let login = move |request: Request<()>| match request.metadata().get("authorization") {
        Some(token) if wants_token && token == "Bearer s3cret" => Ok(request),
        _ if !wants_token => Ok(request),
        _ => Err(Status::unauthenticated("a token is wanted")),
    };
    let service = ControlServiceServer::with_interceptor(collector, login);
    tokio::spawn(server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

fn plain(port: u16) -> ControlSettings {
    ControlSettings::new(format!("http://127.0.0.1:{port}"))
}

fn client(settings: ControlSettings) -> ControlClient {
    ControlClient::connect_lazily(settings).unwrap()
}

#[tokio::test]
async fn every_call_gives_plain_types() {
    let sent = message();
    let collector = client(plain(serve(Some(sent.clone()), None).await));

    let snapshot = collector.snapshot().await.unwrap();
    assert_eq!((snapshot.message, snapshot.age), (sent, Duration::from_millis(250)));

    let change = collector.set_interval(Duration::from_millis(200)).await.unwrap();
    assert_eq!((change.previous, change.current), (Duration::from_secs(1), Duration::from_millis(200)));

    let health = collector.health().await.unwrap();
    assert_eq!((health.status, health.components[0].name.as_str()), (HealthStatus::Degraded, "sink"));
}

#[tokio::test]
async fn snapshot_returns_the_message_of_each_group() {
    let (cpu, newer) = (sample(), sample_of_newer_group());
    let snapshots = vec![snapshot_of("cpu", cpu.clone(), 250), snapshot_of("pressure", newer.clone(), 4_000)];
    let collector = Collector { message: Some(cpu.clone()), snapshots };
    let snapshot = client(plain(serve_collector(collector, None).await)).snapshot().await.unwrap();

    let groups: Vec<_> = snapshot.groups.iter().map(|snapshot| (snapshot.group.as_str(), snapshot.age)).collect();
    assert_eq!(groups, [("cpu", Duration::from_millis(250)), ("pressure", Duration::from_secs(4))]);
    assert_eq!(snapshot.group("cpu").unwrap().message, cpu);
    assert_eq!(snapshot.group("pressure").unwrap().message, newer);
    assert_eq!(snapshot.group("disk"), None);
    assert_eq!((snapshot.message, snapshot.age), (cpu, Duration::from_millis(250)));
}

#[tokio::test]
async fn a_collector_of_schema_1_0_0_has_the_group_of_its_message() {
    let older = TelemetryMessage { schema_version: "1.0.0".to_owned(), ..sample() };
    let snapshot = client(plain(serve(Some(older.clone()), None).await)).snapshot().await.unwrap();
    let cpu = snapshot.group("cpu").unwrap();
    assert_eq!((snapshot.groups.len(), &cpu.message, cpu.age), (1, &older, Duration::from_millis(250)));
}

#[tokio::test]
async fn a_group_that_breaks_the_schema_is_refused() {
    for (wrong, problem) in [
        (snapshot_of("cpu", TelemetryMessage { sequence: 0, ..sample() }, 1), "sequence: 0 is not a number from 1"),
        (GroupSnapshot { message: None, ..snapshot_of("cpu", sample(), 1) }, "it holds no message"),
        (GroupSnapshot { age: None, ..snapshot_of("cpu", sample(), 1) }, "it lacks a duration"),
    ] {
        let collector = Collector { message: Some(sample()), snapshots: vec![wrong] };
        let error = client(plain(serve_collector(collector, None).await)).snapshot().await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), problem);
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_collector_said() {
    let collector = client(plain(serve(Some(message()), None).await));
    let error = collector.set_interval(Duration::from_secs(7200)).await.unwrap_err();
    assert!(matches!(error, ControlError::Refused { .. }) && !error.is_retryable());
    assert!(error.to_string().contains("2h is not a duration from 100ms to 1h"), "{error}");
}

#[tokio::test]
async fn before_the_first_sample_trying_again_helps() {
    let error = client(plain(serve(None, None).await)).snapshot().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }) && error.is_retryable());
    assert_eq!(error.to_string(), "cannot get the snapshot: not available: no sample yet");
}

#[tokio::test]
async fn an_answer_that_breaks_the_schema_is_refused() {
    let wrong = TelemetryMessage { sequence: 0, ..message() };
    let error = client(plain(serve(Some(wrong), None).await)).snapshot().await.unwrap_err();
    assert!(matches!(error, ControlError::WrongAnswer { .. }));
    assert_eq!(error.source().unwrap().to_string(), "sequence: 0 is not a number from 1");
}

#[tokio::test]
async fn a_call_ends_at_its_time_limit() {
    let port = serve(None, None).await;
    let limit = Duration::from_millis(50);
    let error = client(plain(port).timeouts(limit, limit)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::TimedOut { .. }) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_unavailable() {
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let error = client(plain(free)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot get the health: not available: tcp connect error: Connection refused (os error 111)"
    );
}

/// The server closes each connection after the first bytes of a call.
#[tokio::test]
async fn a_connection_that_breaks_during_a_call_is_unavailable() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            connection.read_exact(&mut [0; 24]).await.unwrap();
        }
    });
    let error = client(plain(port)).health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    assert!(error.to_string().starts_with("cannot get the health: not available: transport error: "), "{error}");
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_and_a_token() {
    let (identity, ca) = certificate();
    let port = serve(Some(message()), Some(identity)).await;
    let settings = ControlSettings::new(format!("https://localhost:{port}")).ca_certificate(ca);

    let welcome = client(settings.clone().bearer_token("s3cret"));
    assert_eq!(welcome.health().await.unwrap().status, HealthStatus::Degraded);

    for unknown in [settings.clone(), settings.clone().bearer_token("guess")] {
        let error = client(unknown).health().await.unwrap_err();
        assert!(matches!(error, ControlError::Unauthenticated { .. }) && !error.is_retryable(), "{error:?}");
    }

    let stranger = settings.bearer_token("s3cret").ca_certificate(certificate().1);
    let error = client(stranger).health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let refused = |settings| ControlClient::connect_lazily(settings).unwrap_err();
    let why = |settings| refused(settings).to_string();
    assert_eq!(why(ControlSettings::new("not a url")), "the address of the control API is wrong");
    assert_eq!(why(plain(1).ca_certificate("PEM")), "the certificate of the control API is wrong");
    assert_eq!(why(plain(1).client_certificate("PEM", "PEM")), "the certificate of the control API is wrong");
    assert_eq!(why(ControlSettings::new("unix:control.sock")), "the address of the control API is wrong");
    assert_eq!(why(plain(1).bearer_token_file("/nowhere/token")), "the token of the control API is wrong");
    assert_eq!(why(plain(1).bearer_token("")), "the token of the control API is wrong");
    let readable = ControlSettings::new("http://collector:1").bearer_token("s3cret");
    assert_eq!(
        refused(readable).source().unwrap().to_string(),
        "beyond loopback a token requires https: plain http would expose it"
    );
    for address in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "unix:///nowhere"] {
        client(ControlSettings::new(address).bearer_token("s3cret"));
    }
}

#[tokio::test]
async fn omits_secrets_from_debug_output() {
    let settings = plain(1).bearer_token("s3cret");
    let shown = format!("{settings:?} {:?}", client(settings.clone()));
    assert!(!shown.contains("s3cret"), "{shown}");
    let settings = ControlSettings::new("https://localhost:1").client_certificate("certificate", "k3y");
    assert!(!format!("{settings:?}").contains("k3y"));
}
