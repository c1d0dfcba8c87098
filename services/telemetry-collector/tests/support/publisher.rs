//! The Redis publisher with time limits and messages for tests.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

use telemetry_collector::errors::{PublishingErrorKind, TelemetryError, TelemetryResult};
use telemetry_collector::publishers::{Acknowledgement, Receipt, RedisQueue, RedisSettings};
use telemetry_outbox::{Batch, EncodedMessage};
use telemetry_testing::RedisServer;
use uuid::Uuid;

/// The queue's key.
pub const KEY: &str = "telemetry:test";
/// The instance that the messages are of.
pub const INSTANCE: Uuid = Uuid::from_u128(1);

/// Long enough for a busy machine, short enough for a test that waits for it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// As long.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1500);

pub fn settings(url: impl Into<String>) -> RedisSettings {
    RedisSettings {
        connect_timeout: CONNECT_TIMEOUT,
        response_timeout: RESPONSE_TIMEOUT,
        ..RedisSettings::new(url, KEY)
    }
}

pub fn connect(settings: &RedisSettings) -> RedisQueue {
    RedisQueue::connect_lazily(settings).unwrap()
}

/// A list without a cap.
pub fn queue(url: impl Into<String>) -> RedisQueue {
    connect(&settings(url))
}

/// Messages that only say their numbers.
pub fn messages(sequences: RangeInclusive<u64>) -> Batch {
    let message = |sequence: u64| EncodedMessage { sequence, body: sequence.to_string().into(), is_gap_record: false };
    Batch { instance_id: INSTANCE, acknowledged: 0, messages: sequences.map(message).collect() }
}

pub fn message(sequence: u64) -> Batch {
    messages(sequence..=sequence)
}

/// What the server said when it took the messages.
pub fn taken(receipt: TelemetryResult<Receipt>) -> Acknowledgement {
    match receipt.unwrap() {
        Receipt::Taken(acknowledgement) => acknowledgement,
        receipt @ Receipt::Behind { .. } => panic!("{receipt:?}"),
    }
}

pub fn in_queue(queue_length: u64, trimmed: u64) -> Acknowledgement {
    Acknowledgement { queue_length, trimmed, high_water: None }
}

/// The numbers in the list, in the order in which a consumer gets them.
pub async fn pop_all(server: &RedisServer) -> Vec<u64> {
    server.command::<Option<Vec<u64>>>(&["RPOP", KEY, "1000000"]).await.unwrap_or_default()
}

pub fn kind<T: Debug>(result: TelemetryResult<T>) -> PublishingErrorKind {
    match result.unwrap_err() {
        TelemetryError::Publishing { kind, .. } => kind,
        error => panic!("not an error of publishing: {error}"),
    }
}
