//! Finds the server that takes writes, and connects to it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisError,
    RedisResult, ServerErrorKind, Value, from_redis_value,
};
use tokio::time::timeout;

use crate::failure::{Failure, FailureKind};
use crate::login::{log_in, without_login};
use crate::setting::InvalidSetting;
use crate::tls::TlsFiles;
use crate::url::{RedisUrl, Topology, shown};

/// Redirects that are followed in a row. A Cluster at rest needs one, one that changes two.
const MAX_REDIRECTS: usize = 3;

/// Where Redis is, and how long it may take.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// Server, Sentinels or Cluster, login and database.
    pub url: RedisUrl,
    /// Certificates of an encrypted connection.
    pub tls: TlsFiles,
    /// Longest time to get a connection, from name resolution to login.
    pub connect_timeout: Duration,
    /// Longest time to wait for an answer.
    pub response_timeout: Duration,
}

/// Connects to the server that takes writes: one server, the master that Sentinels name, or the node of a Cluster that
/// holds a key.
///
/// Every connection is made afresh from the addresses in the URL, so that after a failure the next one goes to the server
/// that takes writes then. In a Cluster it goes to the one node that holds the key: connections to all the others, as a
/// client for any key keeps them, would be the first thing that a large fleet runs out of.
///
/// It is a manager of [deadpool](managed::Manager), for programs that keep a pool; [`connect`](Self::connect) makes one
/// connection outside of any. (deadpool-redis makes and tests the connection to the server that was found; its own
/// managers for Sentinel and Cluster know neither certificates nor time limits.)
pub struct Connector {
    url: RedisUrl,
    /// Index of the address that served last; at first any, so that a fleet spreads over them.
    entrance: AtomicUsize,
    tls: TlsFiles,
    /// Asks a node of a Cluster for the key, so that it redirects to the one that holds it.
    question: Cmd,
    connect_timeout: Duration,
    response_timeout: Duration,
}

/// A connection to the server that takes writes.
pub struct Link {
    /// The connection.
    pub connection: MultiplexedConnection,
    node: ConnectionInfo,
    manager: deadpool_redis::Manager,
    response_timeout: Duration,
}

impl Connector {
    /// A connector that has not connected yet. `question` is a command about one key that the user is permitted to run:
    /// the answer of a Cluster's node leads to the node that holds the key.
    ///
    /// # Errors
    /// [`InvalidSetting`] when [the TLS files](TlsFiles::check) cannot be used.
    pub fn new(settings: ConnectionSettings, question: Cmd) -> Result<Self, InvalidSetting> {
        let ConnectionSettings { url, tls, connect_timeout, response_timeout } = settings;
        // What is wrong with a file is reported now rather than at the first connection.
        tls.check(&url)?;
        Ok(Self {
            entrance: AtomicUsize::new(rand::random_range(0..url.entrances.len().max(1))),
            url,
            tls,
            question,
            connect_timeout,
            response_timeout,
        })
    }

    /// Where it connects to.
    #[must_use]
    pub fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// Makes one connection within the connect timeout. The server has answered on it.
    ///
    /// # Errors
    /// A [`Failure`]. Nothing but questions was sent, so it is never [`TimedOut`](FailureKind::TimedOut). What a server
    /// said comes before another one that refused the connection or did not answer in time.
    pub async fn connect(&self) -> Result<Link, Failure> {
        let limit = self.connect_timeout;
        let mut reported = None;
        match timeout(limit, self.find(&mut reported)).await {
            Ok(Some(link)) => Ok(link),
            Ok(None) | Err(_) => Err(reported.unwrap_or_else(|| Failure::no_connection(limit))),
        }
    }

    /// What an error of a command means that was run on a connection of this connector.
    #[must_use]
    pub fn failure(&self, error: RedisError) -> Failure {
        let moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
        let failure = Failure::from(error);
        match self.url.topology {
            Topology::Single | Topology::Sentinel { .. } if moved => failure.needs_cluster(),
            _ => failure,
        }
    }

