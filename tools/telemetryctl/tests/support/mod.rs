//! Runs collectors inside the test, and telemetryctl against them.

// Each test file is a separate crate and uses only a part of this module.
#![allow(dead_code, unreachable_pub)]

pub mod older;

use std::collections::BTreeMap;
use std::net::TcpListener;

use telemetry_collector::{Config, Service};
use telemetry_testing::{Finished, Process};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A collector that runs inside the test until it is dropped.
pub struct Collector {
    target: String,
    _stop: DropGuard,
}

impl Collector {
    /// Starts a collector, with `vars` as its settings; on a free port, unless they say where.
    pub async fn start(vars: &[(&str, &str)]) -> Self {
        let vars = [("TELEMETRY_CONTROL__LISTEN", "127.0.0.1:0")].iter().chain(vars);
        let vars: BTreeMap<_, _> = vars.copied().collect();
        let config = Config::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into()))).unwrap();
        let service = Service::from_config(&config).await.unwrap();
        let target = service.control_address().to_string();
        let shutdown = CancellationToken::new();
        tokio::spawn(service.run(shutdown.clone()));
        Self { target, _stop: shutdown.drop_guard() }
    }

    /// Its target.
    pub fn target(&self) -> String {
        self.target.clone()
    }
}

/// A target where nobody listens.
pub fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Runs telemetryctl with these arguments and no environment, and waits until it ends.
pub async fn ctl(args: &[&str]) -> Finished {
    ctl_with(args, &[]).await
}

/// Runs telemetryctl with these arguments and this environment, and waits until it ends.
pub async fn ctl_with(args: &[&str], vars: &[(&str, &str)]) -> Finished {
    let words: Vec<_> = [env!("CARGO_BIN_EXE_telemetryctl")].into_iter().chain(args.iter().copied()).collect();
    Process::run(&mut Process::command(&words, vars), "").await.unwrap()
}

/// The JSON that it wrote.
pub fn json(finished: &Finished) -> serde_json::Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// Starts telemetryctl with these arguments and this environment.
pub fn start_ctl(args: &[&str], vars: &[(&str, &str)]) -> Process {
    let words: Vec<_> = [env!("CARGO_BIN_EXE_telemetryctl")].into_iter().chain(args.iter().copied()).collect();
    Process::start(&mut Process::command(&words, vars)).unwrap()
}
