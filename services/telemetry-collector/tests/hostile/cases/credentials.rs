//! Callers who are not let in, or not that far.

use std::fs;

use telemetry_testing::{Authority, ClientFiles, PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

use super::alone;
use crate::hostile::ask::{SERVICE, ask, bearer, framed};
use crate::hostile::siege::{Allowed, Siege};
use crate::hostile::table::Row;
use crate::hostile::target::{OPERATOR, READER, Target, Tls};
use crate::hostile::wire::{DATA, END_HEADERS, END_STREAM, HEADERS, SNAPSHOT, Wire, call, frame, preface};
use crate::support::login::{Login, hash};

const HEALTH: &str = "/grpc.health.v1.Health";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// A request to reflection. The other calls pass over its field.
const LIST_SERVICES: &[u8] = &[0x3a, 0];
/// SetInterval to a minute.
const MINUTE: &[u8] = &[0x0a, 2, 0x08, 60];

/// Every method that needs a login by default.
fn closed() -> Vec<String> {
    let methods = [
        "GetSnapshot",
        "WatchSnapshots",
        "SetInterval",
        "ResetInterval",
        "GetCapabilities",
        "GetConfig",
        "Health",
        "New",
    ];
    let mut paths: Vec<_> = methods.iter().map(|method| format!("{SERVICE}/{method}")).collect();
    paths
        .extend(["/", REFLECTION, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"].map(str::to_owned));
    paths
}

pub async fn wrong_logins() -> Row {
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let logins = [
        vec![],
        vec![bearer("wrong")],
        vec![bearer("")],
        vec![OPERATOR.to_owned()],
        vec![format!("Basic {OPERATOR}")],
        vec![bearer("operator")],
        vec![bearer(&hash(OPERATOR))],
        vec![bearer(&OPERATOR.to_uppercase())],
        vec![bearer(&OPERATOR[..OPERATOR.len() - 1])],
        vec![format!("{}x", bearer(OPERATOR))],
        vec![bearer(OPERATOR), bearer(OPERATOR)],
        vec![bearer("wrong"), bearer(OPERATOR)],
        vec![format!("{}, {}", bearer("wrong"), bearer(OPERATOR))],
        vec![bearer(&"x".repeat(7_000))],
    ];
    let mut calls = 0;
    for login in &logins {
        let headers: Vec<_> = login.iter().map(|value| ("authorization", value.as_str())).collect();
        for path in closed() {
            let code = ask(&channel, &path, &headers, framed(MINUTE)).await;
            assert_eq!(code, Some(Code::Unauthenticated), "{path} {login:?}");
            calls += 1;
        }
    }
    siege.end(format!("{calls} calls with no login, a wrong one, two, or another scheme"), Allowed::mib(8)).await
}

pub async fn guessed_tokens() -> Row {
    const CONNECTIONS: usize = 20;
    const GUESSES: usize = 200;
    let _alone = alone().await;
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let guessing = (0..CONNECTIONS).map(|number| {
        let door = target.door.clone();
        tokio::spawn(async move {
            let mut client = door.client(Login::none()).await.unwrap();
            for guess in 0..GUESSES {
                client.login = Login::token(&format!("guess-{number}-{guess}"));
                assert_eq!(client.change().await.unwrap_err().code(), Code::Unauthenticated);
            }
        })
    });
    for guesses in guessing.collect::<Vec<_>>() {
        guesses.await.unwrap();
    }
    siege.end(format!("{} tokens tried on {CONNECTIONS} connections", CONNECTIONS * GUESSES), Allowed::mib(8)).await
}

pub async fn token_revoked_during_a_watch() -> Row {
    const WATCHES: usize = 20;
    let target = Target::start(&[]).await;
    target.tokens.set(&[
        ("reader", "read", READER),
        ("operator", "control", OPERATOR),
        ("leaver", "control", "leaver-token"),
    ]);
    let siege = Siege::begin(&target).await;
    let mut leaver = target.door.client(Login::token("leaver-token")).await.unwrap();
    eventually("the new token is known", async || leaver.snapshot().await.is_ok()).await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(leaver.watch().await.unwrap());
    }
    target.tokens.set(&[("reader", "read", READER), ("operator", "control", OPERATOR)]);
    for mut watch in watches {
        let ended = async {
            loop {
                match watch.message().await {
                    Ok(message) => assert!(message.is_some(), "a revoked watch says why it ends"),
                    Err(status) => return status,
                }
            }
        };
        assert_eq!(timeout(PATIENCE, ended).await.expect("the watch ends").code(), Code::Unauthenticated);
    }
    assert_eq!(leaver.change().await.unwrap_err().code(), Code::Unauthenticated);
    siege.end(format!("{WATCHES} watches and a call with a token that is gone"), Allowed::mib(8)).await
}

/// The login comes with the headers, the change with the last byte of the message.
pub async fn token_revoked_during_a_change() -> Row {
    const CALLS: u32 = 20;
    let target = Target::start(&[("TELEMETRY_CONTROL__CALL_TIMEOUT", "1m")]).await;
    target.tokens.set(&[
        ("reader", "read", READER),
        ("operator", "control", OPERATOR),
        ("leaver", "control", "leaver-token"),
    ]);
    let siege = Siege::begin(&target).await;
    let mut leaver = target.door.client(Login::token("leaver-token")).await.unwrap();
    eventually("the new token is known", async || leaver.snapshot().await.is_ok()).await;
    let (path, login, message) = (format!("{SERVICE}/SetInterval"), bearer("leaver-token"), framed(MINUTE));
    let (last, most) = message.split_last().unwrap();
    let mut wire = Wire::open(&target.door, &[]).await;
    let streams = || (0..CALLS).map(|number| number * 2 + 1);
    for stream in streams() {
        wire.send(&call(stream, END_HEADERS, &path, &[("authorization", &login)])).await;
        wire.send(&frame(DATA, 0, stream, most)).await;
    }
    target.tokens.set(&[("reader", "read", READER), ("operator", "control", OPERATOR)]);
    eventually("the token is revoked", async || leaver.snapshot().await.is_err()).await;
    for stream in streams() {
        wire.send(&frame(DATA, END_STREAM, stream, &[*last])).await;
    }
    let answers = || wire.seen().frames.get(&HEADERS).copied().unwrap_or_default();
    eventually("every call is answered", async || answers() >= u64::from(CALLS)).await;
    siege.end(format!("{CALLS} changes whose last byte comes after the token is gone"), Allowed::mib(8)).await
}

pub async fn damaged_tokens_files() -> Row {
    const TOLD: &str = "a changed file cannot be used";
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let path = target.tokens.path();
    let intruder = format!("intruder control {}\n", hash("intruder-token"));
    let damages = [
        format!("{intruder}half a line"),
        format!("{intruder}\u{0}\u{0}\u{0}"),
        format!("{intruder}{intruder}"),
        format!("{intruder}{}", "#".repeat(2 << 20)),
    ];
    let mut operator = target.operator().await;
    let mut intruder = target.door.client(Login::token("intruder-token")).await.unwrap();
    let mut told = 0;
    for damage in &damages {
        target.tokens.write(damage);
        told += 1;
        eventually("the damage is told", async || target.collector.log().matches(TOLD).count() == told).await;
        operator.snapshot().await.unwrap();
        assert_eq!(intruder.snapshot().await.unwrap_err().code(), Code::Unauthenticated);
    }
    fs::remove_file(path).unwrap();
    told += 1;
    eventually("the missing file is told", async || target.collector.log().matches(TOLD).count() == told).await;
    operator.snapshot().await.unwrap();
    assert_eq!(intruder.snapshot().await.unwrap_err().code(), Code::Unauthenticated);
    target.tokens.set(&[("reader", "read", READER), ("operator", "control", OPERATOR)]);
    siege.end(format!("{told} files: cut off, binary, doubled, 2 MiB, removed"), Allowed::mib(16)).await
}

pub async fn readers_who_change() -> Row {
    const CALLS: usize = 500;
    let _alone = alone().await;
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let login = bearer(READER);
    for call in 0..CALLS {
        let method = ["SetInterval", "ResetInterval", "New"][call % 3];
        let path = format!("{SERVICE}/{method}");
        let code = ask(&channel, &path, &[("authorization", &login)], framed(MINUTE)).await;
        assert_eq!(code, Some(Code::PermissionDenied), "{method}");
    }
    siege.end(format!("{CALLS} changes asked for with the role read"), Allowed::mib(8)).await
}

pub async fn strange_client_certificates() -> Row {
    const EACH: usize = 10;
    let _alone = alone().await;
    let target = Target::start_with(Tls::Mutual, &[]).await;
    let siege = Siege::begin(&target).await;
    let other = Authority::new();
    let ours = &target.authority;
    let of_other = ClientFiles { ca: Some(ours.ca()), ..other.client("friend") };
    for files in [ours.trusted(), ours.expired_client("friend"), of_other] {
        for _ in 0..EACH {
            // With TLS 1.3 the client learns only from its first call that it is refused.
            if let Ok(mut client) = target.door.with(files.clone()).client(Login::token(OPERATOR)).await {
                client.change().await.unwrap_err();
            }
        }
    }
    let attack = format!("{} clients without a certificate, with an expired one, and with one of another CA", 3 * EACH);
    siege.end(attack, Allowed::mib(16)).await
}

pub async fn token_on_a_plain_connection() -> Row {
    let target = Target::start_with(Tls::On, &[]).await;
    let siege = Siege::begin(&target).await;
    let login = bearer(OPERATOR);
    let h2 = [
        preface(&[]),
        call(1, END_HEADERS, SNAPSHOT, &[("authorization", &login)]),
        frame(DATA, END_STREAM, 1, &framed(b"")),
    ];
    let h1 = format!("POST {SNAPSHOT} HTTP/1.1\r\nHost: c\r\nAuthorization: {login}\r\nContent-Length: 0\r\n\r\n");
    for bytes in [h2.concat(), h1.into_bytes()] {
        let mut stream = TcpStream::connect(target.door.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = timeout(PATIENCE, reading).await.expect("the connection is closed");
        // An alert of TLS at most.
        assert!(answer.len() < 16, "{answer:x?}");
    }
    siege.end("a token by HTTP/1 and HTTP/2 without TLS", Allowed::mib(8)).await
}

pub async fn calls_open_without_a_login() -> Row {
    let open = [format!("{HEALTH}/Check"), format!("{SERVICE}/Health"), REFLECTION.to_owned()];
    without_login("health,health_details,reflection", &open).await
}

pub async fn calls_closed_without_a_login() -> Row {
    without_login("none", &[]).await
}

async fn without_login(setting: &str, open: &[String]) -> Row {
    let target = Target::start(&[("TELEMETRY_CONTROL__WITHOUT_LOGIN", setting)]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let mut all = closed();
    all.extend([format!("{HEALTH}/Check"), format!("{HEALTH}/Watch")]);
    let is_open = |path: &String| open.contains(path) || (!open.is_empty() && path.contains("eflection"));
    for path in &all {
        let code = ask(&channel, path, &[], framed(LIST_SERVICES)).await;
        let expected = if is_open(path) { Code::Ok } else { Code::Unauthenticated };
        assert_eq!(code, Some(expected), "{path}");
    }
    siege.end(format!("{} calls without a login, WITHOUT_LOGIN={setting}", all.len()), Allowed::mib(8)).await
}
