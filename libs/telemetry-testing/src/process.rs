//! Programs that a test runs. Their output is kept, and they are killed when the test ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::{env, mem};

use crate::conditions::eventually;

/// A running program. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Capture,
    stderr: Capture,
}

/// How a program ended that [`Process::run`] ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The exit code; `None` when a signal ended the program.
    pub code: Option<i32>,
    /// Everything written to standard output.
    pub stdout: String,
    /// Everything written to standard error.
    pub stderr: String,
}

impl Process {
    /// A command whose first word is the program. Its whole environment is `vars`; of two values of one name the last one
    /// counts. Standard input is empty.
    #[must_use]
    pub fn command(words: &[&str], vars: &[(&str, &str)]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().envs(vars.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Starts a program, and keeps what it writes to standard output and standard error.
    ///
    /// # Errors
    ///
    /// The program cannot be started, most often because it is not installed.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Ok(Self { child, stdout: Capture::of(stdout), stderr: Capture::of(stderr) })
    }

    /// Runs a program with `input` as its standard input, and waits until it ends.
    ///
    /// # Errors
    ///
    /// The program cannot be started, most often because it is not installed.
    pub async fn run(command: &mut Command, input: &str) -> io::Result<Finished> {
        let mut process = Self::start(command.stdin(Stdio::piped()))?;
        let mut stdin = process.child.stdin.take().unwrap();
        let input = input.to_owned();
        // A program that ends before it has read everything is judged by its exit code.
        thread::spawn(move || stdin.write_all(input.as_bytes()));
        let code = process.ended().await.code();
        Ok(Finished { code, stdout: process.stdout.text(), stderr: process.stderr.text() })
    }

    /// Waits until a JSON log line on standard error contains `message`, and returns the value of its field `address`. Fails
    /// the test when the program ends before that.
    pub async fn address(&mut self, message: &str) -> SocketAddr {
        let mut address = None;
        eventually(message, async || {
            let has_ended = self.has_ended();
            let log = self.stderr();
            address = address_in(&log, message);
            assert!(address.is_some() || !has_ended, "the program ended before it logged {message:?}:\n{log}");
            address.is_some()
        })
        .await;
        address.unwrap()
    }

    /// The process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The whole lines written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The whole lines written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal by its name, such as `"TERM"`.
    pub fn signal(&self, name: &str) {
        // The standard library can only send SIGKILL.
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(status.success(), "cannot send SIG{name}: {status}");
    }

    /// Whether the program has ended and its output is read to the end.
    pub fn has_ended(&mut self) -> bool {
        self.exit_status().is_some()
    }

    /// Waits until the program has ended and its output is read to the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the program ends", async || {
            status = self.exit_status();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// Sends SIGKILL, and waits until the program has ended.
    pub async fn kill(&mut self) {
        self.child.kill().unwrap();
        self.ended().await;
    }

    /// The exit status, once the output is read to the end.
    fn exit_status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        status.filter(|_| self.stdout.is_complete() && self.stderr.is_complete())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is read from a pipe, line by line, in a thread of its own.
#[derive(Debug)]
struct Capture {
    text: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Capture {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&text);
        let reading = thread::spawn(move || {
            let (mut pipe, mut line) = (BufReader::new(pipe), Vec::new());
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&mem::take(&mut line)));
            }
        });
        Self { text, reading }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn is_complete(&self) -> bool {
        self.reading.is_finished()
    }
}

/// A Python with the packages of `examples/python/requirements.txt`, which the variable `TELEMETRY_PYTHON` names.
///
/// Bazel sets the variable to a Python of its own; for cargo, `scripts/setup.sh` provides one.
#[must_use]
pub fn python() -> Command {
    let program =
        env::var_os("TELEMETRY_PYTHON").expect("TELEMETRY_PYTHON is not set; run: eval \"$(scripts/setup.sh)\"");
    let mut command = Command::new(program);
    // Without -B, Python would write compiled files into the source tree.
    command.arg("-B").stdin(Stdio::null());
    command
}

fn address_in(log: &str, message: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(message))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["address"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, vars: &[(&str, &str)]) -> Command {
        Process::command(&["/bin/sh", "-c", script], vars)
    }

    #[tokio::test]
    async fn runs_a_program_with_nothing_but_the_given_environment() {
        let finished =
            Process::run(&mut shell("/usr/bin/env", &[("NAME", "first"), ("NAME", "last")]), "").await.unwrap();
        assert!(finished.stdout.lines().any(|line| line == "NAME=last"), "{finished:?}");
        assert!(!finished.stdout.contains("PATH=") && !finished.stdout.contains("HOME="), "{finished:?}");
    }

    #[tokio::test]
    async fn returns_output_and_exit_code() {
        let finished =
            Process::run(&mut shell("read line; echo \"got $line\"; echo no >&2; exit 3", &[]), "input\n").await;
        let expected = Finished { code: Some(3), stdout: "got input\n".to_owned(), stderr: "no\n".to_owned() };
        assert_eq!(finished.unwrap(), expected);
    }

    #[tokio::test]
    async fn finds_the_address_in_the_log() {
        let script = r#"echo '{"message":"starting"}' >&2
            echo '{"message":"now listening","address":"127.0.0.1:80"}' >&2; read line"#;
        let mut process = Process::start(shell(script, &[]).stdin(Stdio::piped())).unwrap();
        assert_eq!(process.address("now listening").await, "127.0.0.1:80".parse().unwrap());
        assert!(!process.has_ended());
    }

    #[tokio::test]
    #[should_panic(expected = "the program ended before it logged \"listening\":\nno such setting")]
    async fn shows_the_log_when_a_program_ends_at_its_start() {
        let mut process = Process::start(&mut shell("echo no such setting >&2", &[])).unwrap();
        process.address("listening").await;
    }

    #[tokio::test]
    async fn sends_signals_and_waits_for_the_end() {
        let script = "trap 'echo stopping; exit 7' TERM; echo ready; while :; do /bin/sleep 0.01; done";
        let mut process = Process::start(&mut shell(script, &[])).unwrap();
        eventually("the program is ready", async || process.stdout().contains("ready")).await;
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(7));
        assert_eq!(process.stdout(), "ready\nstopping\n");
    }

    #[test]
    fn kills_the_program_when_dropped() {
        let process = Process::start(&mut Process::command(&["/bin/sleep", "600"], &[])).unwrap();
        let id = process.id().to_string();
        let exists =
            || Process::start(Command::new("kill").args(["-s", "0", &id])).unwrap().child.wait().unwrap().success();
        assert!(exists());
        drop(process);
        assert!(!exists());
    }
}
