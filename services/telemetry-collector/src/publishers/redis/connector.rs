//! Finds the server that takes writes, and connects to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisResult,
    ServerErrorKind, Value, from_redis_value,
};
use tokio::time::timeout;

use super::failure::Failure;
use super::tls::TlsFiles;
use super::url::{RedisUrl, Topology};

/// Redirects that are followed in a row. A Cluster at rest needs one, one that changes two.
const MAX_REDIRECTS: usize = 3;

/// Makes the connections of the pool, to one server, by Sentinels or into a Cluster.
///
/// Every connection is made afresh from the entrances, so that after a failure the next one goes to whoever is the
/// master then. In a Cluster it goes to the one node that holds the key: connections to all the others, as a client for
/// any key keeps them, would be the first thing that a large fleet runs out of. deadpool-redis makes and tests the
/// connection to a server that is found; its own managers for Sentinel and Cluster know neither certificates nor time
/// limits.
pub(super) struct Connector {
    topology: Topology,
    entrances: Vec<ConnectionInfo>,
    /// The entrance that served last; at first any, so that a fleet spreads over them.
    entrance: AtomicUsize,
    tls: TlsFiles,
    /// Asks a node of a Cluster for the key, so that it redirects to the one that holds it.
    question: Cmd,
    connect_timeout: Duration,
    limits: AsyncConnectionConfig,
}

/// A connection, and what made it.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    manager: deadpool_redis::Manager,
}

impl Connector {
    pub(super) fn new(
        url: RedisUrl,
        tls: TlsFiles,
        question: Cmd,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Self {
        let RedisUrl { topology, entrances } = url;
        Self {
            entrance: AtomicUsize::new(rand::random_range(0..entrances.len().max(1))),
            topology,
            entrances,
            tls,
            question,
            connect_timeout,
            // There is one limit over all steps of getting a connection, so that none of them needs its own.
            limits: AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(Some(response_timeout)),
        }
    }

    /// A connection to the server that takes writes, as `entrance` knows it.
    async fn connect_by(&self, entrance: &ConnectionInfo) -> Result<Link, Failure> {
        match &self.topology {
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
        let at_sentinel = |failure: Failure| failure.at(format!("Sentinel {}", sentinel.addr()));
        let mut link = self.open(sentinel.clone()).await.map_err(at_sentinel)?;
        let answer: RedisResult<Option<(String, u16)>> = question.query_async(&mut link.connection).await;
        let (host, port) = answer
            .map_err(|error| at_sentinel(error.into()))?
            .ok_or_else(|| at_sentinel(Failure::unknown_master(name)))?;

        let master = addressed(sentinel, host, port).set_redis_settings(login.clone());
        let address = master.addr().to_string();
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
            let address = node.addr().to_string();
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

    /// A connection to this server, on which it answered.
    async fn open(&self, node: ConnectionInfo) -> Result<Link, Failure> {
        let node = self.tls.apply(node).map_err(Failure::setting)?;
        let manager = deadpool_redis::Manager::new_with_config(node, self.limits.clone())?;
        let mut connection = managed::Manager::create(&manager).await?;
        // A hung server still accepts connections, and when it comes back it executes whatever was sent on them. A push
        // goes only to a server that answers, so that tries during a hang do not each leave a copy behind.
        match redis::cmd("PING").query_async::<()>(&mut connection).await {
            // That it does not let us ask is an answer, too.
            Err(error) if !is_forbidden(&error) => Err(error.into()),
            _ => Ok(Link { connection, manager }),
        }
    }
}

impl managed::Manager for Connector {
    type Type = Link;
    type Error = Failure;

    /// Tries the entrances in turn, and the next one as well when one takes longer than its share of the time: what
    /// hangs does not hide the others, and what is only slow is not given up. Whoever waits for the pool bounds the time.
    async fn create(&self) -> Result<Link, Failure> {
        let count = self.entrances.len();
        let share = self.connect_timeout / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let first = self.entrance.load(Ordering::Relaxed);
        let mut untried = (first..first + count).map(|index| index % count);
        let mut attempts = FuturesUnordered::new();
        let mut told: Option<Failure> = None;
        loop {
            let next = untried.next();
            if let Some(index) = next {
                attempts.push(async move { (index, self.connect_by(&self.entrances[index]).await) });
            }
            let ended = match next {
                Some(_) => timeout(share, attempts.next()).await.ok(),
                None => Some(attempts.next().await),
            };
            match ended {
                Some(Some((index, Ok(link)))) => {
                    self.entrance.store(index, Ordering::Relaxed);
                    return Ok(link);
                }
                // What a server said tells more than that another one is not there.
                Some(Some((_, Err(failure)))) => match &told {
                    Some(told) if !told.is_unreachable() => {}
                    _ => told = Some(failure.before_any_push()),
                },
                Some(None) => return Err(told.unwrap_or_else(|| Failure::no_connection(self.connect_timeout))),
                None => {}
            }
        }
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

fn is_forbidden(error: &redis::RedisError) -> bool {
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
