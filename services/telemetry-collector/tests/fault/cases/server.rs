//! Faults of a Redis server: it is down, hangs, is out of memory, or loses its data.

use telemetry_testing::RedisServer;
use tokio::time::{Duration, sleep};

use crate::fault::case::{Case, KEY, OUTAGE_BEGAN, OUTAGE_ENDED, arrivals, list, outage, samples, wait_for_log};
use crate::fault::soak;
use crate::fault::table::Row;

pub async fn down_at_start() -> Row {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    case.fault("start without a server");
    samples(&collector, 10).await;
    wait_for_log(&collector, OUTAGE_ENDED, redis.restart()).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

/// Every write is synced before it is acknowledged, so acknowledged messages survive the crash.
pub async fn killed_and_restarted() -> Row {
    let mut redis = RedisServer::start_with(RedisServer::PERSISTENT).await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    for _ in 0..3 {
        arrivals(&redis, 5).await;
        wait_for_log(&collector, OUTAGE_BEGAN, redis.kill()).await;
        case.fault("kill -9 of the server");
        samples(&collector, 5).await;
        wait_for_log(&collector, OUTAGE_ENDED, redis.restart()).await;
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
        // Longer than the timeouts. In a soak, as long as it takes an operator to react.
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

/// Messages in the list are deleted on purpose. All later ones arrive.
pub async fn flushed() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    arrivals(&redis, 10).await;
    // In one step, so that the number of deleted messages is known.
    let flush = "local n = redis.call('LLEN', KEYS[1]) redis.call('FLUSHALL') return n";
    let forgotten: u64 = redis.command(&["EVAL", flush, "1", KEY]).await;
    case.fault(&format!("FLUSHALL of {forgotten} messages"));
    case.forget(1..=forgotten);
    arrivals(&redis, 10).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

/// Valkey works in place of Redis.
pub async fn valkey() -> Row {
    let mut valkey = RedisServer::start_valkey(RedisServer::PERSISTENT).await;
    let mut case = Case::new(&valkey.url());
    let collector = case.start().await;
    arrivals(&valkey, 5).await;
    outage(&collector, async { valkey.pause() }, async { valkey.resume() }).await;
    case.fault("SIGSTOP");
    wait_for_log(&collector, OUTAGE_BEGAN, valkey.kill()).await;
    case.fault("kill -9 of the server");
    wait_for_log(&collector, OUTAGE_ENDED, valkey.restart()).await;
    case.stop(collector).await;
    case.check(&list(&valkey).await)
}
