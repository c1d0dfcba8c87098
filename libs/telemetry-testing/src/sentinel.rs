//! A master, its replica, and the Sentinels that watch them.

use std::fs;

use redis::{Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::conditions::eventually;
use crate::process::Process;
use crate::redis_server::{RedisServer, free_port, spawn_sentinel};

/// The name under which Sentinels know the master.
pub const MASTER_NAME: &str = "telemetry";

/// Three Sentinels on free ports, which watch two servers. They replace a master that does not answer for half a second.
#[derive(Debug)]
pub struct SentinelGroup {
    /// The servers. The first one is the master until a failover.
    pub servers: [RedisServer; 2],
    sentinels: Vec<Sentinel>,
}

/// A Sentinel with a configuration of its own.
#[derive(Debug)]
pub(crate) struct Sentinel {
    // Before the directory: the Sentinel must be gone when its directory is removed.
    process: Process,
    port: u16,
    _directory: TempDir,
}

impl SentinelGroup {
    /// Starts all of them, and waits until the Sentinels know each other, the master and its replica.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// Starts all of them with more `options` for the servers and more lines for the configuration of the Sentinels.
    pub async fn start_with(options: &[&str], sentinel_lines: &[&str]) -> Self {
        let master = RedisServer::start_with(options).await;
        let replica = RedisServer::start_with(options).await;
        replica.command::<()>(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).await;
        // A Sentinel asks a master for its replicas at once and then every ten seconds.
        eventually("the replica is online", async || reports(&master, "state=online").await).await;
        let sentinels = (0..3).map(|_| Sentinel::of(master.port(), sentinel_lines)).collect();
        let group = Self { servers: [master, replica], sentinels };
        eventually("the Sentinels know each other, the master and its replica", async || {
            for sentinel in &group.sentinels {
                if !sentinel.is_ready(group.sentinels.len()).await {
                    return false;
                }
            }
            true
        })
        .await;
        group
    }

    /// `host:port` of every Sentinel, separated by commas.
    #[must_use]
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        addresses.join(",")
    }

    /// The URL by which a client finds the master.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{MASTER_NAME}", self.addresses())
    }

    /// Waits until the Sentinels agree on the master, and returns its index in [`servers`](Self::servers).
    pub async fn master(&self) -> usize {
        let mut index = None;
        eventually("the Sentinels agree on the master", async || {
            let mut ports = Vec::new();
            for sentinel in &self.sentinels {
                ports.push(sentinel.master_port().await);
            }
            index = self.servers.iter().position(|server| ports.iter().all(|port| *port == Some(server.port())));
            index.is_some()
        })
        .await;
        index.unwrap()
    }

    /// Makes the Sentinels promote the replica although the master is up, and waits until that is done. What clients write
    /// to the old master before it becomes a replica is lost.
    pub async fn fail_over(&self) {
        let before = self.master().await;
        eventually("a Sentinel starts the failover", async || {
            self.sentinels[0].command::<()>(&["SENTINEL", "FAILOVER", MASTER_NAME]).await.is_ok()
        })
        .await;
        self.promoted_after(before).await;
        eventually("the old master replicates the new one", async || {
            reports(&self.servers[before], "master_link_status:up").await
        })
        .await;
    }

    /// Waits until the server other than `before` is the master, by the word of the Sentinels and its own.
    pub async fn promoted_after(&self, before: usize) {
        let other = 1 - before;
        eventually("the Sentinels name the new master", async || self.master().await == other).await;
        eventually("the new master takes writes", async || reports(&self.servers[other], "role:master").await).await;
    }

    /// Sends SIGKILL to a Sentinel, and waits until it is gone.
    pub async fn kill_sentinel(&mut self, index: usize) {
        self.sentinels[index].process.kill().await;
    }

    /// Sends SIGSTOP to a Sentinel: it hangs, but the system still accepts connections for it.
    pub fn pause_sentinel(&self, index: usize) {
        self.sentinels[index].process.signal("STOP");
    }
}

impl Sentinel {
    /// Starts a Sentinel on `port` with more `lines` in its configuration.
    pub(crate) fn start(port: u16, lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // A Sentinel writes what it learns into its configuration.
        let configuration = directory.path().join("sentinel.conf");
        fs::write(&configuration, format!("bind 127.0.0.1\ndir {}\n{lines}\n", directory.path().display())).unwrap();
        Self { process: spawn_sentinel(&configuration), port, _directory: directory }
    }

    /// A Sentinel of a group that watches the master on port `master`.
    fn of(master: u16, lines: &[&str]) -> Self {
        let port = free_port();
        let group = format!(
            "port {port}\nsentinel monitor {MASTER_NAME} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER_NAME} 500\nsentinel failover-timeout {MASTER_NAME} 3000\n{}",
            lines.join("\n"),
        );
        Self::start(port, &group)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    async fn is_ready(&self, sentinels: usize) -> bool {
        let quorum = self.command::<String>(&["SENTINEL", "CKQUORUM", MASTER_NAME]).await;
        let replicas = self.command::<Vec<redis::Value>>(&["SENTINEL", "REPLICAS", MASTER_NAME]).await;
        quorum.is_ok_and(|answer| answer.starts_with(&format!("OK {sentinels} usable")))
            && replicas.is_ok_and(|replicas| replicas.len() == 1)
    }

    async fn master_port(&self) -> Option<u16> {
        let address = self.command::<(String, u16)>(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME]).await;
        address.ok().map(|(_, port)| port)
    }

    async fn command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut command = Cmd::new();
        command.arg(words);
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }
}

/// Whether the replication status of `server` contains `status`. It is not known while the server changes its role, since a
/// Sentinel that changes it closes all connections.
async fn reports(server: &RedisServer, status: &str) -> bool {
    server.try_command::<String>(&["INFO", "replication"]).await.is_ok_and(|info| info.contains(status))
}
