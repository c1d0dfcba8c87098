//! What the collector process shows of its settings, and that it shows no secret, wherever one looks.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::time::Duration;

use support::collector::{self, Collector};
use support::login::{Login, TokenFile, hash};
use support::otlp::Receiver;
use telemetry_proto::v1::{
    GetConfigRequest, GetSnapshotRequest, HealthRequest, SetIntervalRequest, Setting, SettingOrigin,
    WatchSnapshotsRequest,
};
use telemetry_testing::{Authority, RedisServer, TlsServer, eventually};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

async fn settings(collector: &Collector) -> Vec<Setting> {
    collector.control().await.get_config(GetConfigRequest {}).await.unwrap().into_inner().settings
}

fn find<'a>(settings: &'a [Setting], name: &str) -> (&'a str, SettingOrigin) {
    let setting = settings.iter().find(|setting| setting.name == name).unwrap();
    (&setting.value, setting.origin())
}

#[tokio::test]
async fn tells_every_setting_of_the_reference_in_its_order_and_where_it_comes_from() {
    let redis = RedisServer::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), redis.url_with_login("default:hunter2") + "\n").unwrap();
    let vars = [
        ("TELEMETRY_REDIS__URL_FILE", file.path().to_str().unwrap()),
        ("TELEMETRY_REDIS__KEY", "a queue"),
        ("TELEMETRY_SPOOL__DIR", ""),
    ];
    let collector = Collector::start(&vars).await;
    let settings = settings(&collector).await;

    let names: Vec<_> = settings.iter().map(|setting| setting.name.as_str()).collect();
    let reference = telemetry_collector::config::markdown_reference();
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `TELEMETRY_")?.split('`').next());
    assert_eq!(names, rows.map(|row| format!("TELEMETRY_{row}")).collect::<Vec<_>>());

    let url = redis.url_with_login("default:***");
    assert_eq!(find(&settings, "TELEMETRY_REDIS__URL"), (url.as_str(), SettingOrigin::File));
    assert_eq!(find(&settings, "TELEMETRY_REDIS__KEY"), ("a queue", SettingOrigin::Environment));
    assert_eq!(find(&settings, "TELEMETRY_SPOOL__DIR"), ("", SettingOrigin::Default));
    assert_eq!(find(&settings, "TELEMETRY_COLLECTION__INTERVAL"), ("1s", SettingOrigin::Default));

    let printed = collector::run(&["--print-config"], &vars).await.stdout;
    let lines: Vec<_> = printed.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
    assert_eq!(lines, names);
}

#[tokio::test]
async fn tells_the_interval_that_a_call_has_set() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    let interval = Some(Duration::from_millis(200).into());
    let request = SetIntervalRequest { interval, ..SetIntervalRequest::default() };
    collector.control().await.set_interval(request).await.unwrap();
    let changed = settings(&collector).await;
    assert_eq!(find(&changed, "TELEMETRY_COLLECTION__INTERVAL"), ("200ms", SettingOrigin::Control));
}

const CONTROL_TOKEN: &str = "control-t0ken";
const WRONG_TOKEN: &str = "wr0ng-token";

