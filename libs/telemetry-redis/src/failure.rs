//! What an error of Redis, or of the way to it, means: classified once, for everybody.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::PoolError;
use redis::{ErrorKind, RedisError};
use thiserror::Error;

use crate::setting::InvalidSetting;

/// What a script is told, before Redis 7.2 and since, of a command that its user may not run.
const FORBIDDEN_IN_SCRIPT: [&str; 2] = ["user executing the script can't run this command", "ACL failure in script"];

/// An error's cause, of any type.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// What sort of failure it is, which decides when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum FailureKind {
    /// No connection could be made, or it broke.
    #[error("not reachable")]
    Unreachable,
    /// No answer came in time; the command may or may not have been executed.
    #[error("no answer in time")]
    TimedOut,
    /// The server is there and does not serve now: it loads, is full, or fails over.
    #[error("busy or full")]
    Refused,
    /// The server will not serve until somebody changes its configuration or ours: login, permission, type of key.
    #[error("rejected")]
    Rejected,
}

/// Why something failed, classified. Its source is what the server or the network said.
#[derive(Debug, Error)]
#[error("{kind}")]
pub struct Failure {
    kind: FailureKind,
    #[source]
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

/// Where something failed, when that is not the server that was asked for.
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
#[error("{0}; the server belongs to a Cluster, whose URL begins with redis+cluster://")]
struct NeedsCluster(Cause);

#[derive(Debug, Error)]
#[error("{refusal}; this user needs the permissions {needed}")]
struct NotPermitted {
    refusal: Cause,
    needed: &'static str,
}

impl FailureKind {
    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut | Self::Refused => true,
            Self::Rejected => false,
        }
    }
}

impl Failure {
    /// A failure of the caller's own.
    pub fn new(kind: FailureKind, cause: impl Into<Cause>) -> Self {
        Self { kind, cause: cause.into() }
    }

    /// No connection was made within `limit`.
    #[must_use]
    pub fn no_connection(limit: Duration) -> Self {
        Self::new(FailureKind::Unreachable, NoConnection(limit))
    }

    /// The Sentinel that was asked does not watch `name`.
    pub(crate) fn unknown_master(name: &str) -> Self {
        Self::new(FailureKind::Rejected, UnknownMaster(name.to_owned()))
    }

    /// The server that should be the master is none.
    pub(crate) fn not_master(address: &str, role: &str) -> Self {
        Self::new(FailureKind::Refused, NotMaster { address: address.to_owned(), role: role.to_owned() })
    }

    /// The nodes of a Cluster do not agree on who holds the key.
    pub(crate) fn too_many_redirects(count: usize) -> Self {
        Self::new(FailureKind::Refused, TooManyRedirects(count))
    }

    /// A server that turned out to belong to a Cluster, and does not hold the key.
    pub(crate) fn needs_cluster(self) -> Self {
        Self::new(FailureKind::Rejected, NeedsCluster(self.cause))
    }

    /// The failure, and where it was.
    pub(crate) fn at(self, place: impl Into<String>) -> Self {
        Self::new(self.kind, At { place: place.into(), source: self.cause })
    }

