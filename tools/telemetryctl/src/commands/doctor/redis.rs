//! Redis: the way to it, the queue, and what the user may do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use telemetry_process::report;
use telemetry_proto::v1::HealthStatus;
use telemetry_redis::environment::RedisEnvironment;
use telemetry_redis::{ConnectionSettings, Connector, FailureKind, QueueMode, RedisUrl};

use super::check::Check;
use super::clock;
use super::collector::Facts;
use super::permissions::{self, Writing};
use crate::messages::sample;
use crate::queue::{QueueVariables, is_masked};

const NAME: &str = "redis";
const URL: &str = "TELEMETRY_REDIS__URL";
/// Share of its memory, in percent, from which Redis counts as nearly full.
const NEARLY_FULL: u64 = 90;

/// Looks at the queue of the collector; without a collector, at the one that is named here.
pub(super) async fn checks(facts: Option<&Facts>, here: QueueVariables, limit: Duration) -> Vec<Check> {
    let theirs = facts.map(of_collector).unwrap_or_default();
    let their_url = facts.and_then(|facts| facts.setting(URL));
    if !here.has_url() {
        match their_url {
            None => {
                let message = "not looked at: the collector does not say where it is";
                return vec![Check::warn(NAME, message, format!("set {URL}"))];
            }
            Some(url) if is_masked(url) => {
                let message = "the collector's URL holds a password, which it does not tell";
                return vec![Check::warn(NAME, message, format!("set {URL} or {URL}_FILE here to look at Redis, too"))];
            }
            Some(_) => {}
        }
    }
    let queue = match theirs.overlaid_by(here).read() {
        Ok(queue) => queue,
        Err(invalid) => {
            return vec![Check::warn(NAME, invalid.to_string(), "check the versions of both with --version")];
        }
    };
    let mut checks: Vec<_> = their_url.and_then(|theirs| same_redis(queue.url.expose(), theirs)).into_iter().collect();
    checks.extend(examine(facts, &queue, limit).await);
    checks
}

/// The collector's variables of the queue. Its files are on its host.
fn of_collector(facts: &Facts) -> QueueVariables {
    facts.config.as_ref().map(QueueVariables::of_collector).unwrap_or_default()
}

/// Warns when the URL that is given here names another Redis than the collector's. They are compared without their passwords.
fn same_redis(here: &str, theirs: &str) -> Option<Check> {
    let (Ok(here), Ok(url)) = (here.parse::<RedisUrl>(), theirs.parse::<RedisUrl>()) else { return None };
    let (here, there) = (here.to_string(), url.to_string());
    let remedy = match is_masked(theirs) {
        true => "set it to that one, with the password",
        false => "unset it to look at that one",
    };
    let message = || format!("looking at {here} of {URL} here; the collector uses {there}");
    (here != there).then(|| Check::warn(NAME, message(), remedy))
}

async fn examine(facts: Option<&Facts>, queue: &RedisEnvironment, limit: Duration) -> Vec<Check> {
    let key = match key_of(facts, queue) {
        Ok(key) => key,
        Err(check) => return vec![check],
    };
    let connector = match connector(queue, &key, limit) {
        Ok(connector) => connector,
        Err(check) => return vec![check],
    };
    let mut connection = match connector.connect().await {
        Ok(link) => link.connection,
        Err(failure) => {
            let message = format!("{}: {}", connector.url(), report(&failure));
            return vec![Check::fail(NAME, message, remedy(failure.kind()))];
        }
    };
    let mut checks = vec![Check::ok(NAME, format!("{} answers", connector.url()))];
    checks.extend(memory(&mut connection).await);
    checks.extend(contents(&mut connection, facts, queue.mode, &key).await);
    checks.extend(permissions::checks(&mut connection, &key, writing(facts, queue.mode), is_serving(facts)).await);
    checks.extend(replicas(&mut connection, facts).await);
    checks.extend(time(&mut connection).await);
    checks
}

