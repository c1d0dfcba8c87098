//! A redis-server of the test's own.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::{PATIENCE, eventually};

/// A program that is a server, and the variable that names another one.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    variable: &'static str,
}

const REDIS: Program = Program { name: "redis-server", variable: "REDIS_SERVER" };
const VALKEY: Program = Program { name: "valkey-server", variable: "VALKEY_SERVER" };

/// A redis-server on a free port and a Unix socket, which keeps nothing on disk and ends with the test.
///
/// The program is `redis-server` of the `PATH`, or what `REDIS_SERVER` names.
pub struct RedisServer {
    program: Program,
    process: Child,
    port: u16,
    options: Vec<String>,
    directory: TempDir,
}

impl RedisServer {
    /// A server that answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server that answers, with more `options`, such as `["--maxclients", "2"]`.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_program(REDIS, options).await
    }

    /// The same of Valkey: `valkey-server` of the `PATH`, or what `VALKEY_SERVER` names.
    pub async fn start_valkey(options: &[&str]) -> Self {
        Self::start_program(VALKEY, options).await
    }

    async fn start_program(program: Program, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        // Somebody else may take a free port before the server does; then another one is tried.
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let port = free_port();
            let process = spawn(program, port, directory.path(), &options);
            let mut server = Self { program, process, port, options: options.clone(), directory };
            if server.comes_up().await {
                return server;
            }
        }
        panic!("{} {options:?} ends as soon as it starts", program.name);
    }

    /// Port of the server, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of the server, without login.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// URL of the server with `login`, as in `user:password`.
    pub fn url_with_login(&self, login: &str) -> String {
        format!("redis://{login}@127.0.0.1:{}", self.port)
    }

    /// URL of the server's Unix socket.
    pub fn unix_url(&self) -> String {
        format!("unix://{}", socket(self.directory.path()))
    }

    /// A connection of the test's own, by the Unix socket.
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // A busy machine is no failure of the server's.
        let patience =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        redis::Client::open(self.unix_url())?.get_multiplexed_async_connection_with_config(&patience).await
    }

    /// Runs a command, such as `["CONFIG", "SET", "maxmemory", "1"]`.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).await.unwrap()
    }

    /// Stops the process where it stands, as a hang would; connections to it are still accepted.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Kills the server and waits until it is gone. What it held is lost.
    pub async fn kill(&mut self) {
        self.process.kill().unwrap();
        eventually("redis-server is gone", async || self.has_ended()).await;
    }

    /// Starts a killed server again on the same port, with an empty database, and waits until it answers.
    pub async fn restart(&mut self) {
        self.process = spawn(self.program, self.port, self.directory.path(), &self.options);
        assert!(self.comes_up().await, "redis-server does not start again on port {}", self.port);
    }

    async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut command = Cmd::new();
        command.arg(words);
        command.query_async(&mut self.connect().await?).await
    }

    /// Waits until the server answers; `false` when it ended instead.
    async fn comes_up(&mut self) -> bool {
        let mut ended = false;
        eventually("redis-server answers", async || {
            ended = self.has_ended();
            ended || self.answers().await
        })
        .await;
        !ended
    }

    /// The socket is in a directory of this server's own, so that whoever answers there is not another one.
    async fn answers(&self) -> bool {
        match self.try_command::<()>(&["PING"]).await {
            Ok(()) => true,
            // To want a password is an answer, too.
            Err(error) => error.code() == Some("NOAUTH"),
        }
    }

    fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// The standard library only knows how to kill.
    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(status.unwrap().success(), "kill -{name} failed");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(server: Program, port: u16, directory: &Path, options: &[String]) -> Child {
    server
        .command()
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--unixsocket", &socket(directory)])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(directory)
        .args(options)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}; {} may name another", server.name, server.variable))
}

/// The program of a Redis server, silent.
pub(super) fn program() -> Command {
    REDIS.command()
}

impl Program {
    fn command(self) -> Command {
        let mut command = Command::new(env::var_os(self.variable).unwrap_or_else(|| self.name.into()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

fn socket(directory: &Path) -> String {
    directory.join("redis.sock").display().to_string()
}

/// A port that nobody listened on a moment ago.
pub(super) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap().port()
}
