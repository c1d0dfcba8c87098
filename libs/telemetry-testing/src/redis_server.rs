//! A redis-server of the test's own.

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use redis::{Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::conditions::eventually;

/// A redis-server on a Unix socket in a directory of its own, which ends with the test.
///
/// The program is `redis-server` of the `PATH`, or what `REDIS_SERVER` names.
pub struct RedisServer {
    process: Child,
    directory: TempDir,
}

impl RedisServer {
    /// A server that answers.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self { process: spawn(directory.path()), directory };
        server.comes_up().await;
        server
    }

    /// URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", socket(self.directory.path()))
    }

    /// Runs a command, such as `["CONFIG", "SET", "maxmemory", "1"]`.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).await.unwrap()
    }

    /// Runs a command with binary arguments.
    pub async fn run(&self, command: &Cmd) {
        let mut connection = redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        command.query_async::<()>(&mut connection).await.unwrap();
    }

    /// Kills the server; what it held survives in its append-only file.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts a killed server again, and waits until it answers.
    pub async fn restart(&mut self) {
        self.process = spawn(self.directory.path());
        self.comes_up().await;
    }

    async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        Cmd::new().arg(words).query_async(&mut connection).await
    }

    async fn comes_up(&mut self) {
        eventually("redis-server answers", async || {
            assert!(self.process.try_wait().unwrap().is_none(), "redis-server has ended");
            self.try_command::<()>(&["PING"]).await.is_ok()
        })
        .await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(directory: &Path) -> Child {
    let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    Command::new(&program)
        // No port, so that none can be taken.
        .args(["--port", "0", "--unixsocket", &socket(directory)])
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}; REDIS_SERVER may name another", program.display()))
}

fn socket(directory: &Path) -> String {
    directory.join("redis.sock").display().to_string()
}
