//! What an error of Redis, or of the way to it, means for the delivery.

use std::time::Duration;

use deadpool_redis::{HookError, PoolError};
use redis::{ErrorKind, RedisError};
use thiserror::Error;

use crate::errors::{Cause, PublishingErrorKind, TelemetryError};

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

impl Failure {
    /// No connection was to be had within `limit`.
    pub(super) fn no_connection(limit: Duration) -> Self {
        Self { kind: PublishingErrorKind::Unreachable, cause: NoConnection(limit).into() }
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

/// While a connection is made nothing has been pushed yet, so that a time-out here is not an ambiguous one.
impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                match Self::from(error) {
                    Self { kind: PublishingErrorKind::TimedOut, cause } => {
                        Self { kind: PublishingErrorKind::Unreachable, cause }
                    }
                    failure => failure,
                }
            }
            PoolError::Closed => Self { kind: PublishingErrorKind::Rejected, cause: Closed.into() },
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self { kind: PublishingErrorKind::Unreachable, cause: error.into() }
            }
        }
    }
}

/// What sort of failure an error is. What nobody knows is taken for a rejection: it is tried again, slowly.
fn classify(error: &RedisError) -> PublishingErrorKind {
    use PublishingErrorKind::{Refused, Rejected, TimedOut, Unreachable};

    match error.code() {
        // Starting, full, or not able to save.
        Some("LOADING" | "BUSY" | "OOM" | "MISCONF") => Refused,
        // Failing over, or short of replicas.
        Some("READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS") => Refused,
        Some("ERR") if error.detail().is_some_and(|detail| detail.starts_with("max number of clients")) => Refused,
        // NOAUTH, WRONGPASS, NOPERM, DENIED, WRONGTYPE, an unknown command, …
        Some(_) => Rejected,
        None => match error.kind() {
            ErrorKind::Io if error.is_timeout() => TimedOut,
            ErrorKind::Io => Unreachable,
            _ => Rejected,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

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
            "MOVED 3999 127.0.0.1:6381",
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
        let silent = || io_error(io::ErrorKind::TimedOut);
        assert_eq!(kind(PoolError::Backend(silent())), PublishingErrorKind::Unreachable);
        assert_eq!(kind(PoolError::PostCreateHook(HookError::Backend(silent()))), PublishingErrorKind::Unreachable);
        assert_eq!(kind(PoolError::Backend(reply("LOADING wait"))), PublishingErrorKind::Refused);
        assert_eq!(kind(PoolError::Closed), PublishingErrorKind::Rejected);
    }

    #[test]
    fn an_error_reads_well() {
        let error = Failure::from(reply("WRONGTYPE Operation against a key")).of("push 3 messages");
        assert_eq!(report(&error), "cannot push 3 messages: rejected: WRONGTYPE Operation against a key");

        let error = Failure::from(PoolError::Backend(io_error(io::ErrorKind::ConnectionRefused))).of("ping Redis");
        assert_eq!(report(&error), "cannot ping Redis: not reachable: connection refused");

        let error = Failure::no_connection(Duration::from_secs(1)).of("ping Redis");
        assert_eq!(report(&error), "cannot ping Redis: not reachable: no connection within 1s");
    }
}
