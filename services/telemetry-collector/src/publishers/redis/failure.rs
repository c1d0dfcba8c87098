//! What an error of Redis, or of the way to it, means for the delivery.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::PoolError;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use thiserror::Error;

use crate::errors::{Cause, InvalidSetting, PublishingErrorKind, TelemetryError};

/// What a script is told, before Redis 7.2 and since, of a command that its user may not run.
const FORBIDDEN_IN_SCRIPT: [&str; 2] = ["user executing the script can't run this command", "ACL failure in script"];

/// Why something failed, classified; what it was is not known yet.
#[derive(Debug)]
pub(super) struct Failure {
    kind: PublishingErrorKind,
    cause: Cause,
}

/// A server's refusal in its own words.
#[derive(Debug, Error)]
#[error("{code} {detail}")]
struct Refusal {
    code: String,
    detail: String,
}

#[derive(Debug, Error)]
#[error("no connection within {0:?}")]
struct NoConnection(Duration);

#[derive(Debug, Error)]
#[error("the queue is closed")]
struct Closed;

/// Where something failed, when that is not the destination itself.
#[derive(Debug, Error)]
#[error("{place}")]
struct At {
    place: String,
    #[source]
    source: Cause,
}

#[derive(Debug, Error)]
#[error("it knows no master named {0:?}")]
struct UnknownMaster(String);

#[derive(Debug, Error)]
#[error("{address} is named as the master and says that it is a {role}")]
struct NotMaster {
    address: String,
    role: String,
}

#[derive(Debug, Error)]
#[error("{0} redirects in a row")]
struct TooManyRedirects(usize);

#[derive(Debug, Error)]
#[error("not enough replicas: {reached} of {wanted} have it")]
struct NotEnoughReplicas {
    reached: u64,
    wanted: u32,
}

#[derive(Debug, Error)]
#[error("{0}; the server belongs to a Cluster, whose URL begins with redis+cluster://")]
struct NeedsCluster(Cause);

#[derive(Debug, Error)]
#[error("{refusal}; this user needs the permissions {needed}")]
struct NotPermitted {
    refusal: Cause,
    needed: &'static str,
}

impl Failure {
    /// No connection was to be had within `limit`.
    pub(super) fn no_connection(limit: Duration) -> Self {
        Self { kind: PublishingErrorKind::Unreachable, cause: NoConnection(limit).into() }
    }

    /// The Sentinel that was asked does not watch `name`.
    pub(super) fn unknown_master(name: &str) -> Self {
        Self { kind: PublishingErrorKind::Rejected, cause: UnknownMaster(name.to_owned()).into() }
    }

    /// The server that should be the master is none.
    pub(super) fn not_master(address: &str, role: &str) -> Self {
        let cause = NotMaster { address: address.to_owned(), role: role.to_owned() }.into();
        Self { kind: PublishingErrorKind::Refused, cause }
    }

    /// The nodes of a Cluster do not agree on who holds the key.
    pub(super) fn too_many_redirects(count: usize) -> Self {
        Self { kind: PublishingErrorKind::Refused, cause: TooManyRedirects(count).into() }
    }

    /// The master has the messages, and too few of its replicas have.
    pub(super) fn not_enough_replicas(reached: u64, wanted: u32) -> Self {
        Self { kind: PublishingErrorKind::Refused, cause: NotEnoughReplicas { reached, wanted }.into() }
    }

    /// A setting turned out to be wrong after the start.
    pub(super) fn setting(setting: InvalidSetting) -> Self {
        Self { kind: PublishingErrorKind::Rejected, cause: setting.into() }
    }

    /// The failure, and where it was.
    pub(super) fn at(self, place: impl Into<String>) -> Self {
        Self { kind: self.kind, cause: At { place: place.into(), source: self.cause }.into() }
    }

