//! An outage that outlasts the memory for it.

use telemetry_proto::v1::GapReason;
use telemetry_proto::v1::telemetry_message::Payload;

use crate::fault::case::{Case, OUTAGE_ENDED, arrivals, hears, list, samples};
use crate::fault::table::Row;
use crate::support::redis_server::RedisServer;

/// Makes samples so large that two dozen of them are more than the smallest outbox holds.
fn with_little_room(case: &mut Case) {
    case.set("TELEMETRY_OUTBOX__MAX_BYTES", "1MiB");
    case.set("TELEMETRY_COLLECTION__LABELS", format!("ballast={}", "x".repeat(48 << 10)));
}

async fn overflow(case: &mut Case, redis: &mut RedisServer) {
    with_little_room(case);
    let collector = case.start().await;
    arrivals(redis, 5).await;
    redis.pause();
    case.fault("outage beyond the outbox");
    samples(&collector, 60).await;
    hears(&collector, OUTAGE_ENDED, async { redis.resume() }).await;
    arrivals(redis, 5).await;
    case.stop(collector).await;
}

pub async fn outbox_overflows() -> Row {
    let mut redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    overflow(&mut case, &mut redis).await;
    let messages = list(&redis).await;
    let told = messages.iter().any(|message| {
        matches!(&message.payload, Some(Payload::Gap(gap)) if gap.reason() == GapReason::OutboxFull && gap.count >= 20)
    });
    assert!(told, "no gap record of the outbox");
    case.check(&messages)
}
