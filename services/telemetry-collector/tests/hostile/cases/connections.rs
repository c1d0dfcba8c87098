//! Connections that cost a place and bring no call.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::alone;
use crate::hostile::crowd::{BACKLOG, CLOSING, all_closed, connect, drip, heard};
use crate::hostile::meanwhile::Connections;
use crate::hostile::siege::{Allowed, Siege, soon};
use crate::hostile::table::Row;
use crate::hostile::target::{READER, Target, Tls};
use crate::hostile::wire::{CHECK, DATA, EMPTY, END_HEADERS, END_STREAM, HEADERS, Wire, call, frame, preface};
use crate::support::login::Login;

const MANY: usize = 200;
const SHORT: &[(&str, &str)] = &[
    ("TELEMETRY_CONTROL__HANDSHAKE_TIMEOUT", "1s"),
    ("TELEMETRY_CONTROL__IDLE_TIMEOUT", "2s"),
    ("TELEMETRY_CONTROL__CALL_TIMEOUT", "1s"),
];
/// SETTINGS_INITIAL_WINDOW_SIZE.
const WINDOW: u16 = 4;

pub async fn connections_without_a_byte() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let silent = connect(target.door.address, MANY, b"").await;
    all_closed(silent).await;
    siege.end(format!("{MANY} connections, closed after the handshake timeout"), Allowed::mib(8)).await
}

pub async fn half_a_tls_handshake() -> Row {
    let target = Target::start_with(Tls::On, SHORT).await;
    let siege = Siege::begin(&target).await;
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 40]].concat();
    let silent = connect(target.door.address, MANY / 2, &hello).await;
    let slow = connect(target.door.address, MANY / 2, b"").await;
    let dripping = tokio::spawn(drip(slow, hello));
    all_closed(silent).await;
    dripping.await.unwrap();
    siege.end(format!("{MANY} connections, half of them byte by byte"), Allowed::mib(8)).await
}

pub async fn preface_then_silence() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let silent = connect(target.door.address, MANY, &preface(&[])).await;
    all_closed(silent).await;
    siege.end(format!("{MANY} connections, closed after the idle timeout"), Allowed::mib(16)).await
}

pub async fn headers_byte_by_byte() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let slow = connect(target.door.address, MANY, &preface(&[])).await;
    drip(slow, frame(HEADERS, END_HEADERS, 1, &[0; 16_000])).await;
    siege.end(format!("{MANY} connections, closed after the idle timeout"), Allowed::mib(16)).await
}

pub async fn body_byte_by_byte() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let start = [preface(&[]), call(1, END_HEADERS, CHECK, &[]), frame(DATA, 0, 1, &[0, 0, 0, 0x0f, 0])].concat();
    let slow = connect(target.door.address, MANY, &start).await;
    drip(slow, frame(DATA, 0, 1, &[0; 8000])).await;
    siege.end(format!("{MANY} calls that need no login, ended by the call timeout"), Allowed::mib(16)).await
}

pub async fn answers_that_are_not_read() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let ask = [call(1, END_HEADERS, CHECK, &[]), frame(DATA, END_STREAM, 1, EMPTY)].concat();
    let mut deaf = Vec::new();
    for _ in 0..MANY {
        let mut wire = Wire::open(&target.door, &[(WINDOW, 0)]).await;
        wire.send(&ask).await;
        deaf.push(wire);
    }
    for wire in &deaf {
        wire.closed(CLOSING, "an answer is not kept for ever").await;
    }
    siege.end(format!("{MANY} calls that need no login, with a window of 0 bytes"), Allowed::mib(16)).await
}

pub async fn ten_thousand_connections() -> Row {
    const WANTED: usize = 10_000;
    const SPARE: usize = 1_000;
    const PLACES: usize = 256;
    /// Files of a collector without connections.
    const OTHER_FILES: usize = 40;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    }
    let many = WANTED.min(usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(SPARE));

    let _alone = alone().await;
    let target = Target::start(&[("TELEMETRY_CONTROL__IDLE_TIMEOUT", "3s")]).await;
    let siege = Siege::begin_with(&target, Connections::Old).await;
    let mut open = Vec::with_capacity(many);
    let mut most = 0;
    while open.len() < many {
        open.extend(connect(target.door.address, BACKLOG.min(many - open.len()), &preface(&[])).await);
        // The collector has caught up when the last one was answered or closed.
        heard(open.last_mut().unwrap()).await;
        most = most.max(target.open_files());
        assert!(most <= PLACES + OTHER_FILES, "the collector holds {most} files open");
    }
    assert!(most > PLACES / 2, "the attack took only {most} files of the collector");
    all_closed(open).await;
    soon(CLOSING, "a new client gets in", async || match target.door.client(Login::token(READER)).await {
        Ok(mut client) => client.snapshot().await.is_ok(),
        Err(_) => false,
    })
    .await;
    let limit = if many < WANTED { format!(" (the limit of open files is {hard})") } else { String::new() };
    siege.end(format!("{many} connections{limit}, at most {most} files open"), Allowed::mib(16)).await
}

pub async fn garbage_to_a_plain_port() -> Row {
    let target = Target::start(SHORT).await;
    garbage(&target).await
}

pub async fn garbage_to_a_tls_port() -> Row {
    let target = Target::start_with(Tls::On, SHORT).await;
    garbage(&target).await
}

async fn garbage(target: &Target) -> Row {
    let siege = Siege::begin(target).await;
    let mut random = StdRng::seed_from_u64(1);
    let mut kinds: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n".to_vec(),
        b"POST /telemetry.v1.ControlService/SetInterval HTTP/1.1\r\nHost: c\r\nContent-Length: 4294967296\r\n\r\n"
            .to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"*1\r\n$8\r\nFLUSHALL\r\n".to_vec(),
        [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 600]].concat(),
        [&preface(&[])[..], &[0xff; 100]].concat(),
        [&preface(&[])[..], &frame(0x7f, 0xff, 0x7fff_ffff, &[9; 64]), &frame(DATA, 0, 1, b"x")].concat(),
        vec![0; 100_000],
    ];
    for length in 1..MANY - kinds.len() + 1 {
        let mut bytes = vec![0; length * 16];
        random.fill_bytes(&mut bytes);
        if random.random_bool(0.5) {
            bytes = [&preface(&[])[..], &bytes].concat();
        }
        kinds.push(bytes);
    }
    let mut open = Vec::new();
    for bytes in &kinds {
        open.append(&mut connect(target.door.address, 1, bytes).await);
    }
    let connections = open.len();
    all_closed(open).await;
    siege.end(format!("{connections} connections: HTTP/1, SSH, Redis, TLS, random bytes"), Allowed::mib(16)).await
}
