//! Runs the collector as a separate process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};

use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_testing::{Finished, Process, eventually};
use tonic::transport::Channel;

/// A running collector process with its own environment, killed when the test ends.
pub struct Collector {
    process: Process,
    /// Absent if it listens on a Unix socket.
    address: Option<SocketAddr>,
}

impl Collector {
    /// Starts a collector that listens on a free port, with `vars` as its settings.
    pub async fn start(vars: &[(&str, &str)]) -> Self {
        Self::start_through(&[], vars).await
    }

    /// Starts a collector through `wrapper`, a command that executes the collector, such as `["nice"]`.
    pub async fn start_through(wrapper: &[&str], vars: &[(&str, &str)]) -> Self {
        let mut process = Process::start(&mut command(wrapper, vars)).unwrap();
        let address = process.address("control API listening").await;
        Self { process, address: Some(address) }
    }

    /// Starts a collector that listens on the Unix socket `path`, with `vars` as its settings.
    pub async fn start_on_socket(path: &Path, vars: &[(&str, &str)]) -> Self {
        let address = format!("unix://{}", path.display());
        let mut process =
            Process::start(&mut command(&[], &[&[("TELEMETRY_CONTROL__LISTEN", address.as_str())], vars].concat()))
                .unwrap();
        eventually("it listens", async || {
            assert!(!process.has_ended(), "{}", process.stderr());
            process.stderr().contains("control API listening")
        })
        .await;
        Self { process, address: None }
    }

    /// Listen address of HTTP, if `TELEMETRY_HTTP__LISTEN` is among the settings.
    pub async fn http_address(&mut self) -> SocketAddr {
        self.process.address("HTTP listening").await
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Listen address of the control API.
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address())).unwrap().connect().await.unwrap()
    }

    pub async fn control(&self) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(self.channel().await)
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Sends a signal by name (`"TERM"`).
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits until the process has exited and its log has been read completely.
    pub async fn ended(&mut self) -> ExitStatus {
        self.process.ended().await
    }
}

/// Runs the collector with `arguments` until it exits.
pub async fn run(arguments: &[&str], vars: &[(&str, &str)]) -> Finished {
    Process::run(command(&[], vars).args(arguments), "").await.unwrap()
}

fn command(wrapper: &[&str], vars: &[(&str, &str)]) -> Command {
    let words = [wrapper, &[env!("CARGO_BIN_EXE_telemetry-collector")]].concat();
    let defaults = [("TELEMETRY_CONTROL__LISTEN", "127.0.0.1:0"), ("TELEMETRY_LOG__FORMAT", "json")];
    Process::command(&words, &[&defaults, vars].concat())
}
