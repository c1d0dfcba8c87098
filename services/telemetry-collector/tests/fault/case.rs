//! What every case is made of: collectors with their settings, the faults it injects, and the check at its end.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::RangeInclusive;

use telemetry_proto::v1::TelemetryMessage;
use telemetry_testing::{RedisServer, eventually};

use super::ledger::{Copies, Ledger};
use super::table::Row;
use crate::support::collector::Collector;

pub const KEY: &str = "telemetry:queue";

/// Logged when a batch is not acknowledged, and when one is again.
pub const OUTAGE_BEGAN: &str = "messages cannot be delivered";
pub const OUTAGE_ENDED: &str = "messages are delivered again";

/// Settings of every collector here: ten samples a second, no cap, and a log that tells each number that was given.
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

/// A case under way.
pub struct Case {
    copies: Copies,
    vars: BTreeMap<String, String>,
    faults: Vec<(String, usize)>,
    /// The highest number that each instance is known to have given.
    sampled: BTreeMap<String, u64>,
    forgotten: Vec<u64>,
}

impl Case {
    /// A case of collectors that deliver to `url`.
    pub fn new(url: &str) -> Self {
        let vars = VARS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut case =
            Self { copies: Copies::Any, vars, faults: Vec::new(), sampled: BTreeMap::new(), forgotten: Vec::new() };
        case.set("TELEMETRY_REDIS__URL", url);
        case
    }

    /// From now on no message may be in the list twice.
    pub fn exactly_once(&mut self) -> &mut Self {
        self.copies = Copies::One;
        self.set("TELEMETRY_REDIS__DELIVERY", "exactly_once")
    }

    /// Sets a variable of the collectors that are started from now on.
    pub fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.vars.insert(name.to_owned(), value.to_string());
        self
    }

    pub async fn start(&self) -> Collector {
        self.start_through(&[]).await
    }

    /// Starts a collector by a command that runs it.
    pub async fn start_through(&self, command: &[&str]) -> Collector {
        let vars: Vec<_> = self.vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Collector::start_through(command, &vars).await
    }

    /// Counts a fault for the table.
    pub fn fault(&mut self, what: &str) {
        match self.faults.iter_mut().find(|(name, _)| name == what) {
            Some((_, count)) => *count += 1,
            None => self.faults.push((what.to_owned(), 1)),
        }
    }

    /// Lets numbers be missing, because Redis was made to forget them.
    pub fn forget(&mut self, numbers: RangeInclusive<u64>) {
        self.forgotten.extend(numbers);
    }

    /// Ends a collector by SIGTERM and holds it to having delivered everything.
    pub async fn stop(&mut self, collector: Collector) {
        let log = self.stop_early(collector).await;
        assert!(log.contains("every message was delivered"), "not everything was delivered:\n{log}");
    }

    /// Ends a collector by SIGTERM, whatever it could deliver; gives its log.
    pub async fn stop_early(&mut self, mut collector: Collector) -> String {
        collector.signal("TERM");
        let status = collector.ended().await;
        let log = collector.log();
        assert!(status.success(), "{status}:\n{log}");
        self.note(&log);
        log
    }

    /// Ends a collector by SIGKILL; gives its instance and the last number that it gave a sample.
    pub async fn kill(&mut self, mut collector: Collector) -> (String, u64) {
        collector.signal("KILL");
        collector.ended().await;
        let log = collector.log();
        (started(&log), last_sampled(&log))
    }

    /// Holds `instance` to every number up to `highest`.
    pub fn expect(&mut self, instance: &str, highest: u64) {
        self.sampled.insert(instance.to_owned(), highest);
    }

    /// Remembers which numbers a collector gave, as its log tells.
    fn note(&mut self, log: &str) {
        self.expect(&started(log), last_sampled(log));
    }

    /// Waits until nothing that is expected is missing in `server`'s list.
    pub async fn complete(&self, server: &RedisServer) {
        eventually("nothing is missing in the list", async || self.ledger(&list(server).await).is_complete()).await;
    }

    /// The check, on all messages of the list, the oldest first.
    pub fn check(self, messages: &[TelemetryMessage]) -> Row {
        assert!(!self.sampled.is_empty(), "no collector was followed to its end");
        let ledger = self.ledger(messages);
        let faults = ledger.faults(self.copies);
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

/// The messages of `server`'s list, the oldest first.
pub async fn list(server: &RedisServer) -> Vec<TelemetryMessage> {
    parse(server.command(&["LRANGE", KEY, "0", "-1"]).await)
}

/// What LRANGE gave, turned round: LPUSH puts the newest first.
pub fn parse(items: Vec<Vec<u8>>) -> Vec<TelemetryMessage> {
    items.iter().rev().map(|json| TelemetryMessage::from_json(json).unwrap()).collect()
}

/// Waits until `more` messages than now are in the list.
pub async fn arrivals(server: &RedisServer, more: u64) {
    let length = async || server.command::<u64>(&["LLEN", KEY]).await;
    let wanted = length().await + more;
    eventually("more messages arrive", async || length().await >= wanted).await;
}

/// Waits until the collector has taken `more` samples than now.
pub async fn samples(collector: &Collector, more: u64) {
    let wanted = last_sampled(&collector.log()) + more;
    eventually("more samples are taken", async || last_sampled(&collector.log()) >= wanted).await;
}

/// Waits until the log has `line` once more than before `doing` was done.
pub async fn hears<F: Future<Output = ()>>(collector: &Collector, line: &str, doing: F) {
    let before = collector.log().matches(line).count();
    doing.await;
    eventually(&format!("the log says: {line}"), async || collector.log().matches(line).count() > before).await;
}

/// An outage from its first to its last log line: `begin` brings it about, `end` ends it, between them samples are taken.
pub async fn outage(collector: &Collector, begin: impl Future<Output = ()>, end: impl Future<Output = ()>) {
    hears(collector, OUTAGE_BEGAN, begin).await;
    samples(collector, 10).await;
    hears(collector, OUTAGE_ENDED, end).await;
}

/// Which instance a log is of.
fn started(log: &str) -> String {
    let line = last(log, "collector started").unwrap_or_else(|| panic!("no start in the log:\n{log}"));
    line["instance_id"].as_str().unwrap().to_owned()
}

/// The last number that a sample was given; 0 before the first.
pub fn last_sampled(log: &str) -> u64 {
    last(log, "sample taken").and_then(|line| line["sequence"].as_u64()).unwrap_or_default()
}

/// The last whole line of a log that has `text` in it.
fn last(log: &str, text: &str) -> Option<serde_json::Value> {
    log.lines().rev().find(|line| line.contains(text)).and_then(|line| serde_json::from_str(line).ok())
}
