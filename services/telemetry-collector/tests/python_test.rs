//! Runs the consumer of examples/python with a collector. Python must read every field like Rust, and call the control
//! API.
//!
//! `TELEMETRY_PYTHON` is the path of a Python with the packages of examples/python/requirements.txt. Bazel provides
//! one; for cargo, `scripts/setup.sh` installs one.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use support::collector::Collector;
use support::login::TokenFile;
use support::python::PythonTypes;
use telemetry_proto::v1::{GapReason, GapRecord, Stamp, TelemetryMessage};
use telemetry_testing::{Authority, Finished, RedisServer, eventually};
use uuid::Uuid;

const QUEUE: &str = "telemetry:queue";
const DEAD: &str = "{telemetry:queue}:dead";

/// The example, with types generated for one test.
struct Example(PythonTypes);

impl Example {
    async fn new() -> Self {
        Self(PythonTypes::generate().await)
    }

    /// Runs `script` and returns its standard output. Panics if the script fails.
    async fn run(&self, script: &str, arguments: &[&str]) -> String {
        let Finished { code, stdout, stderr } = self.try_run(script, arguments).await;
        assert_eq!(code, Some(0), "{script} {arguments:?}: {stderr}");
        stdout
    }

    async fn try_run(&self, script: &str, arguments: &[&str]) -> Finished {
        self.0.run(&format!("../../examples/python/{script}"), arguments).await
    }
}

async fn queue(redis: &RedisServer) -> Vec<TelemetryMessage> {
    let items: Vec<Vec<u8>> = redis.command(&["LRANGE", QUEUE, "0", "-1"]).await;
    items.iter().rev().map(|item| TelemetryMessage::from_either(item).unwrap()).collect()
}

fn gap_record() -> TelemetryMessage {
    let stamp = Stamp {
        message_id: Uuid::now_v7(),
        instance_id: Uuid::new_v4(),
        sequence: u64::MAX - 1,
        collected_at: SystemTime::now(),
    };
    let gap = GapRecord::new([1..=1, 3..=u64::MAX - 9], GapReason::Decimated).of_instance(Uuid::new_v4());
    TelemetryMessage::new(stamp, gap)
}

#[tokio::test]
async fn python_reads_every_field_of_json_like_rust() {
    assert_python_reads_every_field("json", b'{').await;
}

#[tokio::test]
async fn python_reads_every_field_of_protobuf_like_rust() {
    assert_python_reads_every_field("protobuf", 0x0A).await;
}

async fn assert_python_reads_every_field(encoding: &str, first_byte: u8) {
    let (redis, example) = (RedisServer::start().await, Example::new().await);
    let url = redis.url();
    let mut collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &url),
        ("TELEMETRY_REDIS__ENCODING", encoding),
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
        ("TELEMETRY_COLLECTION__LABELS", "rack=a1,Ort=Köln ☂"),
    ])
    .await;
    eventually("messages are queued", async || redis.command::<u64>(&["LLEN", QUEUE]).await >= 5).await;
    collector.signal("TERM");
    collector.ended().await;
    let oldest: Vec<u8> = redis.command(&["LINDEX", QUEUE, "-1"]).await;
    assert_eq!(oldest[0], first_byte);
    let gap = String::from_utf8(gap_record().to_json().unwrap()).unwrap();
    redis.command::<()>(&["LPUSH", QUEUE, &gap]).await;

    let as_rust_reads = queue(&redis).await;
    let count = as_rust_reads.len().to_string();
    let shown = example.run("consumer.py", &["--redis", &url, "queue", "--count", &count]).await;
    let as_python_reads: Vec<_> =
        shown.lines().map(|json| TelemetryMessage::from_json(json.as_bytes()).unwrap()).collect();
    assert_eq!(as_python_reads, as_rust_reads);
    assert!(redis.command::<Vec<String>>(&["KEYS", "*"]).await.is_empty(), "everything is acknowledged");
}