    /// The same failure before any command was sent, so that a timeout leaves nothing in doubt.
    pub(crate) fn before_any_command(self) -> Self {
        let kind = match self.kind {
            FailureKind::TimedOut => FailureKind::Unreachable,
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// The failure with the permissions that the user needs, when it is that one is missing.
    #[must_use]
    pub fn with_permissions(self, needed: &'static str) -> Self {
        let forbidden = self.cause.downcast_ref::<Refusal>().is_some_and(|Refusal { code, detail }| {
            code == "NOPERM" || FORBIDDEN_IN_SCRIPT.iter().any(|words| detail.contains(words))
        });
        if !forbidden {
            return self;
        }
        Self::new(self.kind, NotPermitted { refusal: self.cause, needed })
    }

    /// The failure with an [`InvalidSetting`], if that is the cause, replaced by what the service's users know it as.
    #[must_use]
    pub fn name_setting<E: Into<Cause>>(self, name: impl FnOnce(InvalidSetting) -> E) -> Self {
        let named = |cause: Cause| match cause.downcast::<InvalidSetting>() {
            Ok(setting) => name(*setting).into(),
            Err(cause) => cause,
        };
        let cause = match self.cause.downcast::<At>() {
            Ok(at) => At { place: at.place, source: named(at.source) }.into(),
            Err(cause) => named(cause),
        };
        Self { cause, ..self }
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Whether the same call can succeed later with nobody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// The cause alone, for an error that has the kind itself.
    #[must_use]
    pub fn into_cause(self) -> Cause {
        self.cause
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let error = first_refusal(error);
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
            PoolError::Closed => Self::new(FailureKind::Rejected, Closed),
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::new(FailureKind::Unreachable, "the pool has no connection")
            }
        }
    }
}

impl From<InvalidSetting> for Failure {
    /// A setting turned out to be wrong after the start.
    fn from(setting: InvalidSetting) -> Self {
        Self::new(FailureKind::Rejected, setting)
    }
}

/// The first refusal in the answer to a pipeline. The library knows only some codes of a whole answer.
fn first_refusal(error: RedisError) -> RedisError {
    match error.clone().into_server_errors().as_deref() {
        Some([(_, first), ..]) => first.clone().into(),
        _ => error,
    }
}

/// What sort of failure an error is. An error that is not known counts as a rejection: it is retried, slowly.
fn classify(error: &RedisError) -> FailureKind {
    use FailureKind::{Refused, Rejected, TimedOut, Unreachable};

    match code(error) {
        // Starting, full, or not able to save.
        Some("LOADING" | "BUSY" | "OOM" | "MISCONF") => Refused,
        // Failing over, or short of replicas. A master that becomes a replica unblocks those who wait.
        Some("READONLY" | "MASTERDOWN" | "NOREPLICAS" | "UNBLOCKED") => Refused,
        // A Cluster that changes: the next connection finds the node that holds the key then.
        Some("CLUSTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK") => Refused,
        // The stream is gone, and its consumer group with it: a consumer makes the group when it connects.
        Some("NOGROUP") => Refused,
        Some("ERR") if error.detail().is_some_and(|detail| detail.starts_with("max number of clients")) => Refused,
        // NOAUTH, WRONGPASS, NOPERM, DENIED, WRONGTYPE, CROSSSLOT, an unknown command, …
        Some(_) => Rejected,
        None => match error.kind() {
            ErrorKind::Io if error.is_timeout() => TimedOut,
            // A certificate that is not valid, ours or theirs, or a server that does not speak TLS.
            ErrorKind::Io if is_tls(error) => Rejected,
            ErrorKind::Io => Unreachable,
            _ => Rejected,
        },
    }
}

/// The code of a server's refusal. Before Redis 7 an error within a script comes with the script's name in front.
fn code(error: &RedisError) -> Option<&str> {
    const FROM_SCRIPTS: [&str; 6] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "NOGROUP"];
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
    use redis_test::{MockCmd, MockRedisConnection};

    use super::*;
    use crate::setting::{Setting, SettingProblem};

    /// The error that the server's reply `-line` becomes.
    fn reply(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(Value::extract_error).unwrap_err()
    }

    fn io_error(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    fn kind(failure: impl Into<Failure>) -> FailureKind {
        failure.into().kind
    }

    #[test]
    fn refuses_while_the_server_cannot_serve() {
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
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            "ERR max number of clients reached",
            "NOGROUP No such key 'queue' or consumer group 'exporter'",
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            // Redis 5 and 6, from within a script.
            "@user_script: 19: -OOM command not allowed when used memory > 'maxmemory'.",
            "ERR Error running script (call to f_1234): @user_script:19: -READONLY You can't write against a replica.",
        ] {
            assert_eq!(kind(reply(line)), FailureKind::Refused, "{line}");
            assert!(Failure::from(reply(line)).is_retryable());
        }
    }

    #[test]
    fn classifies_a_pipeline_by_its_first_refusal() {
        for (refusals, expected) in [
            (["OOM command not allowed", "WRONGTYPE no"], FailureKind::Refused),
            (["UNBLOCKED instance state changed", "READONLY no"], FailureKind::Refused),
            (["MOVED 3999 127.0.0.1:6381", "MOVED 3999 127.0.0.1:6381"], FailureKind::Refused),
            (["NOAUTH Authentication required.", "OOM no"], FailureKind::Rejected),
        ] {
            let pipeline = redis::pipe().cmd("GET").arg("a").cmd("GET").arg("b").to_owned();
            let answer = refusals.map(|line| parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap());
            let mut server = MockRedisConnection::new([MockCmd::with_values(&pipeline, Ok(answer.to_vec()))]);
            let failure = Failure::from(pipeline.query::<(String, String)>(&mut server).unwrap_err());
            assert_eq!(line(&failure), format!("{expected}: {}", refusals[0]));
        }
    }