    /// The same failure while nothing had been pushed yet, so that a time-out is not an ambiguous one.
    pub(super) fn before_any_push(self) -> Self {
        let kind = match self.kind {
            PublishingErrorKind::TimedOut => PublishingErrorKind::Unreachable,
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// A server that turned out to belong to a Cluster, and does not hold the key.
    pub(super) fn needs_cluster(error: RedisError) -> Self {
        Self { kind: PublishingErrorKind::Rejected, cause: NeedsCluster(Self::from(error).cause).into() }
    }

    /// The error of a push that needs the permissions `needed`.
    pub(super) fn of_push(error: RedisError, needed: &'static str) -> Self {
        let forbidden = error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
            || error.detail().is_some_and(|detail| FORBIDDEN_IN_SCRIPT.iter().any(|words| detail.contains(words)));
        let failure = Self::from(error);
        if !forbidden {
            return failure;
        }
        Self { cause: NotPermitted { refusal: failure.cause, needed }.into(), ..failure }
    }

    /// Whether nobody was there to say anything.
    pub(super) fn is_unreachable(&self) -> bool {
        self.kind == PublishingErrorKind::Unreachable
    }

    /// The error of `operation`, as it reads after "cannot".
    pub(super) fn of(self, operation: impl Into<String>) -> TelemetryError {
        TelemetryError::publishing(operation, self.kind, self.cause)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let kind = classify(&error);
        let cause = match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => Refusal { code: code.to_owned(), detail: detail.to_owned() }.into(),
            _ => error.into(),
        };
        Self { kind, cause }
    }
}

impl From<PoolError<Self>> for Failure {
    fn from(error: PoolError<Self>) -> Self {
        match error {
            PoolError::Backend(failure) => failure,
            PoolError::Closed => Self { kind: PublishingErrorKind::Rejected, cause: Closed.into() },
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self { kind: PublishingErrorKind::Unreachable, cause: "the pool has no connection".into() }
            }
        }
    }
}

/// What sort of failure an error is. What nobody knows is taken for a rejection: it is tried again, slowly.
fn classify(error: &RedisError) -> PublishingErrorKind {
    use PublishingErrorKind::{Refused, Rejected, TimedOut, Unreachable};

    match code(error) {
        // Starting, full, or not able to save.
        Some("LOADING" | "BUSY" | "OOM" | "MISCONF") => Refused,
        // Failing over, or short of replicas.
        Some("READONLY" | "MASTERDOWN" | "NOREPLICAS") => Refused,
        // A Cluster that changes: the next connection finds the node that holds the key then.
        Some("CLUSTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK") => Refused,
        Some("ERR") if error.detail().is_some_and(|detail| detail.starts_with("max number of clients")) => Refused,
        // NOAUTH, WRONGPASS, NOPERM, DENIED, WRONGTYPE, CROSSSLOT, an unknown command, …
        Some(_) => Rejected,
        None => match error.kind() {
            ErrorKind::Io if error.is_timeout() => TimedOut,
            // A certificate that does not suit, ours or theirs, or a server that does not speak TLS.
            ErrorKind::Io if is_tls(error) => Rejected,
            ErrorKind::Io => Unreachable,
            _ => Rejected,
        },
    }
}

/// The code of a server's refusal. Before Redis 7 what a script met comes with the script's name in front.
fn code(error: &RedisError) -> Option<&str> {
    const FROM_SCRIPTS: [&str; 5] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN"];
    let code = error.code()?;
    let within = error.detail().filter(|_| code == "ERR" || code.starts_with('@')).and_then(|detail| {
        FROM_SCRIPTS.into_iter().find(|code| detail.split(' ').any(|word| word.strip_prefix('-') == Some(code)))
    });
    Some(within.unwrap_or(code))
}

