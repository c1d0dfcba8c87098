//! Checks the served metrics with the reference implementations: the parsers of Python's prometheus_client, and
//! promtool.
//!
//! `TELEMETRY_PYTHON` is the path of a Python with the packages of examples/python/requirements.txt. Bazel provides one;
//! for cargo, `scripts/setup.sh` installs one. `promtool` must be on the PATH.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::process::Command;
use std::time::Duration;

use support::{Exporter, push, sample};
use telemetry_testing::{Finished, Process, RedisServer, python};
use uuid::Uuid;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";
/// Parses metrics and prints the samples as JSON. Both parsers raise an exception at the first error.
const PARSE: &str = "
import json, sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser
parse = {'text': parser, 'openmetrics': openmetrics_parser}[sys.argv[1]].text_string_to_metric_families
samples = [sample for family in parse(sys.stdin.read()) for sample in family.samples]
json.dump([{'name': sample.name, 'labels': sample.labels, 'value': sample.value} for sample in samples], sys.stdout)
";

/// An exporter that serves two hosts, one of them with a name that needs escaping.
async fn fleet(redis: &RedisServer) -> Exporter {
    for host in ["web-7", "weird \"host\" \\ with\nnew line"] {
        push(redis, sample(host, Uuid::new_v4(), 1, Duration::ZERO, 12.5).to_json().unwrap()).await;
    }
    let exporter = Exporter::start(redis, &[]).await;
    exporter.eventually_serves("telemetry_exporter_hosts 2.0").await;
    exporter
}

/// Runs `command` with `input` and returns standard output and standard error. Panics if the command fails.
async fn filter(command: &mut Command, input: &str, remedy: &str) -> (String, String) {
    let finished = Process::run(command, input).await;
    let Finished { code, stdout, stderr } = finished.unwrap_or_else(|error| panic!("{command:?}: {error}; {remedy}"));
    assert_eq!(code, Some(0), "{command:?}: {stdout}{stderr}\n{input}");
    (stdout, stderr)
}

async fn parsed(format: &str, text: &str) -> Vec<serde_json::Value> {
    let remedy = "TELEMETRY_PYTHON must name a Python with the packages of examples/python/requirements.txt";
    serde_json::from_str(&filter(python().args(["-c", PARSE, format]), text, remedy).await.0).unwrap()
}

fn assert_complete(samples: &[serde_json::Value]) {
    let value = |name: &str, labels: &[(&str, &str)]| {
        let matches = |sample: &&serde_json::Value| {
            sample["name"] == name && labels.iter().all(|(label, value)| sample["labels"][label] == *value)
        };
        let found: Vec<_> = samples.iter().filter(matches).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0]["value"].as_f64().unwrap()
    };
    for host in ["web-7", "weird \"host\" \\ with\nnew line"] {
        assert_eq!(value("telemetry_cpu_usage_ratio", &[("host", host)]), 0.125);
        assert_eq!(value("telemetry_cpu_state_ratio", &[("host", host), ("state", "idle")]), 0.875);
        assert_eq!(value("telemetry_cpu_core_frequency_hertz", &[("host", host), ("core", "1")]), 2_500_500_000.0);
        assert_eq!(value("telemetry_cpu_temperature_celsius", &[("host", host)]), 55.5);
        assert_eq!(value("telemetry_host_label", &[("host", host), ("value", "a\"1\\")]), 1.0);
    }
    assert_eq!(value("telemetry_exporter_messages_total", &[]), 2.0);
}

#[tokio::test]
async fn python_openmetrics_parser_reads_all_samples() {
    let redis = RedisServer::start().await;
    let answer = fleet(&redis).await.get("/metrics", OPEN_METRICS).await;
    assert!(answer.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", answer.head);
    assert_complete(&parsed("openmetrics", &answer.body).await);
}

#[tokio::test]
async fn python_text_parser_reads_all_samples() {
    let redis = RedisServer::start().await;
    let answer = fleet(&redis).await.get("/metrics", "*/*").await;
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert_complete(&parsed("text", &answer.body).await);
}

#[tokio::test]
async fn promtool_reports_no_problems() {
    let redis = RedisServer::start().await;
    let text = fleet(&redis).await.metrics().await;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    let output = filter(&mut promtool, &text, "install it (Debian: apt-get install prometheus)").await;
    assert_eq!(output, (String::new(), String::new()));
}
