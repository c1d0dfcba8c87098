//! Messages that are too large, damaged or never complete.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tonic::Code;

use super::alone;
use crate::hostile::ask::{SERVICE, ask, bearer, framed};
use crate::hostile::crowd::CLOSING;
use crate::hostile::door::Door;
use crate::hostile::siege::{Allowed, Siege};
use crate::hostile::table::Row;
use crate::hostile::target::{OPERATOR, Target};
use crate::hostile::wire::{CHECK, END_HEADERS, Wire, call};

/// Methods with one request, which the role `control` may call.
const METHODS: &[&str] = &["GetSnapshot", "SetInterval", "ResetInterval", "GetCapabilities", "GetConfig", "Health"];
/// TELEMETRY_CONTROL__MAX_MESSAGE_BYTES.
const LIMIT: usize = 4 << 10;
const FRAME_BYTES: usize = 16_384;
/// Nearly TELEMETRY_CONTROL__MAX_HEADER_BYTES.
const HEADERS: usize = 7 << 10;

fn path(method: &str) -> String {
    format!("{SERVICE}/{method}")
}

pub async fn oversized_messages() -> Row {
    let _alone = alone().await;
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let login = bearer(OPERATOR);
    let mut calls = 0;
    for method in METHODS {
        for body in [
            framed(&vec![0; LIMIT + 1]),
            framed(&vec![0; 1 << 20]),
            [&[0, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat(),
        ] {
            let code = ask(&channel, &path(method), &[("authorization", &login)], body).await;
            assert_eq!(code, Some(Code::OutOfRange), "{method}");
            calls += 1;
        }
    }
    siege.end(format!("{calls} messages of 4 KiB and a byte, 1 MiB, or said to have 4 GiB"), Allowed::mib(8)).await
}

pub async fn malformed_messages() -> Row {
    let _alone = alone().await;
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let login = bearer(OPERATOR);
    let mut random = StdRng::seed_from_u64(2);
    let mut messages: Vec<Vec<u8>> = vec![
        // A length beyond the end; one that overflows; a group that never ends; nested without end; a wrong type; not UTF-8.
        vec![0x0a, 0x7f],
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        vec![0x0b; 200],
        vec![0x0a; 2_000],
        vec![0x0d, 1, 2],
        vec![0x1a, 2, 0xff, 0xfe],
        // Intervals that are negative, zero, or beyond what is allowed.
        vec![0x0a, 11, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        vec![0x0a, 0],
        vec![0x0a, 10, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        vec![0x0a, 2, 0x10, 1],
    ];
    for _ in 0..100 {
        let mut bytes = vec![0; random.random_range(1..300)];
        random.fill_bytes(&mut bytes);
        messages.push(bytes);
    }
    let mut calls = 0;
    for message in &messages {
        for method in METHODS.iter().filter(|method| **method != "ResetInterval") {
            let code = ask(&channel, &path(method), &[("authorization", &login)], framed(message)).await;
            let is_change = *method == "SetInterval";
            let expected = [Some(Code::Internal), Some(Code::InvalidArgument)].contains(&code);
            // Fields that a request does not have are passed over.
            assert!(expected || (!is_change && code == Some(Code::Ok)), "{method} {message:x?}: {code:?}");
            calls += 1;
        }
    }
    siege.end(format!("{calls} messages that are not of the schema"), Allowed::mib(8)).await
}

pub async fn malformed_frames() -> Row {
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let login = bearer(OPERATOR);
    let bodies: &[&[u8]] = &[
        b"",
        &[0],
        &[0, 0, 0],
        &[0, 0, 0, 0, 9, 1],
        &[2, 0, 0, 0, 0],
        &[0xff, 0, 0, 0, 0],
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\"interval\":\"1s\"}",
    ];
    let mut calls = 0;
    for method in METHODS {
        for body in bodies {
            let code = ask(&channel, &path(method), &[("authorization", &login)], body.to_vec()).await;
            assert!(code.is_some_and(|code| code != Code::Ok), "{method} {body:x?}: {code:?}");
            calls += 1;
        }
    }
    for (header, value) in [("content-type", "text/html"), ("grpc-timeout", "x"), ("grpc-timeout", "99999999999H")] {
        ask(&channel, &path("Health"), &[("authorization", &login), (header, value)], framed(b"")).await;
        calls += 1;
    }
    for path in ["/", "//", "/telemetry.v1.ControlService/", "/telemetry.v1.ControlService/NoSuch", "/../../etc/passwd"]
    {
        let code = ask(&channel, path, &[("authorization", &login)], framed(b"")).await;
        assert_eq!(code, Some(Code::Unimplemented), "{path}");
        calls += 1;
    }
    siege.end(format!("{calls} calls: cut off, of other formats, of methods that do not exist"), Allowed::mib(8)).await
}

pub async fn compressed_bombs() -> Row {
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let channel = target.door.channel().await.unwrap();
    let login = bearer(OPERATOR);
    // The beginning of what gzip makes of zeros.
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xed, 0xc1, 1, 1][..], &[0; 60_000]].concat();
    let compressed = [&[1][..], &framed(&bomb)[1..]].concat();
    let mut calls = 0;
    for method in METHODS {
        for encoding in [None, Some("gzip"), Some("zstd"), Some("identity"), Some("no-such")] {
            let mut headers = vec![("authorization", login.as_str())];
            headers.extend(encoding.map(|encoding| ("grpc-encoding", encoding)));
            let code = ask(&channel, &path(method), &headers, compressed.clone()).await;
            assert!(matches!(code, Some(Code::Internal | Code::Unimplemented)), "{method} {encoding:?}: {code:?}");
            calls += 1;
        }
    }
    siege.end(format!("{calls} messages marked as compressed"), Allowed::mib(8)).await
}

/// Messages within the limit whose last byte never comes, in as many calls as a connection can have, with headers near their
/// limit: the most memory that a stranger can take by a connection.
pub async fn half_messages() -> Row {
    const CONNECTIONS: usize = 25;
    const CALLS: u32 = 64;
    let _alone = alone().await;
    let target =
        Target::start(&[("TELEMETRY_CONTROL__IDLE_TIMEOUT", "2s"), ("TELEMETRY_CONTROL__CALL_TIMEOUT", "5s")]).await;
    let siege = Siege::begin(&target).await;
    let bytes: u64 =
        join_all((0..CONNECTIONS).map(async |_| send_halves(&target.door, CALLS).await)).await.iter().sum();
    let sent = bytes >> 20;
    siege
        .end(format!("{CONNECTIONS} connections with {CALLS} calls without a login, {sent} MiB"), Allowed::mib(64))
        .await
}

/// Sends all of a message but the last byte, `calls` times on a connection, and waits for its end. Returns the bytes sent.
async fn send_halves(door: &Door, calls: u32) -> u64 {
    let mut wire = Wire::open(door, &[]).await;
    let length = u32::try_from(LIMIT).unwrap().to_be_bytes();
    let message = [&[0][..], &length, &vec![0; LIMIT - 1]].concat();
    let padding = "p".repeat(HEADERS);
    for stream in (0..calls).map(|number| number * 2 + 1) {
        wire.send(&call(stream, END_HEADERS, CHECK, &[("x-padding", &padding)])).await;
        for part in message.chunks(FRAME_BYTES) {
            if !wire.send_data(stream, part).await {
                return wire.sent_data;
            }
        }
    }
    wire.closed(CLOSING, "the calls end, and then the connection").await;
    wire.sent_data
}
