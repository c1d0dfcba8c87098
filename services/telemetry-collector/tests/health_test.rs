//! What `Health` of the collector process counts.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::time::Duration;

use support::collector::Collector;
use telemetry_proto::v1::{HealthRequest, SetIntervalRequest};
use telemetry_testing::{RedisServer, eventually};

async fn counter(collector: &Collector, component: &str, name: &str) -> u64 {
    let health = collector.control().await.health(HealthRequest {}).await.unwrap().into_inner();
    let component = health.components.into_iter().find(|found| found.name == component).unwrap();
    *component.counters.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", component.counters))
}

async fn eventually_counts(collector: &Collector, component: &str, name: &str, least: u64) {
    let what = format!("{component} counts {least} {name}");
    eventually(&what, async || counter(collector, component, name).await >= least).await;
}

#[tokio::test]
async fn counts_what_each_component_has_done() {
    let mut redis = RedisServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let state_file = directory.path().join("missing/state");
    let vars = [
        ("TELEMETRY_REDIS__URL", redis.url()),
        ("TELEMETRY_COLLECTION__INTERVAL", "1h".to_owned()),
        ("TELEMETRY_CONTROL__STATE_FILE", state_file.to_str().unwrap().to_owned()),
        ("TELEMETRY_SPOOL__DIR", directory.path().to_str().unwrap().to_owned()),
    ];
    let collector = Collector::start(&vars.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    eventually_counts(&collector, "sink", "messages_delivered", 1).await;
    assert_eq!(counter(&collector, "sampler", "samples").await, 1);
    assert_eq!(counter(&collector, "sampler", "collection_errors").await, 0);
    assert_eq!(counter(&collector, "control", "control_changes").await, 0);
    assert_eq!(counter(&collector, "spool", "spool_errors").await, 0);
    assert_eq!(counter(&collector, "state_file", "state_file_errors").await, 0);

    redis.kill().await;
    let interval = Some(Duration::from_secs(60).into());
    collector.control().await.set_interval(SetIntervalRequest { interval, ..Default::default() }).await.unwrap();
    assert_eq!(counter(&collector, "control", "control_changes").await, 1);
    eventually_counts(&collector, "sink", "publish_errors", 1).await;
    eventually_counts(&collector, "state_file", "state_file_errors", 1).await;
    assert_eq!(counter(&collector, "sink", "messages_delivered").await, 1);
}