fn is_tls(error: &RedisError) -> bool {
    let inner = error.source().and_then(|source| source.downcast_ref::<Arc<dyn StdError + Send + Sync>>());
    let io = inner.and_then(|error| error.downcast_ref::<io::Error>());
    io.and_then(io::Error::get_ref).is_some_and(|error| error.is::<rustls::Error>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;
    use crate::errors::report;

    /// The error that the server's reply `-line` becomes.
    fn reply(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(Value::extract_error).unwrap_err()
    }

    fn io_error(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    fn kind(failure: impl Into<Failure>) -> PublishingErrorKind {
        failure.into().kind
    }

    #[test]
    fn a_server_that_cannot_take_messages_now_refuses_them() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "NOREPLICAS Not enough good replicas to write.",
            "ERR max number of clients reached",
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            // Redis 5 and 6, from within a script.
            "@user_script: 19: -OOM command not allowed when used memory > 'maxmemory'.",
            "ERR Error running script (call to f_1234): @user_script:19: -READONLY You can't write against a replica.",
        ] {
            assert_eq!(kind(reply(line)), PublishingErrorKind::Refused, "{line}");
        }
    }

    #[test]
    fn a_server_that_waits_for_a_change_of_set_up_rejects_them() {
        for line in [
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM this user has no permissions to run the 'lpush' command",
            "DENIED Redis is running in protected mode",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "CROSSSLOT Keys in request don't hash to the same slot",
            "ERR unknown command 'LPUSH', with args beginning with: ",
            "SOMETHING nobody has heard of",
        ] {
            assert_eq!(kind(reply(line)), PublishingErrorKind::Rejected, "{line}");
        }
    }

    #[test]
    fn what_does_not_speak_the_protocol_is_rejected() {
        let error = parse_redis_value(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
        assert_eq!(kind(error), PublishingErrorKind::Rejected);
    }

    #[test]
    fn a_broken_connection_and_a_silent_one_are_told_apart() {
        assert_eq!(kind(io_error(io::ErrorKind::ConnectionRefused)), PublishingErrorKind::Unreachable);
        assert_eq!(kind(io_error(io::ErrorKind::BrokenPipe)), PublishingErrorKind::Unreachable);
        assert_eq!(kind(io_error(io::ErrorKind::TimedOut)), PublishingErrorKind::TimedOut);
    }

    #[test]
    fn a_time_out_before_anything_was_pushed_is_not_ambiguous() {
        let silent = || Failure::from(io_error(io::ErrorKind::TimedOut));
        assert_eq!(kind(silent().before_any_push()), PublishingErrorKind::Unreachable);
        let loading = Failure::from(reply("LOADING wait")).before_any_push();
        assert_eq!(kind(PoolError::Backend(loading)), PublishingErrorKind::Refused);
        assert_eq!(kind(PoolError::Closed), PublishingErrorKind::Rejected);
    }

    #[test]
    fn what_tls_refuses_is_rejected() {
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let error: RedisError = io::Error::new(io::ErrorKind::InvalidData, expired).into();
        assert_eq!(kind(error), PublishingErrorKind::Rejected);
    }

    #[test]
    fn an_error_reads_well() {
        let error = Failure::from(reply("WRONGTYPE Operation against a key")).of("push 3 messages");
        assert_eq!(report(&error), "cannot push 3 messages: rejected: WRONGTYPE Operation against a key");

        let error = Failure::from(io_error(io::ErrorKind::ConnectionRefused)).of("ping Redis");
        assert_eq!(report(&error), "cannot ping Redis: not reachable: connection refused");

        let error = Failure::unknown_master("main").at("Sentinel s1:26379").of("ping Redis");
        assert_eq!(report(&error), "cannot ping Redis: rejected: Sentinel s1:26379: it knows no master named \"main\"");

        let error = Failure::of_push(reply("NOPERM no"), "LPUSH, LTRIM").of("push 1 message");
        assert_eq!(
            report(&error),
            "cannot push 1 message: rejected: NOPERM no; this user needs the permissions LPUSH, LTRIM"
        );

        for refusal in [
            "ERR The user executing the script can't run this command or subcommand",
            "ERR ACL failure in script: User pusher has no permissions to run the 'lpush' command",
        ] {
            let line = report(&Failure::of_push(reply(refusal), "LPUSH, LTRIM").of("push 1 message"));
            assert!(line.ends_with("this user needs the permissions LPUSH, LTRIM"), "{line}");
        }

        let error = Failure::no_connection(Duration::from_secs(1)).of("ping Redis");
        assert_eq!(report(&error), "cannot ping Redis: not reachable: no connection within 1s");
    }
}
