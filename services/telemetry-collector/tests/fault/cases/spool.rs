//! The spool: messages on disk survive the end of the process, and faults of the disk itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{GapReason, TelemetryMessage};
use telemetry_testing::RedisServer;
use tempfile::TempDir;
use tokio::time::sleep;

use super::outbox::with_large_samples;
use crate::fault::case::{Case, OUTAGE_BEGAN, OUTAGE_ENDED, arrivals, list, samples, wait_for_log};
use crate::fault::random;
use crate::fault::table::Row;
use crate::support::collector::Collector;

struct Rig {
    redis: RedisServer,
    directory: TempDir,
    case: Case,
}

impl Rig {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let directory = tempfile::tempdir().unwrap();
        let mut case = Case::new(&redis.url());
        case.set("TELEMETRY_SPOOL__DIR", directory.path().display());
        Self { redis, directory, case }
    }

    /// Makes Redis hang and waits until the collector logs the outage.
    async fn hang(&mut self, collector: &Collector) {
        wait_for_log(collector, OUTAGE_BEGAN, async { self.redis.pause() }).await;
        self.case.fault("SIGSTOP of the server");
    }

    /// Kills the collector. All messages on disk must arrive. At most the last few samples may not be on disk yet.
    async fn kill(&mut self, collector: Collector) {
        let (instance, sampled) = self.case.kill(collector).await;
        self.case.fault("kill -9 of the collector");
        let spooled = spooled(&self.directory.path().join(&instance));
        assert!(spooled == 0 || spooled + 5 >= sampled, "{sampled} sampled, up to {spooled} in the spool");
        self.case.expect(&instance, spooled);
    }

    async fn end(mut self, collector: Collector) -> (Row, Vec<TelemetryMessage>) {
        self.case.complete(&self.redis).await;
        self.case.stop(collector).await;
        let messages = list(&self.redis).await;
        (self.case.check(&messages), messages)
    }
}

pub async fn collector_killed_ten_times() -> Row {
    let mut rig = Rig::start().await;
    rig.case.exactly_once();
    let mut random = random::generator("collector_killed_ten_times");
    for _ in 0..10 {
        let hangs = random.random_bool(0.5);
        if hangs {
            rig.redis.pause();
            rig.case.fault("SIGSTOP of the server");
        }
        let collector = rig.case.start().await;
        sleep(random.random_range(Duration::ZERO..Duration::from_millis(1500))).await;
        rig.kill(collector).await;
        if hangs {
            rig.redis.resume();
        }
    }
    let collector = rig.case.start().await;
    rig.end(collector).await.0
}

pub async fn ended_in_an_outage() -> Row {
    let mut rig = Rig::start().await;
    rig.case.set("TELEMETRY_SHUTDOWN__GRACE", "200ms");
    let collector = rig.case.start().await;
    arrivals(&rig.redis, 5).await;
    rig.hang(&collector).await;
    samples(&collector, 10).await;
    let log = rig.case.stop_early(collector).await;
    rig.case.fault("SIGTERM");
    assert!(log.contains("is in the spool for the next start"), "{log}");
    rig.case.set("TELEMETRY_SHUTDOWN__GRACE", "30s");
    rig.redis.resume();
    let collector = rig.case.start().await;
    rig.end(collector).await.0
}

/// Redis restarts from a snapshot that lacks acknowledged messages. The collector detects this by the mark in Redis and
/// sends the lost messages again.
pub async fn acknowledged_and_forgotten() -> Row {
    let mut rig = Rig::start().await;
    rig.case.exactly_once();
    let collector = rig.case.start().await;
    for _ in 0..2 {
        arrivals(&rig.redis, 5).await;
        rig.redis.command::<()>(&["SAVE"]).await;
        arrivals(&rig.redis, 10).await;
        wait_for_log(&collector, OUTAGE_BEGAN, rig.redis.kill()).await;
        rig.case.fault("restart of the server from an old snapshot");
        let lost = "the destination lost messages that it had acknowledged; sending them again";
        wait_for_log(&collector, lost, rig.redis.restart()).await;
    }
    rig.end(collector).await.0
}

