//! A master, a replica and the Sentinels that watch them.

use std::fs;
use std::process::{Child, Command};

use redis::{Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::eventually;
use super::redis_server::{RedisServer, free_port, program};

/// The name under which Sentinels know the master.
pub const MASTER_NAME: &str = "telemetry";

/// Sentinels on free ports that watch two servers; a master that is silent for half a second is replaced.
pub struct SentinelGroup {
    /// The servers; at first the first one is the master.
    pub servers: [RedisServer; 2],
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl SentinelGroup {
    /// Three Sentinels that know each other, the master and its replica.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// The same with more `options` for the servers and more lines for the Sentinels' configuration.
    pub async fn start_with(options: &[&str], sentinel_lines: &[&str]) -> Self {
        let master = RedisServer::start_with(options).await;
        let replica = RedisServer::start_with(options).await;
        replica.command::<()>(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).await;
        // A Sentinel asks a master for its replicas at once and then every ten seconds.
        eventually("the replica is in step", async || is_in_step(&master).await).await;
        let sentinels = (0..3).map(|_| Sentinel::start(master.port(), sentinel_lines)).collect();
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

    /// `host:port` of every Sentinel, with commas between.
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        addresses.join(",")
    }

    /// Where a collector finds the master.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{MASTER_NAME}", self.addresses())
    }

    /// Which of the servers the Sentinels take for the master.
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

    /// Has the Sentinels promote the replica while the master is well, and waits until it is done. What the old master
    /// takes until it is told of it is lost.
    pub async fn fail_over(&self) {
        let before = self.master().await;
        eventually("a Sentinel starts the failover", async || {
            self.sentinels[0].command::<()>(&["SENTINEL", "FAILOVER", MASTER_NAME]).await.is_ok()
        })
        .await;
        self.promoted_after(before).await;
        eventually("the old master replicates the new one", async || {
            self.servers[before].command::<String>(&["INFO", "replication"]).await.contains("master_link_status:up")
        })
        .await;
    }

    /// Waits until another server than `before` is the master, and says so itself.
    pub async fn promoted_after(&self, before: usize) {
        let other = 1 - before;
        eventually("the Sentinels name the new master", async || self.master().await == other).await;
        eventually("the new master takes writes", async || {
            self.servers[other].command::<String>(&["INFO", "replication"]).await.contains("role:master")
        })
        .await;
    }

    /// Kills a Sentinel.
    pub fn kill_sentinel(&mut self, index: usize) {
        let process = &mut self.sentinels[index].process;
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Stops a Sentinel where it stands; connections to it are still accepted.
    pub fn pause_sentinel(&self, index: usize) {
        let id = self.sentinels[index].process.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &id]).status().unwrap().success());
    }
}

impl Sentinel {
    fn start(master: u16, lines: &[&str]) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        // Sentinels write what they learn into their configuration.
        let configuration = directory.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {MASTER_NAME} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER_NAME} 500\nsentinel failover-timeout {MASTER_NAME} 3000\n{}\n",
            directory.path().display(),
            lines.join("\n"),
        );
        fs::write(&configuration, text).unwrap();
        let process = program().arg(&configuration).arg("--sentinel").spawn().unwrap();
        Self { process, port, _directory: directory }
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

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn is_in_step(master: &RedisServer) -> bool {
    master.command::<String>(&["INFO", "replication"]).await.contains("state=online")
}
