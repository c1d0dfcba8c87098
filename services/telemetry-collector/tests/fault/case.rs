//! Building blocks of fault cases: collectors and their settings, waiting, and the final check.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::RangeInclusive;

use telemetry_proto::v1::TelemetryMessage;
use telemetry_testing::{RedisServer, eventually};

use super::ledger::{Duplicates, Ledger};
use super::table::Row;
use crate::support::collector::Collector;

pub const KEY: &str = "telemetry:queue";

/// Log messages at the start and at the end of an outage.
pub const OUTAGE_BEGAN: &str = "messages cannot be delivered";
pub const OUTAGE_ENDED: &str = "messages are delivered again";

/// Settings of all collectors: ten samples per second, no maximum length, and a log line for each sequence number.
const VARS: &[(&str, &str)] = &[
    ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
    ("TELEMETRY_REDIS__MAX_LENGTH", "0"),
    ("TELEMETRY_LOG__FILTER", "info,telemetry_collector::events=debug"),
    ("TELEMETRY_SHUTDOWN__GRACE", "30s"),
    ("TELEMETRY_REDIS__CONNECT_TIMEOUT", "1s"),
    ("TELEMETRY_REDIS__RESPONSE_TIMEOUT", "1s"),
    ("TELEMETRY_RETRY__INITIAL", "50ms"),
    ("TELEMETRY_RETRY__MAX", "500ms"),
    ("TELEMETRY_RETRY__REJECTED", "500ms"),
];

/// A running case.
pub struct Case {
    duplicates: Duplicates,
    vars: BTreeMap<String, String>,
    faults: Vec<(String, usize)>,
    /// The highest sequence number that each instance is known to have assigned.
    sampled: BTreeMap<String, u64>,
    forgotten: Vec<u64>,
}

impl Case {
    /// A case whose collectors deliver to `url`.
    pub fn new(url: &str) -> Self {
        let vars = VARS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut case = Self {
            duplicates: Duplicates::Allowed,
            vars,
            faults: Vec::new(),
            sampled: BTreeMap::new(),
            forgotten: Vec::new(),
        };
        case.set("TELEMETRY_REDIS__URL", url);
        case
    }

    /// Uses exactly-once delivery and allows no duplicates.
    pub fn exactly_once(&mut self) -> &mut Self {
        self.duplicates = Duplicates::Forbidden;
        self.set("TELEMETRY_REDIS__DELIVERY", "exactly_once")
    }

    /// Sets an environment variable of collectors that are started later.
    pub fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.vars.insert(name.to_owned(), value.to_string());
        self
    }

    pub async fn start(&self) -> Collector {
        self.start_through(&[]).await
    }

    /// Starts a collector through a wrapper command.
    pub async fn start_through(&self, command: &[&str]) -> Collector {
        let vars: Vec<_> = self.vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Collector::start_through(command, &vars).await
    }

    /// Records an injected fault for the table.
    pub fn fault(&mut self, what: &str) {
        match self.faults.iter_mut().find(|(name, _)| name == what) {
            Some((_, count)) => *count += 1,
            None => self.faults.push((what.to_owned(), 1)),
        }
    }

    /// Allows sequence numbers to be missing because the case deleted them from Redis.
    pub fn forget(&mut self, numbers: RangeInclusive<u64>) {
        self.forgotten.extend(numbers);
    }

    /// Stops a collector with SIGTERM and asserts that it delivered everything.
    pub async fn stop(&mut self, collector: Collector) {
        let log = self.stop_early(collector).await;
        assert!(log.contains("every message was delivered"), "not everything was delivered:\n{log}");
    }

    /// Stops a collector with SIGTERM, even if messages are left, and returns its log.
    pub async fn stop_early(&mut self, mut collector: Collector) -> String {
        collector.signal("TERM");
        let status = collector.ended().await;
        let log = collector.log();
        assert!(status.success(), "{status}:\n{log}");
        self.note(&log);
        log
    }

    /// Kills a collector with SIGKILL. Returns its instance ID and the last sequence number that it assigned.
    pub async fn kill(&mut self, mut collector: Collector) -> (String, u64) {
        collector.signal("KILL");
        collector.ended().await;
        let log = collector.log();
        (instance_of(&log), last_sampled(&log))
    }

    /// Expects every sequence number of `instance` up to `highest`.
    pub fn expect(&mut self, instance: &str, highest: u64) {
        self.sampled.insert(instance.to_owned(), highest);
    }

    /// Expects every sequence number that a collector's log mentions.
    fn note(&mut self, log: &str) {
        self.expect(&instance_of(log), last_sampled(log));
    }

    /// Waits until the list on `server` is complete.
    pub async fn complete(&self, server: &RedisServer) {
        eventually("the list is complete", async || self.ledger(&list(server).await).is_complete()).await;
    }

    /// Checks all messages of the list, which must be ordered from oldest to newest.
    pub fn check(self, messages: &[TelemetryMessage]) -> Row {
        assert!(!self.sampled.is_empty(), "no sequence numbers are expected");
        let ledger = self.ledger(messages);
        let faults = ledger.faults(self.duplicates);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let faults = self
            .faults
            .iter()
            .map(|(what, count)| match count {
                1 => what.clone(),
                _ => format!("{what} ({count})"),
            })
            .collect::<Vec<_>>();
        Row { faults: faults.join(", "), totals: ledger.totals(), notes: Vec::new() }
    }

    fn ledger(&self, messages: &[TelemetryMessage]) -> Ledger {
        let mut ledger = Ledger::read(messages);
        for (instance, highest) in &self.sampled {
            ledger.expect(instance, *highest);
        }
        ledger.forgive(&self.forgotten);
        ledger
    }
}

