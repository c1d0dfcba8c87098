//! telemetryctl against running collectors: what it prints, and its exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;

use support::{Collector, ctl, ctl_with, json, nobody, start_ctl};
use telemetry_proto::v1::{
    GetCapabilitiesResponse, GetConfigResponse, GetSnapshotResponse, HealthResponse, SetIntervalResponse,
};
use telemetry_testing::{Authority, Process, RedisServer, eventually};

async fn collector(redis: &RedisServer) -> Collector {
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    let target = collector.target();
    eventually("the collector serves", async || ctl(&["health", "--target", &target]).await.code == Some(0)).await;
    collector
}

#[tokio::test]
async fn shows_a_snapshot_as_text_and_as_the_json_of_the_schema() {
    let redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let target = collector.target();

    let text = ctl(&["snapshot", "--target", &target]).await;
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""), "{text:?}");
    assert!(text.stdout.starts_with("TARGET"), "{text:?}");
    assert!(text.stdout.contains(&target) && text.stdout.contains("CORE"), "{text:?}");
    assert!(!text.stdout.contains('\x1b'), "no colours unless it is a terminal: {text:?}");

    let document = json(&ctl(&["snapshot", "--max-age", "1s", "--target", &target, "--output", "json"]).await);
    assert_eq!(document["summary"], serde_json::json!({"targets": 1, "ok": 1, "failed": 0}));
    assert_eq!(document["results"][0]["target"], target);
    let answer: GetSnapshotResponse = serde_json::from_value(document["results"][0]["ok"].clone()).unwrap();
    answer.message.unwrap().check().unwrap();
    assert_eq!(answer.snapshots[0].group, "cpu");
}

#[tokio::test]
async fn changes_the_interval_for_a_time_and_resets_it() {
    let redis = RedisServer::start().await;
    let (one, two) = (collector(&redis).await, collector(&redis).await);
    let targets = format!("{},{}", one.target(), two.target());
    let vars = [("TELEMETRYCTL_TARGET", targets.as_str()), ("TELEMETRYCTL_OUTPUT", "json")];

    let set = ctl_with(&["interval", "200ms", "--for", "10m", "--reason", "INC-42"], &vars).await;
    assert_eq!(set.code, Some(0), "{set:?}");
    for result in json(&set)["results"].as_array().unwrap() {
        let change: SetIntervalResponse = serde_json::from_value(result["ok"].clone()).unwrap();
        assert_eq!(change.interval.unwrap().nanos, 200_000_000);
        assert!(change.reverts_at.is_some() && change.effective_since.is_some());
    }
    let config = ctl_with(&["config"], &vars).await;
    let config: GetConfigResponse = serde_json::from_value(json(&config)["results"][1]["ok"].clone()).unwrap();
    let interval = config.settings.iter().find(|setting| setting.name == "TELEMETRY_COLLECTION__INTERVAL").unwrap();
    assert_eq!(interval.value, "200ms");

    let reset = ctl(&["interval", "reset", "--target", &one.target()]).await;
    assert_eq!(reset.code, Some(0), "{reset:?}");
    assert!(reset.stdout.contains("200ms") && reset.stdout.contains("1s"), "{reset:?}");

    let differs = ctl_with(&["config"], &[("TELEMETRYCTL_TARGET", &targets)]).await;
    let lines: Vec<_> = differs.stdout.lines().take_while(|line| !line.is_empty()).collect();
    assert!(lines[0].starts_with("DIFFERS"), "{differs:?}");
    assert!(lines.iter().any(|line| line.contains("200ms") && line.contains(&two.target())), "{differs:?}");
    assert!(differs.stdout.ends_with("2 targets: 2 answered\n"), "{differs:?}");
}

#[tokio::test]
async fn reports_a_refusal_of_the_collector_with_its_reason() {
    let redis = RedisServer::start().await;
    let target = collector(&redis).await;
    let refused = ctl(&["interval", "1ms", "--target", &target.target()]).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("from 100ms to 1h"), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
}

#[tokio::test]
async fn health_ends_with_1_when_degraded_unless_a_target_fails() {
    let mut redis = RedisServer::start().await;
    let degraded = collector(&redis).await;
    redis.kill().await;
    let target = degraded.target();
    let health = async || ctl(&["health", "--target", &target, "--output", "json"]).await;
    eventually("a sink that is not reachable degrades", async || health().await.code == Some(1)).await;
    let document = json(&health().await);
    let answer: HealthResponse = serde_json::from_value(document["results"][0]["ok"].clone()).unwrap();
    assert!(answer.components.iter().any(|component| component.name == "sink" && component.last_error.is_some()));
    let failed = ctl(&["health", "--target", &target, "--target", &nobody()]).await;
    assert_eq!(failed.code, Some(3), "{failed:?}");
}