/// The spool is on a file system of half a megabyte, which disappears with the collector.
pub async fn disk_full() -> Row {
    let mut rig = Rig::start().await;
    with_large_samples(&mut rig.case);
    // `unshare` cannot make mounts private in a chroot, which Bazel uses on a closed network: `/` is not a mount point
    // there. The mounts are already private in that case.
    let mount = "mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size=512k spool \"$0\" && exec \"$@\"";
    let directory = rig.directory.path().display().to_string();
    // Without root, mounting requires a user namespace.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = vec!["unshare", "--mount", "--propagation", "unchanged"];
    if !is_root {
        command.push("--map-root-user");
    }
    command.extend(["sh", "-c", mount, &directory]);
    let collector = rig.case.start_through(&command).await;
    arrivals(&rig.redis, 5).await;
    wait_for_log(&collector, "the spool takes no messages", rig.hang(&collector)).await;
    rig.case.fault("file system full");
    samples(&collector, 20).await;
    wait_for_log(&collector, OUTAGE_ENDED, async { rig.redis.resume() }).await;
    let (row, _) = rig.end(collector).await;
    assert_eq!(row.totals.named, 0, "the outbox has room for all messages");
    row
}

pub async fn spool_full() -> Row {
    let mut rig = Rig::start().await;
    with_large_samples(&mut rig.case);
    rig.case.set("TELEMETRY_SPOOL__MAX_BYTES", "4MiB");
    let collector = rig.case.start().await;
    arrivals(&rig.redis, 5).await;
    rig.hang(&collector).await;
    rig.case.fault("outage beyond the spool");
    samples(&collector, 110).await;
    wait_for_log(&collector, OUTAGE_ENDED, async { rig.redis.resume() }).await;
    let (row, messages) = rig.end(collector).await;
    assert!(reported(&messages, GapReason::SpoolFull) > 0, "no gap record of the spool");
    row
}

pub async fn spool_removed() -> Row {
    let mut rig = Rig::start().await;
    let collector = rig.case.start().await;
    arrivals(&rig.redis, 5).await;
    rig.hang(&collector).await;
    samples(&collector, 10).await;
    fs::remove_dir_all(rig.directory.path()).unwrap();
    rig.case.fault("spool's directory removed");
    samples(&collector, 10).await;
    wait_for_log(&collector, OUTAGE_ENDED, async { rig.redis.resume() }).await;
    rig.end(collector).await.0
}

pub async fn spool_with_flipped_bits() -> Row {
    let mut rig = Rig::start().await;
    let collector = rig.case.start().await;
    arrivals(&rig.redis, 5).await;
    rig.hang(&collector).await;
    samples(&collector, 30).await;
    rig.kill(collector).await;
    let mut random = random::generator("spool_with_flipped_bits");
    for file in segments(rig.directory.path()) {
        let mut bytes = fs::read(&file).unwrap();
        // Damage at the end cannot be distinguished from a torn write, whose sequence number is unknown.
        let sound = 3 * bytes.len() / 4;
        for _ in 0..5 {
            bytes[random.random_range(0..sound)] ^= 1 << random.random_range(0..8);
            rig.case.fault("flipped bit");
        }
        fs::write(&file, bytes).unwrap();
    }
    rig.redis.resume();
    let collector = rig.case.start().await;
    let (row, messages) = rig.end(collector).await;
    assert!(reported(&messages, GapReason::SpoolDamaged) > 0, "no gap record of the damage");
    row
}

pub async fn two_collectors_one_spool() -> Row {
    let mut rig = Rig::start().await;
    let (one, other) = tokio::join!(rig.case.start(), rig.case.start());
    arrivals(&rig.redis, 10).await;
    rig.hang(&one).await;
    samples(&one, 10).await;
    samples(&other, 10).await;
    rig.kill(one).await;
    // `other` is still running, so the third collector must not touch its part of the spool.
    let third = rig.case.start().await;
    rig.redis.resume();
    arrivals(&rig.redis, 20).await;
    rig.kill(other).await;
    rig.case.stop(third).await;
    let last = rig.case.start().await;
    rig.end(last).await.0
}

/// Number of lost messages that gap records with this `reason` report.
fn reported(messages: &[TelemetryMessage], reason: GapReason) -> u64 {
    let gaps = messages.iter().filter_map(|message| match &message.payload {
        Some(Payload::Gap(gap)) if gap.reason() == reason => Some(gap.count),
        _ => None,
    });
    gaps.sum()
}

/// The highest sequence number in a log of the spool, which contains messages as JSON; 0 if there is none.
fn spooled(log: &Path) -> u64 {
    const FIELD: &str = "\"sequence\":\"";
    let numbers = segments(log).into_iter().filter_map(|segment| {
        let bytes = fs::read(segment).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (_, last) = text.rsplit_once(FIELD)?;
        last.split('"').next()?.parse().ok()
    });
    numbers.max().unwrap_or_default()
}

/// All segments in `directory` and its subdirectories.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { segments(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    found.sort();
    found
}
