//! Outages that exceed the outbox.

use telemetry_proto::v1::GapReason;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_testing::RedisServer;

use crate::fault::case::{Case, OUTAGE_ENDED, arrivals, list, samples, wait_for_log};
use crate::fault::table::Row;

/// Makes samples so large that twenty of them take one megabyte.
pub(super) fn with_large_samples(case: &mut Case) {
    case.set("TELEMETRY_COLLECTION__LABELS", format!("ballast={}", "x".repeat(48 << 10)));
}

/// Runs an outage of sixty samples. The outbox has room for twenty.
async fn overflow(case: &mut Case, redis: &RedisServer) {
    with_large_samples(case);
    case.set("TELEMETRY_OUTBOX__MAX_BYTES", "1MiB");
    let collector = case.start().await;
    arrivals(redis, 5).await;
    redis.pause();
    case.fault("outage beyond the outbox");
    samples(&collector, 60).await;
    wait_for_log(&collector, OUTAGE_ENDED, async { redis.resume() }).await;
    arrivals(redis, 5).await;
    case.stop(collector).await;
}

pub async fn outbox_overflows() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    overflow(&mut case, &redis).await;
    let messages = list(&redis).await;
    let reported = messages.iter().any(|message| {
        matches!(&message.payload, Some(Payload::Gap(gap)) if gap.reason() == GapReason::OutboxFull && gap.count >= 20)
    });
    assert!(reported, "no gap record of the outbox");
    case.check(&messages)
}

/// Keeps some messages of the whole outage instead of all messages of its end.
pub async fn outbox_decimates() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    case.set("TELEMETRY_OUTBOX__ON_FULL", "decimate");
    overflow(&mut case, &redis).await;
    let messages = list(&redis).await;
    let named: Vec<_> = messages
        .iter()
        .filter_map(|message| match &message.payload {
            Some(Payload::Gap(gap)) if gap.reason() == GapReason::Decimated => Some(&gap.missing),
            _ => None,
        })
        .flatten()
        .collect();
    let longest = named.iter().map(|range| range.count()).max().expect("no gap record of the outbox");
    assert!(named.len() >= 5 && longest <= 10, "not evenly spread: {named:?}");
    case.check(&messages)
}