#[tokio::test]
async fn tells_partial_failure_from_total_failure() {
    let redis = RedisServer::start().await;
    let (collector, nobody) = (collector(&redis).await, nobody());
    let some = ctl(&["snapshot", "--target", &collector.target(), "--target", &nobody]).await;
    assert_eq!(some.code, Some(3), "{some:?}");
    assert!(some.stdout.ends_with("2 targets: 1 answered, 1 failed\n"), "{some:?}");
    assert_eq!(some.stderr.lines().count(), 1, "{some:?}");
    assert!(some.stderr.starts_with(&format!("telemetryctl: {nobody}: cannot get the snapshot")), "{some:?}");
    assert!(some.stderr.contains("Connection refused") && some.stderr.contains("check that"), "{some:?}");

    let all = ctl(&["snapshot", "--target", &nobody, "--output", "json"]).await;
    assert_eq!((all.code, all.stderr.as_str()), (Some(4), ""), "{all:?}");
    let document = json(&all);
    assert_eq!(document["results"][0]["error"]["kind"], "unavailable", "{document}");
    assert_eq!(document["summary"]["failed"], 1);
}

#[tokio::test]
async fn reads_targets_from_a_file_and_a_name() {
    let redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let port = collector.target().rsplit_once(':').unwrap().1.to_owned();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("targets");
    fs::write(&file, format!("# fleet\n{}\ndns:///127.0.0.1:{port} # the same one\n", collector.target())).unwrap();
    let health = ctl(&["health", "--targets-file", file.to_str().unwrap(), "--output", "json"]).await;
    assert_eq!(health.code, Some(0), "{health:?}");
    assert_eq!(json(&health)["summary"]["targets"], 1, "the same address is asked once");

    let unknown = ctl(&["health", "--target", "dns:///nowhere.invalid:1", "--target", &collector.target()]).await;
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    assert!(unknown.stderr.contains("cannot resolve nowhere.invalid"), "{unknown:?}");
}

#[tokio::test]
async fn a_target_that_does_not_answer_fails_after_the_timeout() {
    // The kernel accepts its connections, and nobody reads them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = silent.local_addr().unwrap().to_string();
    let late = ctl(&["health", "--target", &target, "--timeout", "200ms"]).await;
    assert_eq!(late.code, Some(4), "{late:?}");
    assert!(late.stderr.contains("no answer"), "{late:?}");
}

#[tokio::test]
async fn wrong_arguments_end_with_64() {
    for args in [
        &["helth"][..],
        &[],
        &["health", "--target", "ftp://host"],
        &["health", "--timeout", "0s"],
        &["health", "--parallel", "0"],
        &["interval", "soon"],
        &["interval", "reset", "--for", "1m"],
    ] {
        let finished = ctl(args).await;
        assert_eq!(finished.code, Some(64), "{args:?}: {finished:?}");
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty(), "{args:?}: {finished:?}");
    }
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let names = ["TARGET", "TARGETS_FILE", "TIMEOUT", "TLS_CA", "TLS_CERT", "TLS_KEY", "TOKEN_FILE", "OUTPUT"];
    let names: Vec<_> = names.iter().map(|name| format!("TELEMETRYCTL_{name}")).collect();
    let vars: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let health = ctl_with(&["health", "--target", &collector.target()], &vars).await;
    assert_eq!(health.code, Some(0), "{health:?}");
}

#[tokio::test]
async fn refuses_a_variable_that_it_does_not_know() {
    let finished = ctl_with(&["health", "--target", &nobody()], &[("TELEMETRYCTL_TIMEOT", "1s")]).await;
    assert_eq!(finished.code, Some(78), "{finished:?}");
    let line = "TELEMETRYCTL_TIMEOT: no such variable; did you mean TELEMETRYCTL_TIMEOUT?";
    assert!(finished.stderr.contains(line) && finished.stderr.lines().count() == 1, "{finished:?}");
    let misspelt = ctl(&["helth"]).await;
    assert!(misspelt.stderr.contains("health"), "clap suggests the command: {misspelt:?}");
}