    /// Tries the addresses in turn, and the next one as well when one takes longer than its share of the time: one that
    /// hangs does not hide the others, and one that is only slow is not given up. The caller bounds the time; `reported` is
    /// the failure to report for those that ended until then.
    async fn find(&self, reported: &mut Option<Failure>) -> Option<Link> {
        let entrances = &self.url.entrances;
        let count = entrances.len();
        let share = self.connect_timeout / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let first = self.entrance.load(Ordering::Relaxed);
        let mut untried = (first..first + count).map(|index| index % count);
        let mut attempts = FuturesUnordered::new();
        loop {
            let next = untried.next();
            if let Some(index) = next {
                attempts.push(async move { (index, self.connect_by(&entrances[index]).await) });
            }
            let ended = match next {
                Some(_) => timeout(share, attempts.next()).await.ok(),
                None => Some(attempts.next().await),
            };
            match ended {
                Some(Some((index, Ok(link)))) => {
                    self.entrance.store(index, Ordering::Relaxed);
                    return Some(link);
                }
                // What a server said tells more than that another one is not there.
                Some(Some((_, Err(failure)))) => match reported {
                    Some(reported) if reported.kind() != FailureKind::Unreachable => {}
                    _ => *reported = Some(failure.before_any_command()),
                },
                Some(None) => return None,
                None => {}
            }
        }
    }

    /// A connection to the server that takes writes, as the one at `entrance` knows it.
    async fn connect_by(&self, entrance: &ConnectionInfo) -> Result<Link, Failure> {
        match &self.url.topology {
            Topology::Single => self.open(entrance.clone()).await,
            Topology::Sentinel { master_name, login } => self.master(entrance, master_name, login).await,
            Topology::Cluster => self.owner(entrance).await,
        }
    }

    async fn master(
        &self,
        sentinel: &ConnectionInfo,
        name: &str,
        login: &RedisConnectionInfo,
    ) -> Result<Link, Failure> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let at_sentinel = |failure: Failure| failure.at(format!("Sentinel {}", shown(sentinel.addr())));
        let mut link = self.open(sentinel.clone()).await.map_err(at_sentinel)?;
        let answer: RedisResult<Option<(String, u16)>> = question.query_async(&mut link.connection).await;
        let (host, port) = answer
            .map_err(|error| at_sentinel(error.into()))?
            .ok_or_else(|| at_sentinel(Failure::unknown_master(name)))?;

        let master = addressed(sentinel, host, port).set_redis_settings(login.clone());
        let address = shown(master.addr());
        let mut link = self.open(master).await.map_err(|failure| failure.at(format!("master {address}")))?;
        // A Sentinel that was cut off names a master that is none any more.
        match role(&mut link.connection).await {
            Ok(role) if role != "master" => Err(Failure::not_master(&address, &role)),
            Err(error) if !is_forbidden(&error) => Err(Failure::from(error).at(format!("master {address}"))),
            Ok(_) | Err(_) => Ok(link),
        }
    }

    async fn owner(&self, entrance: &ConnectionInfo) -> Result<Link, Failure> {
        let mut node = entrance.clone();
        for _ in 0..=MAX_REDIRECTS {
            let address = shown(node.addr());
            let at_node = |failure: Failure| failure.at(format!("node {address}"));
            let mut link = self.open(node.clone()).await.map_err(at_node)?;
            let answer: RedisResult<Value> = self.question.query_async(&mut link.connection).await;
            let error = match answer {
                Ok(_) => return Ok(link),
                // The key has another type: whoever pushes will hear it.
                Err(error) if error.code() == Some("WRONGTYPE") => return Ok(link),
                Err(error) => error,
            };
            let moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
            let target = error.redirect_node().filter(|_| moved).and_then(|(address, _)| address.rsplit_once(':'));
            let Some((host, Ok(port))) = target.map(|(host, port)| (host, port.parse())) else {
                return Err(at_node(error.into()));
            };
            // A node that does not know its own name leaves it out.
            let host = if host.is_empty() { host_of(&node) } else { host.to_owned() };
            node = addressed(&node, host, port);
        }
        Err(Failure::too_many_redirects(MAX_REDIRECTS))
    }

    async fn open(&self, node: ConnectionInfo) -> Result<Link, Failure> {
        Link::open(self.tls.apply(node)?, self.response_timeout).await
    }
}

