//! Compares `GetSnapshot` with a bare tonic server that returns the same message.
//!
//! `cargo bench -p telemetry-collector --bench control` needs a `redis-server` on the PATH. Every server runs on one thread of
//! this process, as the collector does, and is called in turn, because the speed of a shared machine varies. The processor time
//! of a call is that of the server's thread.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
use telemetry_testing::{RedisServer, eventually};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 4;
const CALLS_AT_A_TIME: usize = 8;

/// A running server.
struct Running {
    name: &'static str,
    url: String,
    /// What the scheduler says of its thread.
    schedstat: PathBuf,
    rounds: Vec<Round>,
}

/// What one server did in one round.
struct Round {
    calls_per_second: f64,
    cpu_us_per_call: f64,
}

/// Returns one message and does nothing else.
struct Bare(GetSnapshotResponse);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let redis = RedisServer::start().await;
    let collector = start("collector", {
        let redis_url = redis.url();
        move |started| collect(redis_url, started)
    });
    let snapshot = first_snapshot(&collector.url).await;
    println!("GetSnapshot, {CONNECTIONS} connections, {CALLS_AT_A_TIME} calls at a time on each");
    let bare = start("bare tonic", move |started| serve_bare(snapshot, started));
    let mut servers = [bare, collector];
    for _ in 0..ROUNDS {
        for server in &mut servers {
            let round = measure(server).await;
            server.rounds.push(round);
        }
    }
    let [bare, _] = &servers;
    for server in &servers {
        let calls = median(server.rounds.iter().map(|round| round.calls_per_second));
        let cpu = median(server.rounds.iter().map(|round| round.cpu_us_per_call));
        let pairs = server.rounds.iter().zip(&bare.rounds);
        let ratio = median(pairs.map(|(round, bare)| round.calls_per_second / bare.calls_per_second));
        println!("{:12} {calls:8.0} calls/s {cpu:6.1} us of CPU a call {ratio:6.3} of bare tonic", server.name);
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
    Running { name, url: has_started.recv().unwrap(), schedstat, rounds: Vec::new() }
}

async fn collect(redis_url: String, started: Sender<String>) {
    let vars = [("TELEMETRY_REDIS__URL", redis_url.as_str()), ("TELEMETRY_CONTROL__LISTEN", "127.0.0.1:0")];
    let config = Config::from_vars(vars.map(|(name, value)| (name.into(), value.into()))).unwrap();
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

async fn first_snapshot(url: &str) -> GetSnapshotResponse {
    let mut client = ControlServiceClient::connect(url.to_owned()).await.unwrap();
    let mut snapshot = None;
    eventually("there is a sample", async || {
        snapshot = client.get_snapshot(GetSnapshotRequest::default()).await.ok();
        snapshot.is_some()
    })
    .await;
    snapshot.unwrap().into_inner()
}

async fn measure(server: &Running) -> Round {
    let calls = Arc::new(AtomicU64::new(0));
    let endpoint = Channel::from_shared(server.url.clone()).unwrap();
    let channels = join_all((0..CONNECTIONS).map(|_| endpoint.connect())).await;
    let (began, cpu_before) = (Instant::now(), cpu_time(server));
    let callers =
        channels.iter().flat_map(|channel| vec![channel.as_ref().unwrap().clone(); CALLS_AT_A_TIME]).map(|channel| {
            let calls = Arc::clone(&calls);
            async move {
                let mut client = ControlServiceClient::new(channel);
                while began.elapsed() < ROUND {
                    client.get_snapshot(GetSnapshotRequest::default()).await.unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    join_all(callers).await;
    let calls = calls.load(Ordering::Relaxed) as f64;
    let cpu = cpu_time(server) - cpu_before;
    Round { calls_per_second: calls / began.elapsed().as_secs_f64(), cpu_us_per_call: cpu.as_secs_f64() * 1e6 / calls }
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
