//! Compares `GetSnapshot` with a bare tonic server that returns the same message.
//!
//! `cargo bench -p telemetry-collector --bench control` needs a `redis-server` on the PATH. Every server runs on one thread of
//! this process, as the collector does, and is called in turn, because the speed of a shared machine varies. The processor time
//! of a call is that of the server's thread.

#![allow(clippy::unwrap_used, missing_docs)]

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::Empty;
use telemetry_collector::{Config, Service};
use telemetry_process::block_on;
use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_proto::v1::control_service_server::{ControlService, ControlServiceServer};
use telemetry_proto::v1::{
    GetCapabilitiesRequest, GetCapabilitiesResponse, GetConfigRequest, GetConfigResponse, GetSnapshotRequest,
    GetSnapshotResponse, HealthRequest, HealthResponse, ResetIntervalRequest, ResetIntervalResponse,
    SetIntervalRequest, SetIntervalResponse, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use telemetry_testing::{Authority, ClientFiles, RedisServer, eventually};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server};
use tonic::{Request, Response, Status};

const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 4;
const CALLS_AT_A_TIME: usize = 8;
const TOKEN: &str = "secret";
const TOKEN_HASH: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// A running server.
struct Running {
    name: &'static str,
    endpoint: Endpoint,
    /// What callers log in with.
    token: Option<MetadataValue<Ascii>>,
    /// What the scheduler says of its thread.
    schedstat: PathBuf,
    rounds: Vec<Round>,
}

/// What one server did in one round.
struct Round {
    calls_per_second: f64,
    cpu_us_per_call: f64,
}

/// What the listeners of the collectors need.
struct Files {
    cert: PathBuf,
    key: PathBuf,
    tokens: NamedTempFile,
}

/// Returns one message and does nothing else.
struct Bare(GetSnapshotResponse);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let redis = RedisServer::start().await;
    let authority = Authority::new();
    let files = Files::new(&authority);
    let collector = |name, settings: &[(&str, &Path)]| {
        let mut vars = vec![("TELEMETRY_REDIS__URL".into(), redis.url().into())];
        vars.push(("TELEMETRY_CONTROL__LISTEN".into(), "127.0.0.1:0".into()));
        vars.extend(settings.iter().map(|(name, path)| (format!("TELEMETRY_CONTROL__{name}").into(), path.into())));
        start(name, move |started| collect(vars, started))
    };
    let tls = [("TLS_CERT", files.cert.as_path()), ("TLS_KEY", files.key.as_path())];
    let mutual = [tls[0], tls[1], ("TLS_CLIENT_CA", &authority.ca())];
    let tokens = ("TOKENS_FILE", files.tokens.path());
    let plain = collector("collector", &[]);
    let snapshot = first_snapshot(&plain.endpoint).await;
    let bare = start("bare tonic", move |started| serve_bare(snapshot, started));
    let mut servers = [
        bare,
        plain,
        collector("token", &[tokens]).with_token(),
        collector("TLS", &tls).with_tls(&authority, None),
        collector("TLS, token", &[tls[0], tls[1], tokens]).with_tls(&authority, None).with_token(),
        collector("TLS, client certificate", &mutual).with_tls(&authority, Some(authority.client("bench"))),
    ];
    println!("GetSnapshot, {CONNECTIONS} connections, {CALLS_AT_A_TIME} calls at a time on each");
    for _ in 0..ROUNDS {
        for server in &mut servers {
            let round = measure(server).await;
            server.rounds.push(round);
        }
    }
    let bare = &servers[0];
    for server in &servers {
        let calls = median(server.rounds.iter().map(|round| round.calls_per_second));
        let cpu = median(server.rounds.iter().map(|round| round.cpu_us_per_call));
        let pairs = server.rounds.iter().zip(&bare.rounds);
        let ratio = median(pairs.map(|(round, bare)| round.calls_per_second / bare.calls_per_second));
        println!("{:24} {calls:8.0} calls/s {cpu:6.1} us of CPU a call {ratio:6.3} of bare tonic", server.name);
    }
}

/// Runs `server` on a thread of its own. It tells the address that it listens on.
fn start(name: &'static str, server: impl AsyncFnOnce(Sender<String>) + Send + 'static) -> Running {
    let (started, has_started) = mpsc::channel();
    let (told, thread) = mpsc::channel();
    thread::spawn(move || {
        told.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
        block_on(server(started)).unwrap();
    });
    let schedstat = PathBuf::from("/proc").join(thread.recv().unwrap()).join("schedstat");
    let endpoint = Endpoint::from_shared(has_started.recv().unwrap()).unwrap();
    Running { name, endpoint, token: None, schedstat, rounds: Vec::new() }
}

