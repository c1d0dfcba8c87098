//! Measures how fast a spool of one million messages is delivered, compared with `redis-benchmark` and the same
//! payload.
//!
//! `cargo bench -p telemetry-collector --bench drain` needs `redis-server` and `redis-benchmark` on the PATH, and about
//! 4 GB of disk and memory. A spool reaches this size after an outage of twelve days at one sample per second.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use telemetry_collector::collectors::{self, CpuCollector};
use telemetry_collector::models::{TelemetryData, TelemetryMetadata};
use telemetry_collector::publishers::{DeliveryMode, Receipt, RedisQueue, RedisSettings, TelemetryPublisher};
use telemetry_outbox::{
    Backlog, Encoding, NoObserver, OnFull, Outbox, OutboxSettings, Spool, SpoolSettings, Stamper, SyncPolicy,
};
use telemetry_testing::{RedisServer, eventually};

const MESSAGES: u64 = 1_000_000;
/// Number of pipelined commands.
const PIPELINE: &str = "128";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let redis = RedisServer::start().await;
    let payload = payload().await;
    println!("{MESSAGES} messages of {} bytes, MAX_LENGTH 0", payload.len());
    // Repeat in turn, because the speed of a shared machine varies.
    for _ in 0..3 {
        report("redis-benchmark -P 128 -c 1", reference(&redis, &payload).await);
        for delivery in [DeliveryMode::AtLeastOnce, DeliveryMode::ExactlyOnce] {
            report(&format!("spool, {delivery:?}"), drain(&redis, delivery).await);
        }
    }
}

fn report(what: &str, took: Duration) {
    println!("{what:28} {:8.0} messages/s", MESSAGES as f64 / took.as_secs_f64());
}

/// Pushes the payload `MESSAGES` times with redis-benchmark.
async fn reference(redis: &RedisServer, payload: &str) -> Duration {
    let started = Instant::now();
    let port = redis.port().to_string();
    let count = MESSAGES.to_string();
    let arguments = ["-p", &port, "-n", &count, "-c", "1", "-P", PIPELINE, "-q", "LPUSH", "reference", payload];
    assert!(Command::new("redis-benchmark").args(arguments).output().unwrap().status.success());
    let took = started.elapsed();
    empty(redis).await;
    took
}

/// Fills a spool without delivering anything, closes it, and delivers everything as the next start would.
async fn drain(redis: &RedisServer, delivery: DeliveryMode) -> Duration {
    let directory = tempfile::tempdir().unwrap();
    let settings = SpoolSettings {
        directory: directory.path().to_owned(),
        max_bytes: 1 << 40,
        sync: SyncPolicy::Never,
        retain: Duration::ZERO,
        on_full: OnFull::DropOldest,
    };
    let outbox = outbox();
    let spool = Spool::start(settings, outbox.instance_id(), Arc::new(NoObserver)).unwrap();
    let filling = tokio::spawn(spool.clone().fill_from(outbox.clone()));
    let sample = sample().await;
    for number in 1..=MESSAGES {
        outbox.append(sample.clone()).unwrap();
        if number % 1000 == 0 {
            while outbox.status().messages > 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    outbox.close();
    filling.await.unwrap();
    // The pages of a real spool of this size would have been written to disk long ago.
    assert!(Command::new("sync").status().unwrap().success());

    let settings = RedisSettings { delivery, max_length: 0, ..RedisSettings::new(redis.url(), "drained") };
    let queue = RedisQueue::connect_lazily(&settings).unwrap();
    let mut backlog = Backlog::new(outbox, Some(spool));
    let started = Instant::now();
    while let Some(batch) = backlog.next_batch().await {
        assert!(matches!(queue.publish_batch(&batch).await.unwrap(), Receipt::Taken(_)));
        backlog.acknowledge(batch);
    }
    let took = started.elapsed();
    assert_eq!(redis.command::<u64>(&["LLEN", "drained"]).await, MESSAGES);
    empty(redis).await;
    took
}

/// Deletes all data and waits until its memory is freed.
async fn empty(redis: &RedisServer) {
    redis.command::<()>(&["FLUSHALL", "ASYNC"]).await;
    eventually("the memory is freed", async || {
        redis.command::<String>(&["INFO", "memory"]).await.contains("lazyfree_pending_objects:0")
    })
    .await;
}

fn outbox() -> Outbox {
    let settings = OutboxSettings { max_bytes: 1 << 30, on_full: OnFull::DropOldest, encoding: Encoding::Json };
    Outbox::new(settings, Stamper::new(SystemTime::now), Arc::new(NoObserver))
}

async fn payload() -> String {
    let message = outbox().append(sample().await).unwrap();
    String::from_utf8(message.to_json().unwrap()).unwrap()
}

/// A sample of this host.
async fn sample() -> TelemetryData {
    let mut cpu = collectors::cpu();
    cpu.refresh_slow_readings().await;
    cpu.collect_cpu().await.unwrap();
    let metadata = TelemetryMetadata {
        hostname: "bench".to_owned(),
        collector_version: telemetry_collector::version().to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::now().into()),
        collection_duration: Some(Duration::ZERO.into()),
        ..TelemetryMetadata::default()
    };
    TelemetryData::new(metadata, cpu.collect_cpu().await.unwrap())
}
