//! The collector that is attacked, with its Redis, its certificates and its tokens.

use std::fs;
use std::path::Path;
use std::time::Duration;

use telemetry_proto::v1::TelemetryMessage;
use telemetry_testing::{Authority, RedisServer, eventually};

use super::door::{Client, Door};
use crate::support::collector::Collector;
use crate::support::login::{Login, TokenFile};

/// Long enough that a busy machine skips no tick, short enough for several ticks a case.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// The token of the role `read`, and that of the role `control`.
pub const READER: &str = "reader-9f1c2ab7";
pub const OPERATOR: &str = "operator-53d0e8c4";

/// Opens HTTP, too.
pub const HTTP: (&str, &str) = ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0");

const KEY: &str = "telemetry:queue";

/// How the listener is protected, besides its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// The server has a certificate.
    On,
    /// Clients need one, too.
    Mutual,
}

/// A running collector.
pub struct Target {
    pub collector: Collector,
    pub redis: RedisServer,
    pub authority: Authority,
    pub tokens: TokenFile,
    pub door: Door,
}

impl Target {
    /// A collector without TLS, with `vars` besides the settings of all cases.
    pub async fn start(vars: &[(&str, &str)]) -> Self {
        Self::start_with(Tls::Off, vars).await
    }

    pub async fn start_with(tls: Tls, vars: &[(&str, &str)]) -> Self {
        let (redis, authority) = (RedisServer::start().await, Authority::new());
        let tokens = TokenFile::new(&[("reader", "read", READER), ("operator", "control", OPERATOR)]);
        let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut settings = vec![
            ("TELEMETRY_COLLECTION__INTERVAL", format!("{}ms", INTERVAL.as_millis())),
            ("TELEMETRY_REDIS__URL", redis.url()),
            ("TELEMETRY_REDIS__MAX_LENGTH", "0".to_owned()),
            ("TELEMETRY_CONTROL__TOKENS_FILE", path(tokens.path())),
        ];
        if tls != Tls::Off {
            settings.push(("TELEMETRY_CONTROL__TLS_CERT", path(&cert)));
            settings.push(("TELEMETRY_CONTROL__TLS_KEY", path(&key)));
        }
        if tls == Tls::Mutual {
            settings.push(("TELEMETRY_CONTROL__TLS_CLIENT_CA", path(&authority.ca())));
        }
        settings.extend(vars.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut collector = Collector::start(&settings).await;
        let http = match settings.iter().any(|(name, _)| *name == HTTP.0) {
            true => Some(collector.http_address().await),
            false => None,
        };
        let files = match tls {
            Tls::Off => None,
            Tls::On => Some(authority.trusted()),
            Tls::Mutual => Some(authority.client("friend")),
        };
        let door = Door { address: collector.address(), http, files };
        let target = Self { collector, redis, authority, tokens, door };
        eventually("the first sample is in the queue", async || !target.queue().await.is_empty()).await;
        target
    }

    /// A client that may read.
    pub async fn reader(&self) -> Client {
        self.door.client(Login::token(READER)).await.unwrap()
    }

    /// A client that may change the collector.
    pub async fn operator(&self) -> Client {
        self.door.client(Login::token(OPERATOR)).await.unwrap()
    }

    /// The messages in the queue, oldest first.
    pub async fn queue(&self) -> Vec<TelemetryMessage> {
        let items: Vec<Vec<u8>> = self.redis.command(&["LRANGE", KEY, "0", "-1"]).await;
        items.iter().rev().map(|json| TelemetryMessage::from_json(json).unwrap()).collect()
    }

    /// A counter of a component in `Health`.
    pub async fn counter(&self, component: &str, counter: &str) -> u64 {
        let health = self.reader().await.health().await.unwrap();
        let component = health.components.into_iter().find(|other| other.name == component).unwrap();
        component.counters[counter]
    }

    /// Memory of the collector in KiB, by the name that the kernel gives it in /proc/PID/status.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.collector.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Number of open files of the collector, connections among them.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.collector.id())).unwrap().count()
    }
}

/// No text that others can read holds a token.
pub fn assert_no_secret(text: &str) {
    for secret in [READER, OPERATOR] {
        assert!(!text.contains(secret), "a token is in the log");
    }
}
