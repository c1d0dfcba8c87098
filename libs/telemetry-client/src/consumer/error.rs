//! What can go wrong between a service and the queue.

use redis::{ErrorKind, RedisError};
use semver::Version;
use thiserror::Error;

/// The queue could not be read, or a message of it could not.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The URL of the server is wrong.
    #[error("the URL is none of a Redis server")]
    Settings(#[source] RedisError),
    /// Redis did not do what it was asked.
    #[error("cannot {operation}: {problem}")]
    Redis {
        /// What was tried, as it reads after "cannot".
        operation: &'static str,
        /// What sort of problem it is.
        problem: RedisProblem,
        /// What the server or the network said.
        #[source]
        source: RedisError,
    },
    /// A message is of another major version of the schema. It lies on the dead-letter list, whole.
    #[error(
        "a message of schema {found} cannot be read by a program that knows {known}: upgrade this program; \
             the message is kept in {kept_in}"
    )]
    OtherMajor {
        /// Version of the message.
        found: Version,
        /// Version that this program knows.
        known: Version,
        /// The list that the message was moved to.
        kept_in: String,
    },
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
}

/// What sort of problem Redis has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedisProblem {
    /// No connection could be made, it broke, or no answer came in time.
    #[error("not reachable")]
    Unreachable,
    /// The server is there and does not serve now: it loads, is full, or fails over.
    #[error("busy or full")]
    Busy,
    /// The server will not serve until somebody changes its set-up or ours: login, permission, type of key.
    #[error("rejected")]
    Rejected,
}

impl ConsumerError {
    pub(super) fn redis(operation: &'static str, source: RedisError) -> Self {
        Self::Redis { operation, problem: RedisProblem::of(&source), source }
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Redis { problem, .. } => *problem != RedisProblem::Rejected,
            Self::Settings(_) | Self::OtherMajor { .. } | Self::Closed => false,
        }
    }
}

impl RedisProblem {
    /// What nobody knows is taken for a rejection: it is tried again, slowly.
    fn of(error: &RedisError) -> Self {
        match error.code() {
            // Starting, full, or not able to save; failing over, or short of replicas; the stream is gone with
            // its group, which is made anew with the connection.
            Some(
                "LOADING" | "BUSY" | "OOM" | "MISCONF" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN"
                | "NOREPLICAS" | "UNBLOCKED" | "NOGROUP",
            ) => Self::Busy,
            Some("ERR") if error.detail().is_some_and(|detail| detail.starts_with("max number of clients")) => {
                Self::Busy
            }
            Some(_) => Self::Rejected,
            None if error.kind() == ErrorKind::Io => Self::Unreachable,
            None => Self::Rejected,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use redis::{Value, parse_redis_value};

    use super::*;

    fn error(source: RedisError) -> ConsumerError {
        ConsumerError::redis("take messages", source)
    }

    /// The error that the server's reply `-line` becomes.
    fn reply(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(Value::extract_error).unwrap_err()
    }

    #[test]
    fn only_what_mends_itself_is_retryable() {
        for line in ["LOADING wait", "OOM command not allowed", "READONLY replica", "ERR max number of clients reached"]
        {
            assert!(error(reply(line)).is_retryable(), "{line}");
        }
        for line in ["NOAUTH login", "NOPERM this user", "WRONGTYPE key", "ERR unknown command 'BLMOVE'"] {
            assert!(!error(reply(line)).is_retryable(), "{line}");
        }
        assert!(error(io::Error::from(io::ErrorKind::ConnectionRefused).into()).is_retryable());
        assert!(!ConsumerError::Closed.is_retryable());
    }

    #[test]
    fn an_error_names_what_was_tried_and_keeps_its_source() {
        let error = error(reply("WRONGTYPE Operation against a key"));
        assert_eq!(error.to_string(), "cannot take messages: rejected");
        assert!(error.source().unwrap().to_string().contains("Operation against a key"));
    }
}