fn key_of(facts: Option<&Facts>, queue: &RedisEnvironment) -> Result<String, Check> {
    let snapshot = facts.and_then(|facts| facts.snapshot.as_ref().ok());
    let metadata = snapshot.and_then(|snapshot| sample(&snapshot.message)).map(|(metadata, _)| metadata);
    let host = metadata.map_or("", |host| if host.host_id.is_empty() { &host.hostname } else { &host.host_id });
    queue.key_of(host).map_err(|invalid| {
        let invalid = telemetry_settings::InvalidSetting::from(invalid);
        Check::fail(NAME, invalid.to_string(), "correct the setting")
    })
}

fn connector(queue: &RedisEnvironment, key: &str, limit: Duration) -> Result<Connector, Check> {
    let wrong = |error: &dyn std::error::Error| Check::fail(NAME, report(error), "correct the setting");
    let settings = ConnectionSettings {
        url: queue.url.expose().parse().map_err(|error: telemetry_redis::InvalidRedisUrl| wrong(&error))?,
        tls: queue.tls.clone(),
        connect_timeout: limit,
        response_timeout: limit,
    };
    Connector::new(settings, length(queue.mode, key)).map_err(|invalid| {
        let invalid = telemetry_settings::InvalidSetting::from(invalid);
        Check::fail(NAME, invalid.to_string(), "doctor needs the files of the collector's TLS settings on this host")
    })
}

fn length(mode: QueueMode, key: &str) -> redis::Cmd {
    let command = match mode {
        QueueMode::List => "LLEN",
        QueueMode::Stream => "XLEN",
    };
    redis::cmd(command).arg(key).to_owned()
}

fn remedy(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unreachable | FailureKind::TimedOut => "check that Redis runs, the URL and the firewall",
        FailureKind::Refused => "Redis mends this by itself, or needs memory or disk space",
        FailureKind::Rejected => "check login, permissions and certificates",
    }
}

fn writing(facts: Option<&Facts>, mode: QueueMode) -> Writing {
    let setting = |name| facts.and_then(|facts| facts.setting(name));
    Writing {
        mode,
        is_exactly_once: setting("TELEMETRY_REDIS__DELIVERY") == Some("exactly_once"),
        is_capped: setting("TELEMETRY_REDIS__MAX_LENGTH") != Some("0"),
        waits: setting("TELEMETRY_REDIS__WAIT_REPLICAS").is_some_and(|replicas| replicas != "0"),
    }
}

/// Whether the sink delivers.
fn is_serving(facts: Option<&Facts>) -> bool {
    let sink = facts.and_then(|facts| facts.health.component("sink"));
    sink.is_some_and(|sink| sink.status == HealthStatus::Serving)
}

/// Whether there are as many replicas as the collector waits for.
async fn replicas(connection: &mut MultiplexedConnection, facts: Option<&Facts>) -> Option<Check> {
    let wanted: u64 = facts?.setting("TELEMETRY_REDIS__WAIT_REPLICAS")?.parse().ok().filter(|wanted| *wanted > 0)?;
    let info = info(connection, "replication").await?;
    Some(judge_replicas(info.get("connected_slaves")?.parse().ok()?, wanted))
}

fn judge_replicas(connected: u64, wanted: u64) -> Check {
    let message = format!("{connected} of {wanted} replicas are connected");
    if connected < wanted {
        return Check::fail(NAME, message, "start the replicas, or lower TELEMETRY_REDIS__WAIT_REPLICAS");
    }
    Check::ok(NAME, message)
}