impl Running {
    fn with_token(self) -> Self {
        Self { token: Some(format!("Bearer {TOKEN}").parse().unwrap()), ..self }
    }

    /// Calls it by TLS, as a client that trusts `authority` and has `certificate`.
    fn with_tls(self, authority: &Authority, certificate: Option<ClientFiles>) -> Self {
        let read = |path: &Path| fs::read(path).unwrap();
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&authority.ca())));
        if let Some(ClientFiles { cert: Some(cert), key: Some(key), .. }) = certificate {
            tls = tls.identity(Identity::from_pem(read(&cert), read(&key)));
        }
        let uri = self.endpoint.uri().to_string().replace("http://", "https://");
        Self { endpoint: Endpoint::from_shared(uri).unwrap().tls_config(tls).unwrap(), ..self }
    }
}

impl Files {
    fn new(authority: &Authority) -> Self {
        let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
        let mut tokens = NamedTempFile::new().unwrap();
        writeln!(tokens, "bench read {TOKEN_HASH}").unwrap();
        Self { cert, key, tokens }
    }
}

async fn collect(vars: Vec<(OsString, OsString)>, started: Sender<String>) {
    let config = Config::from_vars(vars).unwrap();
    let service = Service::from_config(&config).await.unwrap();
    started.send(format!("http://{}", service.control_address())).unwrap();
    service.run(CancellationToken::new()).await.unwrap();
}

async fn serve_bare(snapshot: GetSnapshotResponse, started: Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    started.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(ControlServiceServer::new(Bare(snapshot)))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

async fn first_snapshot(endpoint: &Endpoint) -> GetSnapshotResponse {
    let mut client = ControlServiceClient::connect(endpoint.clone()).await.unwrap();
    let mut snapshot = None;
    eventually("there is a sample", async || {
        snapshot = client.get_snapshot(GetSnapshotRequest::default()).await.ok();
        snapshot.is_some()
    })
    .await;
    snapshot.unwrap().into_inner()
}

async fn measure(server: &Running) -> Round {
    let channels = join_all((0..CONNECTIONS).map(|_| server.endpoint.connect())).await;
    let (began, cpu_before) = (Instant::now(), cpu_time(server));
    let channels = channels.iter().flat_map(|channel| vec![channel.as_ref().unwrap(); CALLS_AT_A_TIME]);
    let calls: u64 = join_all(channels.map(|channel| call(server, channel.clone(), began))).await.iter().sum();
    let (took, cpu) = (began.elapsed(), cpu_time(server) - cpu_before);
    let calls = calls as f64;
    Round { calls_per_second: calls / took.as_secs_f64(), cpu_us_per_call: cpu.as_secs_f64() * 1e6 / calls }
}

/// Calls `server` until the end of the round. Returns how often.
async fn call(server: &Running, channel: Channel, began: Instant) -> u64 {
    let mut client = ControlServiceClient::new(channel);
    let mut calls = 0;
    while began.elapsed() < ROUND {
        let mut request = Request::new(GetSnapshotRequest::default());
        if let Some(token) = &server.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        client.get_snapshot(request).await.unwrap();
        calls += 1;
    }
    calls
}

/// Processor time that the thread of `server` has used.
fn cpu_time(server: &Running) -> Duration {
    let schedstat = fs::read_to_string(&server.schedstat).unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tonic::async_trait]
impl ControlService for Bare {
    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Result<Response<GetSnapshotResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    type WatchSnapshotsStream = Empty<Result<WatchSnapshotsResponse, Status>>;

    async fn watch_snapshots(
        &self,
        _: Request<WatchSnapshotsRequest>,
    ) -> Result<Response<Self::WatchSnapshotsStream>, Status> {
        Err(not_measured())
    }

    async fn set_interval(&self, _: Request<SetIntervalRequest>) -> Result<Response<SetIntervalResponse>, Status> {
        Err(not_measured())
    }

    async fn reset_interval(
        &self,
        _: Request<ResetIntervalRequest>,
    ) -> Result<Response<ResetIntervalResponse>, Status> {
        Err(not_measured())
    }

    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Err(not_measured())
    }

    async fn get_config(&self, _: Request<GetConfigRequest>) -> Result<Response<GetConfigResponse>, Status> {
        Err(not_measured())
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Err(not_measured())
    }
}

fn not_measured() -> Status {
    Status::unimplemented("only GetSnapshot is measured")
}