    #[test]
    fn rejects_what_needs_a_change_of_configuration() {
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
            assert_eq!(kind(reply(line)), FailureKind::Rejected, "{line}");
            assert!(!Failure::from(reply(line)).is_retryable());
        }
    }

    #[test]
    fn rejects_a_server_of_another_protocol() {
        let error = parse_redis_value(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
        assert_eq!(kind(error), FailureKind::Rejected);
    }

    #[test]
    fn tells_a_broken_connection_from_a_silent_one() {
        assert_eq!(kind(io_error(io::ErrorKind::ConnectionRefused)), FailureKind::Unreachable);
        assert_eq!(kind(io_error(io::ErrorKind::BrokenPipe)), FailureKind::Unreachable);
        assert_eq!(kind(io_error(io::ErrorKind::TimedOut)), FailureKind::TimedOut);
    }

    #[test]
    fn counts_a_timeout_before_any_command_as_unreachable() {
        let silent = || Failure::from(io_error(io::ErrorKind::TimedOut));
        assert_eq!(kind(silent().before_any_command()), FailureKind::Unreachable);
        let loading = Failure::from(reply("LOADING wait")).before_any_command();
        assert_eq!(kind(PoolError::Backend(loading)), FailureKind::Refused);
        assert_eq!(kind(PoolError::Closed), FailureKind::Rejected);
    }

    #[test]
    fn rejects_what_tls_refuses() {
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let error: RedisError = io::Error::new(io::ErrorKind::InvalidData, expired).into();
        assert_eq!(kind(error), FailureKind::Rejected);
    }

    /// The failure and its causes, on one line.
    fn line(failure: &Failure) -> String {
        let (mut line, mut cause) = (failure.to_string(), failure.source());
        while let Some(error) = cause {
            // The library's errors repeat their source.
            if !line.ends_with(&error.to_string()) {
                line = format!("{line}: {error}");
            }
            cause = error.source();
        }
        line
    }

    #[test]
    fn shows_the_kind_the_place_and_the_cause() {
        let failure = Failure::from(reply("WRONGTYPE Operation against a key"));
        assert_eq!(line(&failure), "rejected: WRONGTYPE Operation against a key");

        let failure = Failure::from(io_error(io::ErrorKind::ConnectionRefused));
        assert_eq!(line(&failure), "not reachable: connection refused");

        let failure = Failure::unknown_master("main").at("Sentinel s1:26379");
        assert_eq!(line(&failure), "rejected: Sentinel s1:26379: it knows no master named \"main\"");

        let failure = Failure::no_connection(Duration::from_secs(1));
        assert_eq!(line(&failure), "not reachable: no connection within 1s");

        let failure = Failure::from(reply("MOVED 3999 127.0.0.1:6381")).needs_cluster();
        assert_eq!(
            line(&failure),
            "rejected: MOVED 3999 127.0.0.1:6381; the server belongs to a Cluster, whose URL begins with redis+cluster://"
        );
    }

    #[test]
    fn names_the_permissions_only_when_one_is_missing() {
        let needed = |refusal| line(&Failure::from(reply(refusal)).with_permissions("LPUSH, LTRIM"));
        assert_eq!(needed("NOPERM no"), "rejected: NOPERM no; this user needs the permissions LPUSH, LTRIM");
        assert_eq!(needed("WRONGTYPE no"), "rejected: WRONGTYPE no");
        for refusal in [
            "ERR The user executing the script can't run this command or subcommand",
            "ERR ACL failure in script: User pusher has no permissions to run the 'lpush' command",
        ] {
            assert!(needed(refusal).ends_with("this user needs the permissions LPUSH, LTRIM"), "{refusal}");
        }
    }

    #[test]
    fn a_service_names_a_wrong_setting_as_its_users_do() {
        let invalid = || Failure::from(InvalidSetting::new(Setting::TlsCa, SettingProblem::NoCertificate));
        assert_eq!(line(&invalid()), "rejected: tls.ca: holds no certificate in PEM form");
        let renamed = |failure: Failure| line(&failure.name_setting(|setting| format!("TLS_CA {:?}", setting.setting)));
        assert_eq!(renamed(invalid()), "rejected: TLS_CA TlsCa");
        assert_eq!(renamed(invalid().at("Sentinel s1:26379")), "rejected: Sentinel s1:26379: TLS_CA TlsCa");
        assert_eq!(renamed(Failure::from(reply("NOAUTH no"))), "rejected: NOAUTH no");
    }
}
