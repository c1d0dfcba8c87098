//! The exporter, as the process that people run, through Sentinels, in a Cluster and by TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::time::Duration;

use support::{Exporter, QUEUE, push, run, sample};
use telemetry_testing::{Authority, Cluster, RedisServer, SentinelGroup, TlsServer, eventually};
use uuid::Uuid;

/// Pushes a sample of `host`, which the exporter must serve.
async fn serves(exporter: &Exporter, redis: &RedisServer, host: &str) {
    push(redis, sample(host, Uuid::new_v4(), 1, Duration::ZERO, 10.0).to_json().unwrap()).await;
    exporter.eventually_serves(&format!(r#"telemetry_cpu_usage_ratio{{host="{host}"}} 0.1"#)).await;
}

#[tokio::test]
async fn follows_a_killed_master_to_its_replica() {
    let mut group = SentinelGroup::start().await;
    let exporter = Exporter::start_at(&group.url(), &[]).await;
    serves(&exporter, &group.servers[0], "before").await;
    group.servers[0].kill().await;
    group.promoted_after(0).await;
    serves(&exporter, &group.servers[1], "after").await;
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
}

#[tokio::test]
async fn follows_a_slot_that_moves_to_another_node() {
    let cluster = Cluster::start(false).await;
    let slot = cluster.slot(QUEUE).await;
    let owner = cluster.owner(slot, 0).await.unwrap();
    let target = (owner + 1) % 3;
    let exporter = Exporter::start_at(&cluster.url(), &[]).await;
    serves(&exporter, &cluster.nodes[owner], "before").await;
    cluster.move_slot(slot, owner, target).await;
    serves(&exporter, &cluster.nodes[target], "after").await;
    exporter.eventually_serves("telemetry_exporter_queue_up 1.0").await;
}

#[tokio::test]
async fn uses_a_private_ca_and_a_client_certificate() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", true).await;
    let files = authority.trusted_with_certificate();
    let [ca, cert, key] =
        [files.ca, files.cert, files.key].map(|file| file.unwrap().into_os_string().into_string().unwrap());
    let vars = [
        ("TELEMETRY_REDIS__TLS_CA", ca.as_str()),
        ("TELEMETRY_REDIS__TLS_CERT", &cert),
        ("TELEMETRY_REDIS__TLS_KEY", &key),
    ];
    let exporter = Exporter::start_at(&server.url(), &vars).await;
    serves(&exporter, &server.server, "web").await;

    let without = Exporter::start_at(&server.url(), &vars[..1]).await;
    eventually("the refusal is logged", async || without.log().contains("CertificateRequired")).await;
}

#[tokio::test]
async fn names_its_setting_when_a_file_is_gone_after_the_start() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "127.0.0.1", false).await;
    let ca = authority.ca();
    let exporter = Exporter::start_at(&server.url(), &[("TELEMETRY_REDIS__TLS_CA", ca.to_str().unwrap())]).await;
    serves(&exporter, &server.server, "web").await;
    fs::remove_file(&ca).unwrap();
    server.server.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let line = "cannot connect to Redis: rejected: TELEMETRY_REDIS__TLS_CA: cannot read ";
    eventually("the missing file is logged", async || exporter.log().contains(line)).await;
}

#[tokio::test]
async fn rejects_redis_settings_that_do_not_go_together() {
    for (vars, line) in [
        (
            [("TELEMETRY_REDIS__URL", "redis://host"), ("TELEMETRY_REDIS__TLS_CA", "/ca.pem")],
            "telemetry-exporter: TELEMETRY_REDIS__TLS_CA: is for rediss, and TELEMETRY_REDIS__URL does not begin with it\n",
        ),
        (
            [("TELEMETRY_REDIS__URL", "rediss://host"), ("TELEMETRY_REDIS__TLS_CA", "/nowhere/ca.pem")],
            "telemetry-exporter: TELEMETRY_REDIS__TLS_CA: cannot read \"/nowhere/ca.pem\": No such file or directory (os error 2)\n",
        ),
        (
            [("TELEMETRY_REDIS__KEY", "{a}:queue"), ("TELEMETRY_REDIS__SHARDS", "2")],
            "telemetry-exporter: TELEMETRY_REDIS__KEY: the hash tag \"{a}\" of \"{a}:queue\" would keep all shards on one node of a Cluster\n",
        ),
    ] {
        let refused = run(&[], &vars).await;
        assert_eq!((refused.code, refused.stderr.as_str()), (Some(78), line));
    }
}
