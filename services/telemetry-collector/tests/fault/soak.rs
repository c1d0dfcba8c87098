//! A long run with a fault every few seconds, to find leaks and rare combinations of faults.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;
use telemetry_testing::{Proxy, RedisServer, Way};
use tokio::time::sleep;

use super::case::{Case, KEY, arrivals, list};
use super::random;
use super::table::Row;
use crate::support::collector::Collector;

/// Duration of the soak, for example `30m`. If it is not set, the soak does not run.
const VARIABLE: &str = "TELEMETRY_SOAK";
/// Maximum time between two faults.
const MAX_PAUSE: Duration = Duration::from_secs(4);
/// Maximum duration of a fault.
const MAX_FAULT_DURATION: Duration = Duration::from_secs(4);
/// Maximum memory growth per hour. The first part of the run (`1 / SETTLING_SHARE`) is ignored, because the allocator
/// has not settled yet.
const MAX_GROWTH_KIB_PER_HOUR: f64 = 1024.0;
const SETTLING_SHARE: u32 = 6;

/// Duration of the soak, if it is enabled.
pub fn duration() -> Option<Duration> {
    let value = env::var(VARIABLE).ok().filter(|value| !value.is_empty())?;
    Some(humantime::parse_duration(&value).unwrap_or_else(|error| panic!("{VARIABLE} {value:?}: {error}")))
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut,
    Reset,
    ResetInBatch,
    ResetInAnswer,
    Refuse,
    SilenceToServer,
    SilenceToClient,
    BlackHole,
    Latency,
    Stop,
    Kill,
    MemoryFull,
    OtherType,
}

const FAULTS: &[Fault] = &[
    Fault::Cut,
    Fault::Reset,
    Fault::ResetInBatch,
    Fault::ResetInAnswer,
    Fault::Refuse,
    Fault::SilenceToServer,
    Fault::SilenceToClient,
    Fault::BlackHole,
    Fault::Latency,
    Fault::Stop,
    Fault::Kill,
    Fault::MemoryFull,
    Fault::OtherType,
];

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Cut => "connection closed",
            Self::Reset => "connection reset",
            Self::ResetInBatch => "reset inside a batch",
            Self::ResetInAnswer => "reset inside the answer",
            Self::Refuse => "connection refused",
            Self::SilenceToServer => "silence to the server",
            Self::SilenceToClient => "silence to the client",
            Self::BlackHole => "silence both ways",
            Self::Latency => "latency",
            Self::Stop => "SIGSTOP",
            Self::Kill => "kill -9 of the server",
            Self::MemoryFull => "maxmemory reached",
            Self::OtherType => "key of another type",
        }
    }
}

struct Soak {
    redis: RedisServer,
    proxy: Proxy,
    random: SmallRng,
}

/// Resource usage of a process.
#[derive(Debug, Clone, Copy)]
struct Reading {
    minutes: f64,
    rss_kib: f64,
    descriptors: usize,
}

pub async fn soak() -> Row {
    let duration = duration().expect("TELEMETRY_SOAK is set");
    let redis = RedisServer::start_with(RedisServer::PERSISTENT).await;
    let proxy = Proxy::start(redis.port()).await;
    let mut case = Case::new(&format!("redis://{}", proxy.address()));
    let directory = tempfile::tempdir().unwrap();
    case.exactly_once().set("TELEMETRY_SPOOL__DIR", directory.path().display());
    let collector = case.start().await;
    arrivals(&redis, 5).await;

    let started = Instant::now();
    let mut soak = Soak { redis, proxy, random: random::generator("soak") };
    let mut readings = Vec::new();
    while started.elapsed() < duration {
        let fault = FAULTS[soak.random.random_range(0..FAULTS.len())];
        let lasts = soak.random.random_range(Duration::from_millis(100)..MAX_FAULT_DURATION);
        soak.inject(fault, lasts).await;
        case.fault(fault.name());
        sleep(soak.random.random_range(Duration::from_millis(500)..MAX_PAUSE)).await;
        readings.push(Reading::take(&collector, started));
    }
    arrivals(&soak.redis, 20).await;
    readings.push(Reading::take(&collector, started));
    case.stop(collector).await;

    let mut row = case.check(&list(&soak.redis).await);
    row.notes = verdict(&readings, duration);
    row
}

