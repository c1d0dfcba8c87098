//! A queue and the collectors that write it, as far as a consumer can see.

use std::time::{Duration, SystemTime};

use telemetry_client::consumer::Envelope;
use telemetry_client::proto::{GapReason, GapRecord, Stamp, TelemetryMessage};
use telemetry_client::{ConsumerSettings, Delivery, Event, QueueConsumer};
use telemetry_testing::{PATIENCE, RedisServer};
use tokio::time::timeout;
use uuid::Uuid;

pub const QUEUE: &str = "telemetry:queue";
pub const DEAD: &str = "{telemetry:queue}:dead";

pub fn settings(redis: &RedisServer) -> ConsumerSettings {
    ConsumerSettings::new(redis.unix_url(), QUEUE).retry(Duration::from_millis(10), Duration::from_millis(100))
}

pub fn consumer(redis: &RedisServer) -> QueueConsumer {
    QueueConsumer::connect(settings(redis)).unwrap()
}

/// A message with `sequence` of `instance`; what it says matters to nobody here.
pub fn message(instance: Uuid, sequence: u64) -> TelemetryMessage {
    gap_of(instance, sequence, GapRecord::new([u64::MAX - 1..=u64::MAX - 1], GapReason::OutboxFull))
}

pub fn gap_of(instance: Uuid, sequence: u64, record: GapRecord) -> TelemetryMessage {
    let stamp = Stamp { message_id: Uuid::now_v7(), instance_id: instance, sequence, collected_at: SystemTime::now() };
    TelemetryMessage::new(stamp, record)
}

/// Pushes as the collector does.
pub async fn push(redis: &RedisServer, element: impl AsRef<[u8]>) {
    redis.run(redis::cmd("LPUSH").arg(QUEUE).arg(element.as_ref())).await;
}

pub async fn push_numbers(redis: &RedisServer, instance: Uuid, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        push(redis, message(instance, number).to_json().unwrap()).await;
    }
}

pub async fn length(redis: &RedisServer, key: &str) -> u64 {
    redis.command(&["LLEN", key]).await
}

/// How many messages consumers have taken and not acknowledged.
pub async fn held(redis: &RedisServer) -> u64 {
    let lists: Vec<String> = redis.command(&["KEYS", "*:processing:*"]).await;
    let mut held = 0;
    for list in lists {
        held += length(redis, &list).await;
    }
    held
}

/// The next outcome, whatever it is.
pub async fn outcome(consumer: &mut QueueConsumer) -> Result<Delivery, telemetry_client::ConsumerError> {
    timeout(PATIENCE, consumer.next()).await.expect("nothing comes")
}

/// The next event.
pub async fn event(consumer: &mut QueueConsumer) -> Delivery {
    outcome(consumer).await.unwrap()
}

/// The next message, past whatever is none.
pub async fn next_message(consumer: &mut QueueConsumer) -> (Envelope, Delivery) {
    loop {
        let delivery = event(consumer).await;
        if let Some(envelope) = delivery.event().envelope().cloned() {
            return (envelope, delivery);
        }
        assert!(matches!(delivery.event(), Event::InstanceStarted { .. }), "{delivery:?}");
    }
}

/// The numbers of the next `count` messages, each acknowledged.
pub async fn numbers(consumer: &mut QueueConsumer, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let (envelope, delivery) = next_message(consumer).await;
        delivery.ack().await.unwrap();
        numbers.push(envelope.sequence);
    }
    numbers
}
