//! A Redis or Valkey server of the test's own.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::conditions::{PATIENCE, eventually};
use crate::process::Process;

/// A server's program, and the variable that may name another one.
#[derive(Debug, Clone, Copy)]
struct Program {
    name: &'static str,
    variable: &'static str,
}

const REDIS: Program = Program { name: "redis-server", variable: "REDIS_SERVER" };
const VALKEY: Program = Program { name: "valkey-server", variable: "VALKEY_SERVER" };

/// A server on a free port of 127.0.0.1 and on a Unix socket. It is killed when this value is dropped.
///
/// It keeps nothing on disk, unless it is started with [`PERSISTENT`](Self::PERSISTENT).
#[derive(Debug)]
pub struct RedisServer {
    // Before the directory: the server must be gone when its directory is removed.
    process: Process,
    program: Program,
    port: u16,
    options: Vec<String>,
    directory: TempDir,
}

impl RedisServer {
    /// Options of a server that writes every command to disk before it acknowledges it, and has its data again after
    /// [`restart`](Self::restart).
    pub const PERSISTENT: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

    /// Starts Redis, and waits until it answers.
    ///
    /// The program is `redis-server` from the `PATH`, or what the variable `REDIS_SERVER` names.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts Redis with more `options`, such as `["--maxclients", "2"]`, and waits until it answers.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_program(REDIS, options).await
    }

    /// Starts Valkey with more `options`, and waits until it answers.
    ///
    /// The program is `valkey-server` from the `PATH`, or what the variable `VALKEY_SERVER` names.
    pub async fn start_valkey(options: &[&str]) -> Self {
        Self::start_program(VALKEY, options).await
    }

    async fn start_program(program: Program, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let mut log = String::new();
        // Another program may take a free port before the server does. Then another port is tried.
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let port = free_port();
            let process = spawn(program, port, directory.path(), &options);
            let mut server = Self { process, program, port, options: options.clone(), directory };
            if server.comes_up().await {
                return server;
            }
            log = server.log();
        }
        panic!("{} {options:?} ends as soon as it starts:\n{log}", program.name);
    }

    /// The server's port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's URL, without a login.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The server's URL with `login`, as in `user:password`.
    #[must_use]
    pub fn url_with_login(&self, login: &str) -> String {
        format!("redis://{login}@127.0.0.1:{}", self.port)
    }

    /// The URL of the server's Unix socket.
    #[must_use]
    pub fn unix_url(&self) -> String {
        format!("unix://{}", socket(self.directory.path()))
    }

    /// Opens a connection for the test itself, through the Unix socket.
    ///
    /// # Errors
    ///
    /// The server does not take the connection.
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // A slow answer on a busy machine is no failure.
        let patience =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        redis::Client::open(self.unix_url())?.get_multiplexed_async_connection_with_config(&patience).await
    }

    /// Runs a command, such as `["CONFIG", "SET", "maxmemory", "1"]`, and returns its answer. Fails the test when the server
    /// answers with an error.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).await.unwrap()
    }

    /// Runs a command whose arguments may be binary. Fails the test when the server answers with an error.
    pub async fn run(&self, command: &Cmd) {
        command.query_async::<()>(&mut self.connect().await.unwrap()).await.unwrap();
    }

    /// Sends SIGSTOP: the server hangs, but the system still accepts connections for it.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Sends SIGCONT: a paused server goes on.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Sends SIGKILL, and waits until the server is gone.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts a killed server again on the same port, and waits until it answers. Only a [persistent](Self::PERSISTENT)
    /// server has its data again.
    pub async fn restart(&mut self) {
        self.process = spawn(self.program, self.port, self.directory.path(), &self.options);
        let log = if self.comes_up().await { return } else { self.log() };
        panic!("{} does not start again on port {}:\n{log}", self.program.name, self.port);
    }

    /// Runs a command, and returns its answer or the error.
    pub(crate) async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        Cmd::new().arg(words).query_async(&mut self.connect().await?).await
    }

    /// Waits until the server answers, and returns `true`; `false` when it ends instead.
    async fn comes_up(&mut self) -> bool {
        let mut has_ended = false;
        eventually("the server answers", async || {
            has_ended = self.process.has_ended();
            has_ended || self.answers().await
        })
        .await;
        !has_ended
    }

    /// Whether this server answers. No other one can: the socket is in a directory of its own.
    async fn answers(&self) -> bool {
        match self.try_command::<()>(&["PING"]).await {
            Ok(()) => true,
            // A server that asks for a password is up.
            Err(error) => error.code() == Some("NOAUTH"),
        }
    }

    /// What the server wrote, to standard output and standard error.
    fn log(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }
}

fn spawn(server: Program, port: u16, directory: &Path, options: &[String]) -> Process {
    let mut command = server.command();
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--unixsocket", &socket(directory)])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(directory)
        .args(options);
    server.start(&mut command)
}

/// Starts `redis-server` as a Sentinel that reads `configuration`, and writes there what it learns.
pub(crate) fn spawn_sentinel(configuration: &Path) -> Process {
    REDIS.start(REDIS.command().arg(configuration).arg("--sentinel"))
}

impl Program {
    fn command(self) -> Command {
        let mut command = Command::new(env::var_os(self.variable).unwrap_or_else(|| self.name.into()));
        command.stdin(Stdio::null());
        command
    }

    fn start(self, command: &mut Command) -> Process {
        let Self { name, variable } = self;
        Process::start(command).unwrap_or_else(|error| {
            panic!("cannot start {name}: {error}; install it, or name its program in the variable {variable}")
        })
    }
}

fn socket(directory: &Path) -> String {
    directory.join("redis.sock").display().to_string()
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap().port()
}
