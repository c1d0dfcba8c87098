//! Floods of HTTP/2 frames, and frames that are larger than allowed.

use std::time::Duration;

use super::alone;
use crate::hostile::ask::ask;
use crate::hostile::crowd::CLOSING;
use crate::hostile::siege::{Allowed, Siege, soon};
use crate::hostile::table::Row;
use crate::hostile::target::Target;
use crate::hostile::wire::{
    CHECK, CONTINUATION, DATA, EMPTY, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY,
    REFUSED_STREAM, SNAPSHOT, WINDOW_UPDATE, Wire, block, call, field, frame, reset, settings_frame,
};

const SHORT: &[(&str, &str)] = &[("TELEMETRY_CONTROL__IDLE_TIMEOUT", "2s"), ("TELEMETRY_CONTROL__CALL_TIMEOUT", "1s")];
/// Frames that are written at once.
const BATCH: usize = 200;
const FRAME_BYTES: usize = 16_384;

/// CVE-2023-44487.
pub async fn rapid_reset() -> Row {
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let mut calls = 0_u64;
    let mut connections = 0;
    let until = tokio::time::Instant::now() + Duration::from_secs(2);
    // A client that is thrown out comes again.
    while tokio::time::Instant::now() < until {
        let mut wire = Wire::open(&target.door, &[]).await;
        connections += 1;
        let mut stream = 1;
        loop {
            let mut batch = Vec::new();
            for _ in 0..BATCH {
                batch.extend(call(stream, END_HEADERS | END_STREAM, CHECK, &[]));
                batch.extend(reset(stream));
                stream += 2;
            }
            if !wire.send(&batch).await {
                break;
            }
            assert!(stream < 2_000_000, "a million calls were made and cancelled on one connection");
        }
        calls += u64::from(stream / 2);
        let seen = wire.closed(CLOSING, "who resets too much is thrown out").await;
        assert!(matches!(seen.goaway, None | Some(ENHANCE_YOUR_CALM)), "{seen:?}");
    }
    siege.end(format!("{calls} calls, each cancelled at once, on {connections} connections"), Allowed::mib(32)).await
}

/// CVE-2024-27316.
pub async fn continuation_flood() -> Row {
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let mut wire = Wire::open(&target.door, &[]).await;
    wire.send(&frame(HEADERS, END_STREAM, 1, &block(CHECK, &[]))).await;
    let more = frame(CONTINUATION, 0, 1, &field(0, "x-more", &"m".repeat(FRAME_BYTES / 2)));
    while wire.send(&more).await {
        assert!(wire.sent_bytes < 64 << 20, "64 MiB of headers were taken");
    }
    let kib = wire.sent_bytes >> 10;
    siege.end(format!("{kib} KiB of headers until the connection was closed"), Allowed::mib(8)).await
}

pub async fn ping_flood() -> Row {
    until_thrown_out("PING", &frame(PING, 0, 0, &[7; 8]), &[]).await
}

pub async fn settings_flood() -> Row {
    until_thrown_out("SETTINGS", &settings_frame(&[(3, 100), (4, 65_535)]), &[]).await
}

pub async fn window_update_flood() -> Row {
    // No change, again and again: a window that grows would be over soon.
    until_thrown_out("WINDOW_UPDATE", &frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()), &open_call(CHECK)).await
}

pub async fn priority_flood() -> Row {
    until_thrown_out("PRIORITY", &frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 9]), &[]).await
}

pub async fn reset_flood() -> Row {
    until_thrown_out("RST_STREAM", &reset(1), &[call(1, END_HEADERS, CHECK, &[]), reset(1)].concat()).await
}

pub async fn empty_data_flood() -> Row {
    until_thrown_out("DATA without a byte", &frame(DATA, 0, 1, &[]), &open_call(CHECK)).await
}

pub async fn empty_data_flood_to_a_refused_call() -> Row {
    until_thrown_out("DATA without a byte", &frame(DATA, 0, 1, &[]), &open_call(SNAPSHOT)).await
}

