//! What the Redis user may do. The commands of a collector are queued in a transaction that is then discarded: Redis checks
//! the permissions when it queues a command, and runs none.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, RedisResult, Value};
use telemetry_redis::{QueueMode, mark_key};
use uuid::Uuid;

use super::check::Check;

const NAME: &str = "redis";

/// How the collector writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) mode: QueueMode,
    pub(super) is_exactly_once: bool,
    /// Whether the queue has a cap.
    pub(super) is_capped: bool,
    /// Whether replicas are waited for.
    pub(super) waits: bool,
}

/// A command of the collector.
struct Needed {
    command: Cmd,
    name: &'static str,
    /// Whether no message can be delivered without it.
    is_vital: bool,
}

/// Looks at every command. `is_serving` tells that the sink delivers, and so needs no further permission.
pub(super) async fn checks(
    connection: &mut MultiplexedConnection,
    key: &str,
    writing: Writing,
    is_serving: bool,
) -> Vec<Check> {
    let needed = needed(key, writing);
    let names: Vec<_> = needed.iter().map(|needed| needed.name).collect();
    match refused(connection, needed).await {
        Ok(refused) if refused.is_empty() => vec![Check::ok(NAME, format!("may run {}", names.join(", ")))],
        Ok(refused) => refused.iter().map(|(needed, error)| refusal(needed, error, key)).collect(),
        Err(error) => vec![unchecked(&error, is_serving)],
    }
}

/// A user who has only what a collector needs may not run MULTI.
fn unchecked(error: &RedisError, is_serving: bool) -> Check {
    let message = format!("cannot check permissions: {}", said(error));
    if is_serving {
        return Check::ok(NAME, format!("{message}; the sink delivers"));
    }
    Check::warn(NAME, message, "allow MULTI and DISCARD for the check, or use ACL DRYRUN")
}

/// The commands that Redis does not take.
async fn refused(
    connection: &mut MultiplexedConnection,
    needed: Vec<Needed>,
) -> RedisResult<Vec<(Needed, RedisError)>> {
    redis::cmd("MULTI").query_async::<()>(connection).await?;
    let mut refused = Vec::new();
    for needed in needed {
        if let Err(error) = needed.command.query_async::<Value>(connection).await {
            refused.push((needed, error));
        }
    }
    redis::cmd("DISCARD").query_async::<()>(connection).await?;
    Ok(refused)
}

fn refusal(needed: &Needed, error: &RedisError, key: &str) -> Check {
    let message = format!("may not run {}: {}", needed.name, said(error));
    let remedy = if error.code() != Some("NOPERM") {
        "see what Redis says".to_owned()
    } else if message.contains("key") {
        format!("ACL SETUSER <user> ~{key} ~{{{key}}}:*")
    } else {
        format!("ACL SETUSER <user> +{}", needed.name.to_lowercase().replace(' ', "|"))
    };
    if needed.is_vital { Check::fail(NAME, message, remedy) } else { Check::warn(NAME, message, remedy) }
}

/// The server's words.
pub(super) fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

fn needed(key: &str, writing: Writing) -> Vec<Needed> {
    let mut needed = Vec::new();
    let mut need = |is_vital: bool, name: &'static str, arguments: &[&str]| {
        let mut command = Cmd::new();
        command.arg(name.split(' ').collect::<Vec<_>>()).arg(arguments);
        needed.push(Needed { command, name, is_vital });
    };
    let once = writing.is_exactly_once;
    if once {
        let mark = mark_key(key, Uuid::nil());
        need(true, "EVALSHA", &["0000000000000000000000000000000000000000", "2", key, &mark]);
        need(true, "SCRIPT LOAD", &["return 1"]);
        need(true, "GET", &[&mark]);
        need(true, "SET", &[&mark, "0", "EX", "1"]);
    }
    match writing.mode {
        QueueMode::List => {
            need(true, "LPUSH", &[key, "x"]);
            need(once, "LLEN", &[key]);
        }
        QueueMode::Stream => {
            need(true, "XADD", &[key, "*", "message", "x"]);
            need(once, "XLEN", &[key]);
        }
    }
    if writing.is_capped {
        match writing.mode {
            QueueMode::List => need(false, "LTRIM", &[key, "0", "1"]),
            QueueMode::Stream => need(false, "XTRIM", &[key, "MAXLEN", "~", "1"]),
        }
    }
    if writing.waits {
        need(true, "WAIT", &["0", "1"]);
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn names(writing: Writing) -> Vec<&'static str> {
        needed("queue", writing).iter().map(|needed| needed.name).collect()
    }

    #[test]
    fn a_user_who_may_not_run_multi_is_fine_while_the_sink_delivers() {
        let error = RedisError::from((redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm), "NOPERM"));
        assert_eq!(unchecked(&error, true).verdict, Verdict::Ok);
        assert_eq!(unchecked(&error, false).verdict, Verdict::Warn);
    }

    #[test]
    fn asks_for_what_the_settings_need() {
        let list = Writing { mode: QueueMode::List, is_exactly_once: false, is_capped: true, waits: false };
        assert_eq!(names(list), ["LPUSH", "LLEN", "LTRIM"]);
        let stream = Writing { mode: QueueMode::Stream, is_exactly_once: true, is_capped: false, waits: true };
        assert_eq!(names(stream), ["EVALSHA", "SCRIPT LOAD", "GET", "SET", "XADD", "XLEN", "WAIT"]);
    }
}
