//! The Redis publisher with settings and messages for tests.

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
/// Instance ID of the messages.
pub const INSTANCE: Uuid = Uuid::from_u128(1);

/// Connect timeout: long enough for a loaded machine, short enough for tests that wait for it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Response timeout.
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

/// A list without a maximum length.
pub fn queue(url: impl Into<String>) -> RedisQueue {
    connect(&settings(url))
}

/// Messages whose body is their sequence number.
pub fn messages(sequences: RangeInclusive<u64>) -> Batch {
    let message = |sequence: u64| EncodedMessage {
        sequence,
        body: sequence.to_string().into(),
        is_gap_record: false,
        is_sample: true,
    };
    Batch { instance_id: INSTANCE, acknowledged: 0, messages: sequences.map(message).collect() }
}

pub fn message(sequence: u64) -> Batch {
    messages(sequence..=sequence)
}

/// The acknowledgement of accepted messages.
pub fn taken(receipt: TelemetryResult<Receipt>) -> Acknowledgement {
    match receipt.unwrap() {
        Receipt::Taken(acknowledgement) => acknowledgement,
        receipt @ Receipt::Behind { .. } => panic!("{receipt:?}"),
    }
}

pub fn in_queue(queue_length: u64, trimmed: u64) -> Acknowledgement {
    Acknowledgement { queue_length, trimmed, high_water: None }
}

/// Removes all messages and returns their sequence numbers, in the order in which a consumer gets them.
pub async fn pop_all(server: &RedisServer) -> Vec<u64> {
    server.command::<Option<Vec<u64>>>(&["RPOP", KEY, "1000000"]).await.unwrap_or_default()
}

pub fn kind<T: Debug>(result: TelemetryResult<T>) -> PublishingErrorKind {
    match result.unwrap_err() {
        TelemetryError::Publishing { kind, .. } => kind,
        error => panic!("not a publishing error: {error}"),
    }
}