#[tokio::test]
async fn python_moves_unreadable_messages_to_the_dead_letter_list() {
    let (redis, example) = (RedisServer::start().await, Example::new().await);
    let url = redis.url();
    let readable = String::from_utf8(gap_record().to_json().unwrap()).unwrap();
    for element in ["no message", r#"{"schema_version":"2.0.0"}"#, &readable] {
        redis.command::<()>(&["LPUSH", QUEUE, element]).await;
    }
    let shown = example.run("consumer.py", &["--redis", &url, "queue", "--count", "1"]).await;
    assert_eq!(shown.lines().count(), 1);
    assert_eq!(redis.command::<u64>(&["LLEN", DEAD]).await, 2);
}

#[tokio::test]
async fn python_calls_the_control_api() {
    let (redis, example) = (RedisServer::start().await, Example::new().await);
    let url = redis.url();
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &url), ("TELEMETRY_COLLECTION__INTERVAL", "1h")]).await;
    eventually("a message is queued", async || !queue(&redis).await.is_empty()).await;
    let address = collector.address().to_string();
    let call = async |arguments: &[&str]| {
        let shown = example.run("consumer.py", &[&["--control", &address], arguments].concat()).await;
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()
    };

    let snapshot = call(&["snapshot"]).await;
    let message = TelemetryMessage::from_json(snapshot["message"].to_string().as_bytes()).unwrap();
    assert_eq!(queue(&redis).await, [message]);
    assert_eq!(snapshot["snapshots"][0]["group"], "cpu");
    assert_eq!(snapshot["snapshots"][0]["message"], snapshot["message"]);

    let change = call(&["interval", "1800.5"]).await;
    assert_eq!((&change["previous_interval"], &change["interval"]), (&"3600s".into(), &"1800.500s".into()));

    let health = call(&["health"]).await;
    assert_eq!(health["status"], "HEALTH_STATUS_SERVING");

    let refused = example.try_run("consumer.py", &["--control", &address, "interval", "0.001"]).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("INVALID_ARGUMENT"), "{}", refused.stderr);
}

#[tokio::test]
async fn python_watches_with_a_login() {
    let (redis, example) = (RedisServer::start().await, Example::new().await);
    let (authority, tokens) = (Authority::new(), TokenFile::new(&[("ops", "control", "s3cret")]));
    let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
    let url = redis.url();
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "s3cret\n").unwrap();
    let common = [("TELEMETRY_REDIS__URL", url.as_str()), ("TELEMETRY_COLLECTION__INTERVAL", "100ms"), tokens.var()];
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let login = ["--token-file", &path(token.path())];

    let (cert, key, ca) = (path(&cert), path(&key), path(&authority.ca()));
    let tls = [("TELEMETRY_CONTROL__TLS_CERT", cert.as_str()), ("TELEMETRY_CONTROL__TLS_KEY", key.as_str())];
    let collector = Collector::start(&[&common[..], &tls].concat()).await;
    let address = collector.address().to_string();
    let encrypted = [&["--control", &address, "--tls-ca", &ca], &login[..]].concat();
    let events = example.run("consumer.py", &[&encrypted[..], &["watch", "--delivery", "--count", "5"]].concat()).await;
    let events: Vec<serde_json::Value> = events.lines().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(events[0]["delivery"]["state"], "DELIVERY_STATE_PENDING");
    assert!(events.iter().any(|event| event["message"]["data"]["cpu"].is_object()), "{events:?}");
    let refused = example.try_run("consumer.py", &["--control", &address, "--tls-ca", &ca, "health"]).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("UNAUTHENTICATED"), "{}", refused.stderr);

    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let _collector = Collector::start_on_socket(&socket, &common).await;
    let address = format!("unix://{}", path(&socket));
    let change = ["--control", &address, "interval", "0.2", "--ttl", "60", "--reason", "INC-42"];
    let answer = example.run("consumer.py", &[&login[..], &change].concat()).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["interval"] == "0.200s" && answer["reverts_at"].is_string(), "{answer}");
}
