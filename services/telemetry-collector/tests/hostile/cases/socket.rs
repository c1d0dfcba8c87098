//! The Unix socket, and the end of the process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::unistd::Uid;

use super::alone;
use crate::hostile::siege::{Allowed, Siege};
use crate::hostile::table::Row;
use crate::hostile::target::Target;
use crate::hostile::wire::{CHECK, DATA, EMPTY, END_HEADERS, END_STREAM, Wire, call, frame};
use crate::support::collector::Collector;

/// The variable that makes this program connect to a Unix socket and end.
const CONNECT: &str = "HOSTILE_CONNECT";
const NOBODY: &str = "65534";
const CONNECTED: u8 = 0;
const REFUSED: u8 = 13;
const NO_SOCKET: u8 = 2;

/// What this program does as another user: [`unix_socket_of_another_user`] starts it again.
pub fn connect_as_another_user() -> Option<ExitCode> {
    let path = std::env::var_os(CONNECT)?;
    Some(match UnixStream::connect(Path::new(&path)) {
        Ok(_) => CONNECTED.into(),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => REFUSED.into(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => NO_SOCKET.into(),
        Err(_) => ExitCode::FAILURE,
    })
}

pub async fn unix_socket_of_another_user() -> Row {
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let directory = tempfile::tempdir().unwrap();
    // Everybody may enter the directory, and run a copy of this program: only the socket's mode is left to refuse.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (path, program) = (directory.path().join("control.sock"), directory.path().join("connect"));
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let connect = || {
        let ids = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        let ended = Command::new("setpriv").args(ids).arg(&program).env(CONNECT, &path).status();
        ended.ok().and_then(|status| status.code())
    };
    // Nobody listens yet: an answer at all says that this program can become another user, which a sandbox may forbid.
    let attack = if Uid::effective().is_root() && connect() == Some(NO_SOCKET.into()) {
        for (mode, expected) in [("600", REFUSED), ("660", REFUSED), ("666", CONNECTED)] {
            let vars = [("TELEMETRY_CONTROL__SOCKET_MODE", mode), ("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1")];
            let _collector = Collector::start_on_socket(&path, &vars).await;
            assert_eq!(connect(), Some(expected.into()), "mode {mode}");
        }
        "another user cannot connect with mode 660 and 600, and can with 666"
    } else {
        "not tried: this needs root and setpriv"
    };
    siege.end(attack, Allowed::mib(8)).await
}

/// SIGTERM while clients hold connections and calls open: the process ends with everything delivered.
pub async fn ended_under_attack() -> Row {
    const MANY: usize = 100;
    let _alone = alone().await;
    let mut target = Target::start(&[("TELEMETRY_SHUTDOWN__GRACE", "5s")]).await;
    let siege = Siege::begin(&target).await;
    let mut open = Vec::new();
    for _ in 0..MANY {
        // A call that is half sent, a connection without a call, and an answer that is not read.
        let mut half = Wire::open(&target.door, &[]).await;
        half.send(&call(1, END_HEADERS, CHECK, &[])).await;
        let mut unread = Wire::deaf(&target.door, &[(4, 0)]).await;
        unread.send(&[call(1, END_HEADERS, CHECK, &[]), frame(DATA, END_STREAM, 1, EMPTY)].concat()).await;
        open.extend([half, unread]);
    }
    let mut row = siege.end("", Allowed::mib(16)).await;
    let began = tokio::time::Instant::now();
    target.collector.signal("TERM");
    let status = target.collector.ended().await;
    let log = target.collector.log();
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("every message was delivered"), "{log}");
    row.attack = format!("SIGTERM with {} calls held open: ended after {} ms", open.len(), began.elapsed().as_millis());
    row
}
