//! Benchmarks of each step of a sample, compared with the minimum work for it ("reference").
//!
//! `cargo bench -p telemetry-collector` needs a `redis-server` on the PATH. Results of one run can be compared with
//! each other. Compare results of different runs only if the machine is otherwise idle.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use telemetry_collector::collectors::{self, CpuCollector, HostCpuCollector};
use telemetry_collector::models::{CpuMetrics, TelemetryData, TelemetryMessage, TelemetryMetadata};
use telemetry_collector::publishers::{DeliveryMode, Receipt, RedisQueue, RedisSettings, TelemetryPublisher};
use telemetry_outbox::{Batch, EncodedMessage, Encoding, NoObserver, OnFull, Outbox, OutboxSettings, Stamper};
use telemetry_testing::RedisServer;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A collector whose next sample has usage and slow readings.
async fn warm_cpu() -> HostCpuCollector {
    let mut cpu = collectors::cpu();
    cpu.refresh_slow_readings().await;
    cpu.collect_cpu().await.unwrap();
    cpu
}

fn sample_of(cpu: CpuMetrics) -> TelemetryData {
    let metadata = TelemetryMetadata {
        hostname: "bench".to_owned(),
        collector_version: telemetry_collector::version().to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::now().into()),
        collection_duration: Some(Duration::ZERO.into()),
        ..TelemetryMetadata::default()
    };
    TelemetryData::new(metadata, cpu)
}

fn outbox() -> Outbox {
    let settings = OutboxSettings { max_bytes: 64 << 20, on_full: OnFull::DropOldest, encoding: Encoding::Json };
    Outbox::new(settings, Stamper::new(SystemTime::now), Arc::new(NoObserver))
}

fn message(runtime: &Runtime) -> TelemetryMessage {
    let cpu = runtime.block_on(async { warm_cpu().await.collect_cpu().await.unwrap() });
    (*outbox().append(sample_of(cpu)).unwrap()).clone()
}

fn queue(redis: &RedisServer, delivery: DeliveryMode) -> RedisQueue {
    // Separate keys, so that the two queues do not trim each other's messages.
    let key = format!("{delivery:?}");
    let settings = RedisSettings { delivery, max_length: 1_000, ..RedisSettings::new(redis.url(), key) };
    RedisQueue::connect_lazily(&settings).unwrap()
}

/// Turns the batch into the next one: the server does not accept messages that it already has.
fn advance(batch: &mut Batch) {
    batch.acknowledged = batch.last_sequence().unwrap_or_default();
    for (sequence, message) in (batch.acknowledged + 1..).zip(&mut batch.messages) {
        message.sequence = sequence;
    }
}

fn collecting(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("collect");
    group.bench_function("reference: read /proc/stat and /proc/loadavg", |bencher| {
        bencher.iter(|| (black_box(fs::read("/proc/stat").unwrap()), black_box(fs::read("/proc/loadavg").unwrap())));
    });
    let mut cpu = runtime.block_on(warm_cpu());
    group.bench_function("cpu", |bencher| {
        bencher.iter(|| runtime.block_on(cpu.collect_cpu()).unwrap());
    });
}

fn encoding(criterion: &mut Criterion) {
    let message = message(&runtime());
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(message.to_json().unwrap().len() as u64));
    group.bench_function("reference: serde_json only", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(&message)).unwrap());
    });
    group.bench_function("checked message", |bencher| {
        bencher.iter(|| EncodedMessage::encode(black_box(&message), Encoding::Json).unwrap());
    });
}

fn publishing(criterion: &mut Criterion) {
    let runtime = runtime();
    let redis = runtime.block_on(RedisServer::start());
    let at_least_once = queue(&redis, DeliveryMode::AtLeastOnce);
    let exactly_once = queue(&redis, DeliveryMode::ExactlyOnce);
    let message = EncodedMessage::encode(&message(&runtime), Encoding::Json).unwrap();
    let mut connection = runtime.block_on(redis.connect()).unwrap();
    let mut group = criterion.benchmark_group("publish");
    for batch_size in [1, 16, 128] {
        // A separate instance, because the server accepts each sequence number only once.
        let mut batch =
            Batch { instance_id: Uuid::new_v4(), acknowledged: 0, messages: vec![message.clone(); batch_size] };
        advance(&mut batch);
        batch.acknowledged = 0;
        group.throughput(Throughput::Elements(batch_size as u64));
        group.bench_with_input(BenchmarkId::new("reference: LPUSH only", batch_size), &batch, |bencher, batch| {
            let mut push = redis::cmd("LPUSH");
            push.arg("reference");
            batch.messages.iter().for_each(|message| {
                push.arg(&message.body[..]);
            });
            bencher.iter(|| {
                let length: u64 = runtime.block_on(push.query_async(&mut connection)).unwrap();
                if length > 1_000 {
                    let _: u64 =
                        runtime.block_on(redis::cmd("DEL").arg("reference").query_async(&mut connection)).unwrap();
                }
            });
        });
        for (name, queue) in [("queue", &at_least_once), ("queue, exactly once", &exactly_once)] {
            let mut batch = batch.clone();
            group.bench_function(BenchmarkId::new(name, batch_size), |bencher| {
                bencher.iter(|| {
                    let receipt = runtime.block_on(queue.publish_batch(&batch)).unwrap();
                    assert!(matches!(receipt, Receipt::Taken(_)));
                    advance(&mut batch);
                });
            });
        }
    }
}

fn whole_tick(criterion: &mut Criterion) {
    let runtime = runtime();
    let redis = runtime.block_on(RedisServer::start());
    let (queue, outbox) = (queue(&redis, DeliveryMode::AtLeastOnce), outbox());
    let mut cpu = runtime.block_on(warm_cpu());
    criterion.bench_function("tick: from /proc to acknowledgement", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                outbox.append(sample_of(cpu.collect_cpu().await.unwrap())).unwrap();
                let batch = outbox.next_batch().await.unwrap();
                queue.publish_batch(&batch).await.unwrap();
                outbox.acknowledge(batch);
            });
        });
    });
}

criterion_group!(benches, collecting, encoding, publishing, whole_tick);
criterion_main!(benches);
