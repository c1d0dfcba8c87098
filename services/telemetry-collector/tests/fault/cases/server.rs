//! What happens to a Redis server: it is away, hangs, is full, or is made to forget.

use telemetry_testing::RedisServer;
use tokio::time::{Duration, sleep};

use crate::fault::case::{Case, KEY, OUTAGE_BEGAN, OUTAGE_ENDED, arrivals, hears, list, outage, samples};
use crate::fault::soak;
use crate::fault::table::Row;

pub async fn down_at_start() -> Row {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    case.fault("start without a server");
    samples(&collector, 10).await;
    hears(&collector, OUTAGE_ENDED, redis.restart()).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

/// With every write synced before it is acknowledged, what was acknowledged is there after the crash.
pub async fn killed_and_restarted() -> Row {
    let mut redis = RedisServer::start_with(RedisServer::PERSISTENT).await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    for _ in 0..3 {
        arrivals(&redis, 5).await;
        hears(&collector, OUTAGE_BEGAN, redis.kill()).await;
        case.fault("kill -9 of the server");
        samples(&collector, 5).await;
        hears(&collector, OUTAGE_ENDED, redis.restart()).await;
    }
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

pub async fn stopped_and_continued() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    arrivals(&redis, 5).await;
    let hang = async {
        // Longer than the time-outs, and in a soak as long as people wait before they act.
        sleep(Duration::from_secs(if soak::duration().is_some() { 30 } else { 5 })).await;
        redis.resume();
    };
    outage(&collector, async { redis.pause() }, hang).await;
    case.fault("SIGSTOP");
    arrivals(&redis, 5).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

pub async fn memory_full_then_freed() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    for _ in 0..2 {
        arrivals(&redis, 5).await;
        let full = redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        outage(&collector, full, redis.command(&["CONFIG", "SET", "maxmemory", "0"])).await;
        case.fault("maxmemory reached");
    }
    assert!(collector.log().contains("OOM command not allowed"), "{}", collector.log());
    arrivals(&redis, 5).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

/// What was in the list is gone, as somebody wanted; what comes after is all there.
pub async fn flushed() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    arrivals(&redis, 10).await;
    // In one step, so that it is known what Redis had taken.
    let flush = "local n = redis.call('LLEN', KEYS[1]) redis.call('FLUSHALL') return n";
    let forgotten: u64 = redis.command(&["EVAL", flush, "1", KEY]).await;
    case.fault(&format!("FLUSHALL of {forgotten} messages"));
    case.forget(1..=forgotten);
    arrivals(&redis, 10).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

/// Valkey is to Redis' clients what Redis is.
pub async fn valkey() -> Row {
    let mut valkey = RedisServer::start_valkey(RedisServer::PERSISTENT).await;
    let mut case = Case::new(&valkey.url());
    let collector = case.start().await;
    arrivals(&valkey, 5).await;
    outage(&collector, async { valkey.pause() }, async { valkey.resume() }).await;
    case.fault("SIGSTOP");
    hears(&collector, OUTAGE_BEGAN, valkey.kill()).await;
    case.fault("kill -9 of the server");
    hears(&collector, OUTAGE_ENDED, valkey.restart()).await;
    case.stop(collector).await;
    case.check(&list(&valkey).await)
}
