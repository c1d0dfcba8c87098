//! Tests of the service with fake parts, for behaviour that real parts show too rarely.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use telemetry_collector::clock::WallClock;
use telemetry_collector::collectors::TelemetryCollector;
use telemetry_collector::control::{Serving, Settings};
use telemetry_collector::models::{CoreMetrics, CpuMetrics, TelemetryMetadata, TelemetryMetrics};
use telemetry_collector::publishers::{Acknowledgement, Receipt, TelemetryPublisher};
use telemetry_collector::service::{Parts, Service};
use telemetry_collector::steering::SteeringSettings;
use telemetry_collector::{TelemetryError, TelemetryResult};
use telemetry_outbox::{Batch, Encoding, OnFull, OutboxSettings, SpoolSettings, SyncPolicy};
use telemetry_proto::v1::GetSnapshotRequest;
use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_redis::RetrySettings;
use telemetry_server::Address;
use telemetry_settings::InForce;
use telemetry_testing::eventually;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;

/// A collector that calls a closure.
struct Scripted<F>(F);

#[async_trait]
impl<F: FnMut() -> TelemetryResult<CpuMetrics> + Send> TelemetryCollector for Scripted<F> {
    fn name(&self) -> &'static str {
        "cpu"
    }

    async fn collect(&mut self) -> TelemetryResult<TelemetryMetrics> {
        (self.0)().map(TelemetryMetrics::Cpu)
    }
}

/// A publisher that records sequence numbers.
#[derive(Default)]
struct Recording {
    taken: Mutex<Vec<u64>>,
    closed: Mutex<bool>,
}

#[async_trait]
impl TelemetryPublisher for Recording {
    fn destination(&self) -> &str {
        "memory"
    }

    async fn publish_batch(&self, batch: &Batch) -> TelemetryResult<Receipt> {
        self.taken.lock().unwrap().extend(batch.messages.iter().map(|message| message.sequence));
        Ok(Receipt::Taken(Acknowledgement::default()))
    }

    async fn health_check(&self) -> TelemetryResult<()> {
        Ok(())
    }

    async fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }
}

struct Running {
    address: Address,
    publisher: Arc<Recording>,
    shutdown: CancellationToken,
    task: JoinHandle<TelemetryResult<()>>,
}

impl Running {
    async fn start(collect: impl FnMut() -> TelemetryResult<CpuMetrics> + Send + 'static) -> Self {
        Self::start_with(None, collect).await
    }

    async fn start_with(
        spool: Option<SpoolSettings>,
        collect: impl FnMut() -> TelemetryResult<CpuMetrics> + Send + 'static,
    ) -> Self {
        let publisher = Arc::new(Recording::default());
        let shutdown = CancellationToken::new();
        let service = Service::new(Parts {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap().try_into().unwrap(),
            serving: Serving::default(),
            max_watches: 2,
            settings: Settings::new(InForce::default()),
            http: None,
            collectors: vec![Box::new(Scripted(collect))],
            metadata: TelemetryMetadata {
                hostname: "testhost".to_owned(),
                collector_version: telemetry_collector::version().to_owned(),
                ..TelemetryMetadata::default()
            },
            interval: "100ms".parse().unwrap(),
            steering: SteeringSettings { state_file: None, max_changes_per_second: 5 },
            outbox: OutboxSettings { max_bytes: 1 << 20, on_full: OnFull::DropOldest, encoding: Encoding::Json },
            spool,
            publisher: Arc::<Recording>::clone(&publisher),
            retry: RetrySettings {
                initial: Duration::from_millis(10),
                max: Duration::from_millis(100),
                rejected: Duration::from_millis(100),
            },
            grace: Duration::from_secs(5),
            clock: WallClock::system(),
        });
        let address = service.control_address().clone();
        let task = tokio::spawn(service.run(shutdown.clone()));
        Self { address, publisher, shutdown, task }
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    fn taken(&self) -> Vec<u64> {
        self.publisher.taken.lock().unwrap().clone()
    }
}

fn sample() -> TelemetryResult<CpuMetrics> {
    Ok(CpuMetrics::new(vec![CoreMetrics::new(0)]))
}

#[tokio::test]
async fn shutdown_delivers_everything_and_closes_the_publisher() {
    let running = Running::start(sample).await;
    eventually("messages are delivered", async || running.taken().len() >= 3).await;
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
    let taken = running.publisher.taken.lock().unwrap().clone();
    assert_eq!(taken, (1..=taken.len() as u64).collect::<Vec<_>>());
    assert!(*running.publisher.closed.lock().unwrap());
}

#[tokio::test]
async fn shutdown_delivers_what_is_in_memory_while_the_disk_hangs() {
    // The disk hangs while it opens a file that an earlier start left: a FIFO that nobody writes to.
    let directory = tempfile::tempdir().unwrap();
    let earlier = directory.path().join("6b9ff0a1-6f0c-4c9a-8d8e-3a3f1c1f7a10");
    fs::create_dir(&earlier).unwrap();
    fs::write(earlier.join("00000000000000000001.log"), "").unwrap();
    assert!(Command::new("mkfifo").arg(earlier.join("cursor")).status().unwrap().success());
    let spool = SpoolSettings {
        directory: directory.path().to_owned(),
        max_bytes: 1 << 20,
        sync: SyncPolicy::Never,
        retain: Duration::ZERO,
        on_full: OnFull::DropOldest,
    };

    let samples = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&samples);
    let running = Running::start_with(Some(spool), move || {
        counter.fetch_add(1, Ordering::Relaxed);
        sample()
    })
    .await;
    eventually("samples are taken", async || samples.load(Ordering::Relaxed) >= 3).await;
    running.shutdown.cancel();
    let publisher = Arc::clone(&running.publisher);
    running.task.await.unwrap().unwrap();
    let taken = publisher.taken.lock().unwrap().clone();
    assert_eq!(taken, (1..=samples.load(Ordering::Relaxed)).collect::<Vec<_>>());
}

#[tokio::test]
async fn service_delivers_everything_and_fails_when_a_part_panics() {
    let mut samples = 0;
    let running = Running::start(move || {
        samples += 1;
        assert!(samples <= 3, "panic at the fourth sample");
        sample()
    })
    .await;
    let error = running.task.await.unwrap().unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("cannot go on without the sampler", 70));
    assert_eq!(*running.publisher.taken.lock().unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn get_snapshot_is_unavailable_before_the_first_sample() {
    let running = Running::start(|| Err(TelemetryError::collection("cpu", "half a file"))).await;
    let status = ControlServiceClient::new(running.channel().await)
        .get_snapshot(GetSnapshotRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no sample has been taken yet"), "{status}");
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn health_is_not_serving_when_a_group_cannot_be_collected() {
    let running = Running::start(|| Err(TelemetryError::collection("cpu", "half a file"))).await;
    let mut health = HealthClient::new(running.channel().await);
    eventually("the process is not serving", async || {
        let whole = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
        whole.status() == ServingStatus::NotServing
    })
    .await;
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn health_watch_reports_shutdown() {
    let running = Running::start(sample).await;
    let mut health = HealthClient::new(running.channel().await);
    let request = HealthCheckRequest { service: "sampler".to_owned() };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}

    running.shutdown.cancel();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.ok().flatten(), None, "the stream ends with the service");
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn serves_reflection_v1alpha_for_older_clients() {
    let running = Running::start(sample).await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol("telemetry.v1.ControlService".to_owned())),
    };
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let answers = reflection.server_reflection_info(Request::new(tokio_stream::once(request))).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    assert!(matches!(answer.message_response, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
}