#[tokio::test]
async fn wrong_settings_end_with_78_and_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "web 1\n").unwrap();
    let file = file.to_str().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "token\n").unwrap();
    let token = token.to_str().unwrap();
    let authority = Authority::new();
    let certificate = authority.ca();
    let certificate = certificate.to_str().unwrap();
    for (args, line) in [
        (&["health", "--tls-ca", "/nowhere/ca.pem"][..], "--tls-ca: cannot read /nowhere/ca.pem: No such file"),
        (&["health", "--tls-ca", file], "holds no certificate (PEM)"),
        (&["health", "--tls-key", file], "holds no private key (PEM)"),
        (&["health", "--tls-cert", certificate], "--tls-cert: it needs --tls-key, too"),
        (&["health", "--token-file", "/nowhere/token"], "cannot read /nowhere/token"),
        (
            &["health", "--target", "http://192.0.2.1:1", "--token-file", token],
            "beyond loopback a token requires https",
        ),
        (&["health", "--targets-file", file], "line 1 of"),
        (&["health", "--targets-file", "/dev/null"], "it holds no target"),
    ] {
        let finished = ctl(args).await;
        assert_eq!(finished.code, Some(78), "{args:?}: {finished:?}");
        assert!(finished.stderr.contains(line), "{args:?}: {finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{args:?}: {finished:?}");
    }
}

#[tokio::test]
async fn a_signal_ends_it_with_the_exit_code_of_a_shell() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = silent.local_addr().unwrap().to_string();
        let mut process = start_ctl(&["health", "--target", &target, "--timeout", "1h"], &[]);
        // It has connected, so it listens for the signal.
        let _connection = tokio::task::spawn_blocking(move || silent.accept().unwrap()).await.unwrap();
        process.signal(signal);
        assert_eq!(process.ended().await.code(), Some(code));
    }
}

#[tokio::test]
async fn shows_counters_and_paints_when_asked() {
    let redis = RedisServer::start().await;
    let target = collector(&redis).await;
    let target = target.target();
    let plain = ctl(&["health", "--target", &target]).await;
    assert!(plain.stdout.contains("messages_delivered  sink"), "{plain:?}");
    let always = ctl(&["health", "--color", "always", "--target", &target]).await;
    assert!(always.stdout.contains("\x1b[32mserving\x1b[0m"), "{always:?}");
    let json = ctl(&["health", "--color", "always", "--output", "json", "--target", &target]).await;
    assert!(!json.stdout.contains('\x1b'), "{json:?}");
}

#[tokio::test]
async fn shows_what_a_host_provides() {
    let redis = RedisServer::start().await;
    let collector = collector(&redis).await;
    let target = collector.target();
    let text = ctl(&["capabilities", "--target", &target]).await;
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.stdout.lines().any(|line| line.starts_with("cpu ") && line.ends_with(" yes")), "{text:?}");
    let document = json(&ctl(&["capabilities", "--target", &target, "--output", "json"]).await);
    let answer: GetCapabilitiesResponse = serde_json::from_value(document["results"][0]["ok"].clone()).unwrap();
    assert_eq!(answer.groups[0].group, "cpu");
}

#[tokio::test]
async fn writes_completions_and_man_pages() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = ctl(&["completions", shell]).await;
        assert_eq!(script.code, Some(0), "{shell}");
        assert!(script.stdout.contains("capabilities") && script.stdout.contains("targets-file"), "{shell}");
    }
    let script = ctl(&["completions", "bash"]).await.stdout;
    let read = Process::run(&mut Process::command(&["/bin/bash", "-n"], &[]), &script).await.unwrap();
    assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""));
    let page = ctl(&["man"]).await;
    assert!(page.stdout.contains(".TH telemetryctl 1") && page.stdout.contains("doctor"), "{page:?}");
    let page = ctl(&["man", "tail"]).await;
    assert!(page.stdout.contains(".TH telemetryctl-tail 1") && page.stdout.contains("follow"), "{page:?}");
    assert_eq!(ctl(&["man", "tial"]).await.code, Some(64));
}

#[tokio::test]
async fn help_has_examples_and_exit_codes() {
    let help = ctl(&["--help"]).await;
    assert_eq!(help.code, Some(0));
    for part in ["Examples:", "Exit codes:", "TELEMETRYCTL_TARGET", "130"] {
        assert!(help.stdout.contains(part), "{part} is missing:\n{}", help.stdout);
    }
}