/// The answers to a flood must not pile up in the collector.
pub async fn ping_flood_that_is_not_read() -> Row {
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let mut wire = Wire::deaf(&target.door, &[]).await;
    let batch = frame(PING, 0, 0, &[7; 8]).repeat(BATCH);
    let mut is_open = true;
    while is_open && wire.sent_bytes < 64 << 20 {
        match wire.try_send(&batch, Duration::from_secs(1)).await {
            Some(open) => is_open = open,
            // The server reads no more.
            None => break,
        }
    }
    let kib = wire.sent_bytes >> 10;
    siege.end(format!("{kib} KiB of PING, no answer read"), Allowed::mib(16)).await
}

pub async fn too_many_streams() -> Row {
    const STREAMS: u64 = 1_000;
    const ALLOWED: u64 = 64;
    let _alone = alone().await;
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let mut wire = Wire::open(&target.door, &[]).await;
    for number in 0..STREAMS {
        wire.send(&call(number as u32 * 2 + 1, END_HEADERS, CHECK, &[])).await;
    }
    soon(CLOSING, "calls over the limit are refused", async || {
        let seen = wire.seen();
        let refused = seen.resets.get(&REFUSED_STREAM).copied().unwrap_or_default();
        seen.goaway.is_some() || refused == STREAMS - ALLOWED
    })
    .await;
    let seen = wire.seen();
    siege.end(format!("{STREAMS} calls at a time on one connection; resets {:?}", seen.resets), Allowed::mib(8)).await
}

pub async fn oversized_headers() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let mut sent = 0;
    for kib in [9, 64, 1024] {
        let mut wire = Wire::open(&target.door, &[]).await;
        let value = "v".repeat(kib << 10);
        let headers = block(SNAPSHOT, &[("x-large", &value)]);
        let mut parts = headers.chunks(FRAME_BYTES).peekable();
        let mut kind = HEADERS;
        let mut open = true;
        while let (true, Some(part)) = (open, parts.next()) {
            let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
            open = wire.send(&frame(kind, flags, 1, part)).await;
            kind = CONTINUATION;
            sent += part.len();
        }
        soon(CLOSING, "headers over the limit are refused", async || {
            let seen = wire.seen();
            seen.closed || !seen.resets.is_empty() || seen.frames.contains_key(&HEADERS)
        })
        .await;
    }
    let (channel, value) = (target.door.channel().await.unwrap(), "v".repeat(9 << 10));
    let code = ask(&channel, SNAPSHOT, &[("x-large", &value)], EMPTY.to_vec()).await;
    assert_eq!(code, None, "a call with headers over the limit came through to the login");
    siege.end(format!("headers of 9 KiB, 64 KiB and 1 MiB; {} KiB sent", sent >> 10), Allowed::mib(8)).await
}

/// One field of 4 KB, which is repeated by one byte each time.
pub async fn header_bomb() -> Row {
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let field = field(0x40, "x-bomb", &"b".repeat(3_900));
    let bomb = [block(SNAPSHOT, &[]), field, vec![0xbe; 12_000]].concat();
    let mut connections = 0;
    for _ in 0..20 {
        let mut wire = Wire::open(&target.door, &[]).await;
        connections += 1;
        for stream in (1..40).step_by(2) {
            if !wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb)).await {
                break;
            }
        }
        soon(CLOSING, "the bomb is refused", async || {
            let seen = wire.seen();
            seen.closed || !seen.resets.is_empty() || seen.frames.contains_key(&HEADERS)
        })
        .await;
    }
    siege.end(format!("16 KiB that unpack to 47 MB, on {connections} connections"), Allowed::mib(8)).await
}

/// The headers of a call whose message never comes.
fn open_call(path: &str) -> Vec<u8> {
    call(1, END_HEADERS, path, &[])
}

/// Sends `frame` after `first` until the server closes the connection: frames are no calls, so its idle time ends it at the latest.
async fn until_thrown_out(name: &str, frame: &[u8], first: &[u8]) -> Row {
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let mut wire = Wire::open(&target.door, &[]).await;
    wire.send(first).await;
    let batch = frame.repeat(BATCH);
    let (began, mut frames) = (tokio::time::Instant::now(), 0);
    while wire.send(&batch).await {
        frames += BATCH;
        assert!(began.elapsed() < CLOSING, "the flood goes on after {frames} frames");
    }
    let code = wire.closed(CLOSING, "the connection is closed").await.goaway;
    let after = began.elapsed().as_millis();
    siege.end(format!("{frames} {name} in {after} ms until the end, GOAWAY {code:?}"), Allowed::mib(8)).await
}
