//! Events on the host: the clock is changed, or two collectors share a key.

use std::fs;
use std::time::SystemTime;

use telemetry_proto::v1::TelemetryMessage;
use telemetry_testing::RedisServer;

use crate::fault::case::{Case, arrivals, list, outage, samples};
use crate::fault::table::Row;

/// Directories of libfaketime in Debian, per architecture.
const FAKETIME_DIRECTORIES: &[&str] = &["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"];

/// The clock goes back by an hour. Sequence numbers and the sampling interval are not affected.
pub async fn clock_stepped_back() -> Row {
    let library = FAKETIME_DIRECTORIES.iter().map(|directory| format!("{directory}/libfaketime.so.1"));
    let library = library.into_iter().find(|path| fs::exists(path).unwrap());
    let library = library.expect("libfaketime is not installed (Debian: apt-get install libfaketime)");
    let redis = RedisServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let offset = directory.path().join("offset");
    fs::write(&offset, "+0").unwrap();

    let mut case = Case::new(&redis.url());
    case.set("LD_PRELOAD", library);
    case.set("FAKETIME_TIMESTAMP_FILE", offset.display());
    case.set("FAKETIME_NO_CACHE", "1");
    case.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let collector = case.start().await;
    arrivals(&redis, 10).await;
    fs::write(&offset, "-3600").unwrap();
    case.fault("clock set back by an hour");
    arrivals(&redis, 10).await;
    outage(&collector, async { redis.pause() }, async { redis.resume() }).await;
    case.fault("SIGSTOP");
    fs::write(&offset, "+0").unwrap();
    case.fault("clock set to the correct time");
    // Arrivals may be samples from before, which the outage delayed.
    samples(&collector, 10).await;
    case.stop(collector).await;

    let messages = list(&redis).await;
    let hours = messages.windows(2).filter(|pair| jump(pair).abs() > 3000).count();
    assert_eq!(hours, 2, "the clock was not changed twice");
    case.check(&messages)
}

/// Difference in wall-clock time between two messages, in seconds.
fn jump(pair: &[TelemetryMessage]) -> i64 {
    let seconds = |message: &TelemetryMessage| {
        let time = SystemTime::try_from(message.collected_at.unwrap()).unwrap();
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
    };
    seconds(&pair[1]) - seconds(&pair[0])
}

pub async fn two_collectors_one_key() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    let (one, other) = tokio::join!(case.start(), case.start());
    arrivals(&redis, 10).await;
    let both = async || {
        samples(&other, 5).await;
        redis.resume();
    };
    outage(&one, async { redis.pause() }, both()).await;
    case.fault("SIGSTOP");
    arrivals(&redis, 20).await;
    case.stop(one).await;
    case.stop(other).await;
    let row = case.check(&list(&redis).await);
    assert!(row.totals.sampled >= 40, "{:?}", row.totals);
    row
}