/// The messages in the list on `server`, oldest first.
pub async fn list(server: &RedisServer) -> Vec<TelemetryMessage> {
    parse(server.command(&["LRANGE", KEY, "0", "-1"]).await)
}

/// Parses the answer to LRANGE. Reverses it, because LPUSH puts the newest message first.
pub fn parse(items: Vec<Vec<u8>>) -> Vec<TelemetryMessage> {
    items.iter().rev().map(|json| TelemetryMessage::from_json(json).unwrap()).collect()
}

/// Waits until the list has `more` messages more than now.
pub async fn arrivals(server: &RedisServer, more: u64) {
    let length = async || server.command::<u64>(&["LLEN", KEY]).await;
    let wanted = length().await + more;
    eventually("more messages arrive", async || length().await >= wanted).await;
}

/// Waits until the collector has taken `more` more samples.
pub async fn samples(collector: &Collector, more: u64) {
    let wanted = last_sampled(&collector.log()) + more;
    eventually("more samples are taken", async || last_sampled(&collector.log()) >= wanted).await;
}

/// Runs `action` and waits until the log contains `line` once more than before.
pub async fn wait_for_log<F: Future<Output = ()>>(collector: &Collector, line: &str, action: F) {
    let before = collector.log().matches(line).count();
    action.await;
    eventually(&format!("the log contains: {line}"), async || collector.log().matches(line).count() > before).await;
}

/// Runs an outage: starts it with `begin`, takes samples, ends it with `end`. Waits for both log lines.
pub async fn outage(collector: &Collector, begin: impl Future<Output = ()>, end: impl Future<Output = ()>) {
    wait_for_log(collector, OUTAGE_BEGAN, begin).await;
    samples(collector, 10).await;
    wait_for_log(collector, OUTAGE_ENDED, end).await;
}

/// The instance ID in a log.
fn instance_of(log: &str) -> String {
    let line = last(log, "collector started").unwrap_or_else(|| panic!("no start in the log:\n{log}"));
    line["instance_id"].as_str().unwrap().to_owned()
}

/// The last sequence number of a sample in a log; 0 if there is none.
pub fn last_sampled(log: &str) -> u64 {
    last(log, "sample taken").and_then(|line| line["sequence"].as_u64()).unwrap_or_default()
}

/// The last complete log line that contains `text`.
fn last(log: &str, text: &str) -> Option<serde_json::Value> {
    log.lines().rev().find(|line| line.contains(text)).and_then(|line| serde_json::from_str(line).ok())
}