/// Every answer of the control API, as text.
async fn answers(collector: &Collector, login: &Login) -> String {
    let mut control = collector.control().await;
    let mut text = format!("{:?}\n", control.get_config(login.on(GetConfigRequest {})).await.unwrap());
    text += &format!("{:?}\n", control.health(login.on(HealthRequest {})).await.unwrap());
    text += &format!("{:?}\n", control.get_snapshot(login.on(GetSnapshotRequest::default())).await.unwrap());
    text += &format!("{:?}\n", control.set_interval(login.on(SetIntervalRequest::default())).await.unwrap_err());
    let wrong = Login::token(WRONG_TOKEN);
    text += &format!("{:?}\n", control.health(wrong.on(HealthRequest {})).await.unwrap_err());
    let watch = control.watch_snapshots(login.on(WatchSnapshotsRequest { delivery: true })).await.unwrap();
    let mut watch = watch.into_inner();
    for _ in 0..4 {
        text += &format!("{:?}\n", watch.message().await.unwrap());
    }
    let symbol = MessageRequest::FileContainingSymbol("telemetry.v1.ControlService".to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut reflection = ServerReflectionClient::new(collector.channel().await);
    let described = reflection.server_reflection_info(login.on(tokio_stream::once(request))).await.unwrap();
    text + &format!("{:?}", described.into_inner().message().await.unwrap())
}

/// Answers, logs at level debug, exported spans and metrics and the output of `--print-config`, before and during an outage in
/// which the login is refused.
#[tokio::test]
async fn shows_no_secret_anywhere() {
    const PASSWORD: &str = "redis-p4ssword";
    const TOKEN: &str = "otlp-t0ken";
    let authority = Authority::new();
    let redis = TlsServer::start(&authority, "127.0.0.1", true).await;
    let client = authority.trusted_with_certificate();
    let (control_token, login) =
        (TokenFile::new(&[("operator", "control", CONTROL_TOKEN)]), Login::token(CONTROL_TOKEN));
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().unwrap().to_str().unwrap().to_owned();
    let (ca, cert, key) = (path(&client.ca), path(&client.cert), path(&client.key));
    let mut administrator = redis.server.connect().await.unwrap();
    let mut command = async |words: &[&str]| {
        redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut administrator).await.unwrap();
    };
    command(&["CONFIG", "SET", "requirepass", PASSWORD]).await;
    let url_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(url_file.path(), redis.url().replace("rediss://", &format!("rediss://default:{PASSWORD}@"))).unwrap();

    let (receiver, address) = Receiver::by_grpc().await;
    let endpoint = format!("http://{address}");
    let headers = format!("authorization=Bearer%20{TOKEN}");
    let vars = [
        ("TELEMETRY_REDIS__URL_FILE", url_file.path().to_str().unwrap()),
        ("TELEMETRY_REDIS__TLS_CA", &ca),
        ("TELEMETRY_REDIS__TLS_CERT", &cert),
        ("TELEMETRY_REDIS__TLS_KEY", &key),
        ("TELEMETRY_COLLECTION__INTERVAL", "100ms"),
        ("TELEMETRY_RETRY__REJECTED", "100ms"),
        ("TELEMETRY_LOG__FILTER", "debug"),
        control_token.var(),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let printed = collector::run(&["--print-config"], &vars).await;
    let mut collector = Collector::start(&vars).await;
    eventually("messages are delivered", async || collector.log().contains("first message delivered")).await;
    let mut shown = answers(&collector, &login).await;

    command(&["CONFIG", "SET", "requirepass", "another"]).await;
    command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    eventually("the login is refused", async || {
        answers(&collector, &login).await.contains("WRONGPASS") && collector.log().contains("WRONGPASS")
    })
    .await;
    shown += &answers(&collector, &login).await;
    eventually("spans are exported", async || receiver.has("publish")).await;
    collector.signal("TERM");
    collector.ended().await;

    let everything =
        [shown, collector.log(), receiver.received().text.clone(), printed.stdout, printed.stderr].concat();
    assert!(everything.contains("default:***@"), "the URL is shown without its password");
    let key = fs::read_to_string(&key).unwrap();
    let control_hash = hash(CONTROL_TOKEN);
    let control_hash = control_hash.trim_start_matches("sha256:");
    let secrets = key.lines().filter(|line| !line.starts_with("-----")).chain([
        PASSWORD,
        TOKEN,
        CONTROL_TOKEN,
        WRONG_TOKEN,
        control_hash,
    ]);
    for secret in secrets {
        let at = everything.find(secret);
        let around = at.map(|at| &everything[at.saturating_sub(200)..(at + 100).min(everything.len())]);
        assert_eq!(around, None, "{secret}");
    }
}
