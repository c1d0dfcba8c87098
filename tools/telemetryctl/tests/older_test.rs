//! telemetryctl against a collector of schema 1.0.0, and against one that is not well.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use support::ctl;
use support::older::OlderCollector;
use telemetry_proto::v1::HealthStatus;

#[tokio::test]
async fn health_ends_with_2_when_a_collector_does_not_serve() {
    for (status, code) in [
        (HealthStatus::Serving, 0),
        (HealthStatus::Degraded, 1),
        (HealthStatus::NotServing, 2),
        (HealthStatus::Starting, 2),
    ] {
        let target = OlderCollector(status).serve().await;
        let serving = OlderCollector(HealthStatus::Serving).serve().await;
        let health = ctl(&["health", "--target", &serving, "--target", &target]).await;
        assert_eq!(health.code, Some(code), "{health:?}");
        assert!(!health.stdout.contains('\x1b') && !health.stdout.contains('\x07'), "{health:?}");
    }
}

#[tokio::test]
async fn says_that_the_collector_is_older_than_the_call() {
    let target = OlderCollector(HealthStatus::Serving).serve().await;
    for command in [&["config"][..], &["capabilities"], &["watch"], &["interval", "reset"]] {
        let finished = ctl(&[command, &["--target", &target]].concat()).await;
        assert_eq!(finished.code, Some(4), "{command:?}: {finished:?}");
        assert!(finished.stderr.contains("older than schema 1.1.0, upgrade it"), "{command:?}: {finished:?}");
    }
    let doctor = ctl(&["doctor", "--target", &target, "--redis-url", "redis://127.0.0.1:1"]).await;
    assert!(doctor.stdout.contains("older than schema 1.1.0"), "{doctor:?}");
}

#[tokio::test]
async fn says_that_a_time_limit_was_ignored() {
    let target = OlderCollector(HealthStatus::Serving).serve().await;
    let for_good = ctl(&["interval", "200ms", "--target", &target]).await;
    assert_eq!(for_good.code, Some(0), "{for_good:?}");
    let limited = ctl(&["interval", "200ms", "--for", "10m", "--target", &target]).await;
    assert_eq!(limited.code, Some(4), "{limited:?}");
    assert!(limited.stderr.contains("ignored the ttl"), "{limited:?}");
}

#[tokio::test]
async fn says_that_there_is_no_sample_yet() {
    let target = OlderCollector(HealthStatus::Starting).serve().await;
    let snapshot = ctl(&["snapshot", "--target", &target]).await;
    assert_eq!(snapshot.code, Some(4), "{snapshot:?}");
    assert!(snapshot.stderr.contains("no sample yet; try again in a moment"), "{snapshot:?}");
}