impl Soak {
    /// Starts a fault, waits for the time it `lasts`, and ends it.
    async fn inject(&mut self, fault: Fault, lasts: Duration) {
        let Self { redis, proxy, random } = self;
        match fault {
            Fault::Cut => proxy.cut(),
            Fault::Reset => proxy.reset(),
            Fault::ResetInBatch => proxy.reset_after(Way::ToServer, random.random_range(0..3000)),
            Fault::ResetInAnswer => proxy.reset_after(Way::ToClient, random.random_range(0..3)),
            Fault::Refuse => proxy.refuse(),
            Fault::SilenceToServer => proxy.silence(Way::ToServer),
            Fault::SilenceToClient => proxy.silence(Way::ToClient),
            Fault::BlackHole => proxy.black_hole(),
            Fault::Latency => proxy.delay(lasts / 4),
            Fault::Stop => redis.pause(),
            Fault::Kill => redis.kill().await,
            Fault::MemoryFull => redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await,
            Fault::OtherType => {
                let other_type = "redis.call('RENAME', KEYS[1], 'aside') return redis.call('SET', KEYS[1], 'text')";
                redis.command(&["EVAL", other_type, "1", KEY]).await
            }
        }
        sleep(lasts).await;
        proxy.heal();
        match fault {
            Fault::Stop => redis.resume(),
            Fault::Kill => redis.restart().await,
            Fault::MemoryFull => redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await,
            Fault::OtherType => redis.command(&["RENAME", "aside", KEY]).await,
            _ => {}
        }
    }
}

impl Reading {
    fn take(collector: &Collector, started: Instant) -> Self {
        let process = format!("/proc/{}", collector.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            minutes: started.elapsed().as_secs_f64() / 60.0,
            rss_kib: rss.trim().trim_end_matches(" kB").parse().unwrap(),
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
        }
    }
}

/// Returns a summary of memory and file descriptors. Panics if they grew.
fn verdict(readings: &[Reading], duration: Duration) -> Vec<String> {
    let settled = (duration / SETTLING_SHARE).as_secs_f64() / 60.0;
    let settled: Vec<_> = readings.iter().filter(|reading| reading.minutes >= settled).copied().collect();
    let (first, last) = (settled[0], settled[settled.len() - 1]);
    let slope = slope(&settled) * 60.0;
    let most = settled.iter().map(|reading| reading.descriptors).max().unwrap();
    let notes = vec![
        format!(
            "memory (RSS): {:.0} KiB at minute {:.0}, {:.0} KiB at minute {:.0}; slope {slope:+.0} KiB per hour",
            first.rss_kib, first.minutes, last.rss_kib, last.minutes
        ),
        format!(
            "file descriptors: {} at the start, {} at the end, {most} at most",
            first.descriptors, last.descriptors
        ),
    ];
    // In a short run, the slope is mostly noise.
    if duration >= Duration::from_secs(20 * 60) {
        assert!(slope <= MAX_GROWTH_KIB_PER_HOUR, "memory grows: {notes:?}");
    }
    assert!(last.descriptors <= first.descriptors + 2, "file descriptors leak: {notes:?}");
    notes
}

/// Growth of memory in KiB per minute, by least squares.
fn slope(readings: &[Reading]) -> f64 {
    let count = readings.len() as f64;
    let mean = |value: fn(&Reading) -> f64| readings.iter().map(value).sum::<f64>() / count;
    let (minutes, rss) = (mean(|reading| reading.minutes), mean(|reading| reading.rss_kib));
    let covariance: f64 = readings.iter().map(|reading| (reading.minutes - minutes) * (reading.rss_kib - rss)).sum();
    let variance: f64 = readings.iter().map(|reading| (reading.minutes - minutes).powi(2)).sum();
    covariance / variance
}