impl Link {
    /// Another connection to the same server, for commands that block for up to `block` before they answer.
    ///
    /// # Errors
    /// A [`Failure`]. The caller bounds the time.
    pub async fn open_blocking(&self, block: Duration) -> Result<MultiplexedConnection, Failure> {
        let link = Self::open(self.node.clone(), self.response_timeout + block).await;
        link.map(|link| link.connection).map_err(Failure::before_any_command)
    }

    /// A connection to this server, on which it answered.
    async fn open(node: ConnectionInfo, response_timeout: Duration) -> Result<Self, Failure> {
        // There is one limit over all steps of getting a connection, so that none of them needs its own.
        let limits =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(Some(response_timeout));
        let manager = deadpool_redis::Manager::new_with_config(without_login(node.clone()), limits)?;
        let mut connection = managed::Manager::create(&manager).await?;
        log_in(&mut connection, node.redis_settings()).await?;
        // A hung server still accepts connections, and when it comes back it executes whatever was sent on them. Commands
        // go only to a server that answers, so that retries during a hang do not each leave a copy behind.
        match redis::cmd("PING").query_async::<()>(&mut connection).await {
            // That it does not let us ask is an answer, too.
            Err(error) if !is_forbidden(&error) => Err(error.into()),
            _ => Ok(Self { connection, node, manager, response_timeout }),
        }
    }
}

impl managed::Manager for Connector {
    type Type = Link;
    type Error = Failure;

    /// As [`connect`](Self::connect). A pool needs no limit of its own for this.
    async fn create(&self) -> Result<Link, Failure> {
        self.connect().await
    }

    async fn recycle(&self, link: &mut Link, metrics: &Metrics) -> RecycleResult<Failure> {
        managed::Manager::recycle(&link.manager, &mut link.connection, metrics).await.map_err(|error| match error {
            RecycleError::Backend(error) => RecycleError::Backend(error.into()),
            RecycleError::Message(message) => RecycleError::Message(message),
        })
    }
}

/// The part of a server in its replication.
async fn role(connection: &mut MultiplexedConnection) -> RedisResult<String> {
    let answer: Vec<Value> = redis::cmd("ROLE").query_async(connection).await?;
    Ok(from_redis_value(answer.into_iter().next().unwrap_or(Value::Nil))?)
}

fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

/// Another server that is reached in the same way.
fn addressed(like: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let address = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    like.clone().set_addr(address)
}

fn host_of(node: &ConnectionInfo) -> String {
    match node.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("url", &self.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &shown(self.node.addr())).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::error::Error;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers every command with `reply`, until the test ends.
    async fn answering(reply: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut command = [0; 1024];
                while connection.read(&mut command).await.is_ok_and(|bytes| bytes > 0) {
                    connection.write_all(reply.as_bytes()).await.unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn reports_what_a_server_said_although_another_one_hangs() {
        // The kernel accepts its connections, and nobody reads them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hung = listener.local_addr().unwrap();
        let locked = answering("-NOAUTH Authentication required.\r\n").await;
        for (url, place) in [
            (format!("redis+sentinel://{locked},{hung}/main"), "Sentinel"),
            (format!("redis+cluster://{locked},{hung}"), "node"),
        ] {
            for entrance in 0..2 {
                let settings = ConnectionSettings {
                    url: url.parse().unwrap(),
                    tls: TlsFiles::default(),
                    connect_timeout: Duration::from_millis(200),
                    response_timeout: Duration::from_secs(60),
                };
                let connector = Connector::new(settings, redis::cmd("PING")).unwrap();
                connector.entrance.store(entrance, Ordering::Relaxed);
                let failure = connector.connect().await.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::Rejected, "{failure:?}");
                let place_of_failure = failure.source().unwrap();
                assert_eq!(place_of_failure.to_string(), format!("{place} {locked}"));
                assert_eq!(place_of_failure.source().unwrap().to_string(), "NOAUTH Authentication required.");
            }
        }
    }
}
