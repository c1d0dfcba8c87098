//! The collector as a process of its own.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use telemetry_proto::v1::control_service_client::ControlServiceClient;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::eventually;

/// A running collector with an environment of the test's own; it ends with the test.
pub struct Collector {
    process: Child,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
    address: SocketAddr,
}

/// How a collector that did not keep running ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Collector {
    /// A collector that listens on a free port, with `vars` as its settings.
    pub async fn start(vars: &[(&str, &str)]) -> Self {
        Self::start_through(&[], vars).await
    }

    /// The same by `wrapper`, a command that becomes the collector that follows it, such as `["nice"]`.
    pub async fn start_through(wrapper: &[&str], vars: &[(&str, &str)]) -> Self {
        let mut process = command(wrapper, vars).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let copy = Arc::clone(&log);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = copy.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut address = None;
        eventually("the control API listens", async || {
            let ended = process.try_wait().unwrap();
            let log = log.lock().unwrap();
            assert!(ended.is_none(), "the collector does not start: {}\n{log}", ended.unwrap());
            address = address_in(&log);
            address.is_some()
        })
        .await;
        Self { process, log, reading: Some(reading), address: address.unwrap() }
    }

    /// Number of the process.
    pub fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Where the control API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn control(&self) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(self.channel().await)
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal by its name ("TERM").
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until the process has ended and its log is read to the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = self.process.wait().await.unwrap();
        if let Some(reading) = self.reading.take() {
            reading.await.unwrap();
        }
        status
    }
}

/// Runs the collector with `arguments` until it ends by itself.
pub async fn run(arguments: &[&str], vars: &[(&str, &str)]) -> Ended {
    let mut process = command(&[], vars).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let (mut out, mut err) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
    let (read_out, read_err) = tokio::join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr));
    read_out.unwrap();
    read_err.unwrap();
    Ended { code: process.wait().await.unwrap().code(), stdout, stderr }
}

fn command(wrapper: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut words = wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_telemetry-collector")]);
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .env_clear()
        .env("TELEMETRY_CONTROL__LISTEN", "127.0.0.1:0")
        .env("TELEMETRY_LOG__FORMAT", "json")
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let listening = log.lines().find(|line| line.contains("control API listening"))?;
    let line: serde_json::Value = serde_json::from_str(listening).ok()?;
    line["address"].as_str()?.parse().ok()
}