/// A section of INFO by name. Nobody needs the permission to ask.
async fn info(connection: &mut MultiplexedConnection, section: &str) -> Option<BTreeMap<String, String>> {
    let info: String = redis::cmd("INFO").arg(section).query_async(connection).await.ok()?;
    let lines = info.lines().filter_map(|line| line.trim_end().split_once(':'));
    Some(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Whether Redis may throw the queue away, or is nearly full.
async fn memory(connection: &mut MultiplexedConnection) -> Option<Check> {
    let info = info(connection, "memory").await?;
    let number = |name: &str| info.get(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
    judge_memory(number("used_memory"), number("maxmemory"), info.get("maxmemory_policy").map_or("", String::as_str))
}

fn judge_memory(used: u64, max: u64, policy: &str) -> Option<Check> {
    if max == 0 {
        return None;
    }
    if policy.starts_with("allkeys") {
        let message = format!("maxmemory-policy is {policy}: when memory is full, Redis may remove the queue");
        return Some(Check::warn(NAME, message, "CONFIG SET maxmemory-policy noeviction"));
    }
    let percent = used.saturating_mul(100) / max;
    (percent >= NEARLY_FULL).then(|| {
        let message = format!("{percent}% of maxmemory is in use: Redis will soon take no messages");
        Check::warn(NAME, message, "raise maxmemory, add consumers, or lower TELEMETRY_REDIS__MAX_LENGTH")
    })
}

/// What the key holds, and how much.
async fn contents(
    connection: &mut MultiplexedConnection,
    facts: Option<&Facts>,
    mode: QueueMode,
    key: &str,
) -> Option<Check> {
    let expected = match mode {
        QueueMode::List => "list",
        QueueMode::Stream => "stream",
    };
    let held: String = redis::cmd("TYPE").arg(key).query_async(connection).await.ok()?;
    if held != "none" && held != expected {
        let message = format!("the key {key} holds a {held}, and the collector writes a {expected}");
        return Some(Check::fail(NAME, message, "change TELEMETRY_REDIS__MODE or TELEMETRY_REDIS__KEY"));
    }
    let length: u64 = length(mode, key).query_async(connection).await.ok()?;
    let cap = facts.and_then(|facts| facts.setting("TELEMETRY_REDIS__MAX_LENGTH")?.parse().ok()).unwrap_or(0);
    Some(judge_length(key, length, cap))
}

fn judge_length(key: &str, length: u64, cap: u64) -> Check {
    if cap > 0 && length >= cap {
        let message = format!("{key} is full: {length} messages, and the oldest are trimmed");
        return Check::warn(NAME, message, "add consumers, or raise TELEMETRY_REDIS__MAX_LENGTH");
    }
    Check::ok(NAME, format!("{length} messages in {key}"))
}

/// The clock of Redis' host.
async fn time(connection: &mut MultiplexedConnection) -> Option<Check> {
    let asked = Instant::now();
    let answer: RedisResult<(u64, u32)> = redis::cmd("TIME").query_async(connection).await;
    let (seconds, micros) = answer.ok()?;
    let theirs = SystemTime::UNIX_EPOCH + Duration::new(seconds, micros.min(999_999) * 1000);
    Some(clock::compare("clock", "the host of Redis", theirs, SystemTime::now(), asked.elapsed()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn warns_when_redis_may_remove_the_queue_or_is_nearly_full() {
        let verdict = |used, max, policy| judge_memory(used, max, policy).map(|check| check.verdict);
        assert_eq!(verdict(100, 0, "noeviction"), None);
        assert_eq!(verdict(10, 100, "noeviction"), None);
        assert_eq!(verdict(90, 100, "noeviction"), Some(Verdict::Warn));
        assert_eq!(verdict(10, 100, "allkeys-lru"), Some(Verdict::Warn));
    }

    #[test]
    fn fails_when_there_are_too_few_replicas() {
        assert_eq!(judge_replicas(1, 1).verdict, Verdict::Ok);
        assert_eq!(judge_replicas(0, 1).verdict, Verdict::Fail);
    }

    #[test]
    fn warns_when_it_looks_at_another_redis_than_the_collector_uses() {
        let message = |here, theirs| same_redis(here, theirs).map(|check| (check.message, check.remedy.unwrap()));
        let (found, remedy) = message("redis://:hunter2@one/0", "redis://two:6379/3").unwrap();
        let expected = "looking at redis://:***@one:6379 database 0 of TELEMETRY_REDIS__URL here; \
                        the collector uses redis://two:6379 database 3";
        assert_eq!((found.as_str(), remedy.as_str()), (expected, "unset it to look at that one"));
        assert_eq!(message("redis://user:hunter2@one", "redis://user:***@one:6379/0"), None);
        let (_, remedy) = message("redis://one", "redis://user:***@one:6379/0").unwrap();
        assert_eq!(remedy, "set it to that one, with the password");
    }

    #[test]
    fn warns_when_the_queue_is_trimmed() {
        assert_eq!(judge_length("q", 99, 100).verdict, Verdict::Ok);
        assert_eq!(judge_length("q", 100, 100).verdict, Verdict::Warn);
        assert_eq!(judge_length("q", 1_000_000, 0).verdict, Verdict::Ok);
    }
}
