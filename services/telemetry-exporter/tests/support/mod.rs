//! Test support: the exporter as a process, and messages for its queue.

// Each test file is a separate crate and uses only a part of this module.
#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::{Duration, SystemTime};

use telemetry_client::proto::{
    CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, LoadAverages, Stamp, TelemetryData, TelemetryMessage,
    TelemetryMetadata,
};
use telemetry_testing::{Finished, Process, RedisServer, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

pub const QUEUE: &str = "telemetry:queue";

/// A running exporter process, killed when the test ends.
pub struct Exporter {
    process: Process,
    pub address: SocketAddr,
}

/// An HTTP response.
pub struct Answer {
    pub head: String,
    pub body: String,
}

impl Exporter {
    /// Starts an exporter on a free port that reads the queue in `redis`, with `vars` as additional settings.
    pub async fn start(redis: &RedisServer, vars: &[(&str, &str)]) -> Self {
        Self::start_at(&redis.unix_url(), vars).await
    }

    /// Starts an exporter of the queue at `url` on a free port, with `vars` as further settings.
    pub async fn start_at(url: &str, vars: &[(&str, &str)]) -> Self {
        let mut process = Process::start(command(vars).env("TELEMETRY_REDIS__URL", url)).unwrap();
        let address = process.address("serving /metrics").await;
        Self { process, address }
    }

    /// Sends `GET path` with this `Accept` header.
    pub async fn get(&self, path: &str, accept: &str) -> Answer {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer { head: head.to_lowercase(), body: body.to_owned() }
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics", "text/plain").await.body
    }

    pub async fn eventually_serves(&self, line: &str) {
        eventually(line, async || self.metrics().await.lines().any(|found| found == line)).await;
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Sends a signal by name (`"TERM"`).
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Sends a signal by name and waits until the process ends.
    pub async fn end(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.process.ended().await
    }
}

/// Runs the exporter with `arguments` until it exits.
pub async fn run(arguments: &[&str], vars: &[(&str, &str)]) -> Finished {
    Process::run(command(vars).args(arguments), "").await.unwrap()
}

fn command(vars: &[(&str, &str)]) -> Command {
    let defaults = [("TELEMETRY_EXPORTER__LISTEN", "127.0.0.1:0"), ("TELEMETRY_LOG__FORMAT", "json")];
    Process::command(&[env!("CARGO_BIN_EXE_telemetry-exporter")], &[&defaults, vars].concat())
}

/// Pushes an element to the queue, as a collector does.
pub async fn push(redis: &RedisServer, element: impl AsRef<[u8]>) {
    redis.run(redis::cmd("LPUSH").arg(QUEUE).arg(element.as_ref())).await;
}

/// A complete sample of `host`, collected `age` ago, with CPU usage `usage_percent`.
pub fn sample(host: &str, instance: Uuid, sequence: u64, age: Duration, usage_percent: f64) -> TelemetryMessage {
    let collected_at = SystemTime::now() - age;
    let metadata = TelemetryMetadata {
        hostname: host.to_owned(),
        host_id: "5e3f0c61d2b84f7a9c1d7be04a6f2c13".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        collector_version: "0.1.0".to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(collected_at.into()),
        collection_duration: Some(Duration::from_micros(70).into()),
        labels: [("rack".to_owned(), "a\"1\\".to_owned())].into(),
        ..TelemetryMetadata::default()
    };
    let states = CpuStates { user_percent: usage_percent, idle_percent: 100.0 - usage_percent, ..CpuStates::default() };
    let core = |core_id| CoreMetrics {
        core_id,
        usage_percent: Some(usage_percent),
        states: Some(states),
        frequency_mhz: Some(2500.5),
        temperature_celsius: Some(51.0),
    };
    let cpu = CpuMetrics {
        usage_percent: Some(usage_percent),
        states: Some(states),
        logical_count: 2,
        physical_count: Some(1),
        cores: vec![core(0), core(1)],
        load_averages: Some(LoadAverages { one: 0.5, five: 1.0, fifteen: 2.0 }),
        frequencies: Some(CpuFrequencies { current_mhz: Some(2500.5), min_mhz: Some(800.0), max_mhz: Some(3600.0) }),
        temperature_celsius: Some(55.5),
        ..CpuMetrics::default()
    };
    let stamp = Stamp { message_id: Uuid::now_v7(), instance_id: instance, sequence, collected_at };
    TelemetryMessage::new(stamp, TelemetryData::new(metadata, cpu))
}
