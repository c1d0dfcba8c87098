//! `telemetryctl watch` in a terminal: what it shows, and that the terminal is as it was before.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use support::{Collector, nobody};
use telemetry_testing::{RedisServer, eventually};

const ENTER_SCREEN: &str = "\x1b[?1049h";
const LEAVE_SCREEN: &str = "\x1b[?1049l";

/// telemetryctl in a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: File,
    line: OwnedFd,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(args: &[&str], vars: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_telemetryctl"))
            .args(args)
            .env_clear()
            .env("TERM", "xterm-256color")
            .envs(vars.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let (copy, mut screen) = (Arc::clone(&shown), File::from(master.try_clone().unwrap()));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Self { child, keyboard: File::from(master), line: slave, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Whether the terminal shows what is typed, as it does for a shell.
    fn echoes(&self) -> bool {
        tcgetattr(&self.line).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("it ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn shows_a_screen_and_restores_the_terminal_however_it_ends() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    let target = collector.target();
    for (keys, code) in [(&b"q"[..], 0), (b"\x1b", 0), (b"\x03", 130), (b"", 143)] {
        let mut terminal = Terminal::start(&["watch", "--target", &target], &[]);
        eventually("the delivery is shown", async || terminal.shown().contains("acknowledged")).await;
        assert!(terminal.shown().contains(ENTER_SCREEN) && !terminal.echoes());
        if keys.is_empty() {
            let status = Command::new("kill").args(["-s", "TERM", &terminal.child.id().to_string()]).status().unwrap();
            assert!(status.success());
        }
        terminal.press(keys);
        assert_eq!(terminal.exit_code().await, Some(code), "{keys:?}");
        eventually("the screen is left", async || terminal.shown().contains(LEAVE_SCREEN)).await;
        assert!(terminal.echoes(), "{keys:?}");
    }
}

#[tokio::test]
async fn keeps_trying_a_target_that_is_not_there() {
    let target = nobody();
    let mut terminal = Terminal::start(&["watch", "--target", &target], &[]);
    eventually("the reason is shown", async || terminal.shown().contains("Connection")).await;
    assert!(terminal.child.try_wait().unwrap().is_none());
    terminal.press(b"q");
    assert_eq!(terminal.exit_code().await, Some(0));
}

#[tokio::test]
async fn paints_text_in_a_terminal_unless_no_color_is_set() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    let mut painted = Terminal::start(&["health", "--target", &collector.target()], &[]);
    assert!(painted.exit_code().await.is_some());
    eventually("it is painted", async || painted.shown().contains("\x1b[1mTARGET")).await;
    let mut plain = Terminal::start(&["health", "--target", &collector.target()], &[("NO_COLOR", "1")]);
    assert!(plain.exit_code().await.is_some());
    eventually("it is shown", async || plain.shown().contains("control")).await;
    assert!(!plain.shown().contains('\x1b'), "{}", plain.shown());
}
