//! Floods by callers who may call, and watchers who do not read.

use telemetry_testing::eventually;
use tonic::Code;

use super::alone;
use crate::hostile::ask::{SERVICE, bearer};
use crate::hostile::siege::{Allowed, Siege};
use crate::hostile::table::Row;
use crate::hostile::target::{READER, Target};
use crate::hostile::wire::{DATA, EMPTY, END_HEADERS, END_STREAM, Wire, call, frame};

pub async fn watches_beyond_the_limit() -> Row {
    const LIMIT: usize = 100;
    const WANTED: usize = 1_000;
    const PER_CONNECTION: usize = 50;
    let _alone = alone().await;
    let target = Target::start(&[("TELEMETRY_CONTROL__MAX_WATCHES", "100")]).await;
    let siege = Siege::begin(&target).await;
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..WANTED / PER_CONNECTION {
        let mut client = target.reader().await;
        for _ in 0..PER_CONNECTION {
            match client.watch().await {
                Ok(watch) => open.push(watch),
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((open.len(), refused), (LIMIT, WANTED - LIMIT));
    siege.outlast().await;
    drop(open);
    let mut client = target.reader().await;
    eventually("a watch can be opened again", async || client.watch().await.is_ok()).await;
    siege.end(format!("{WANTED} watches asked for, {LIMIT} allowed"), Allowed::mib(16)).await
}

pub async fn watchers_that_never_read() -> Row {
    const CONNECTIONS: usize = 20;
    const WATCHES: u32 = 50;
    const CHANGES: u64 = 1_000;
    let _alone = alone().await;
    let target = Target::start(&[("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND", "1000")]).await;
    let siege = Siege::begin(&target).await;
    let (path, login) = (format!("{SERVICE}/WatchSnapshots"), bearer(READER));
    let mut deaf = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut wire = Wire::deaf(&target.door, &[]).await;
        for stream in (0..WATCHES).map(|number| number * 2 + 1) {
            wire.send(&call(stream, END_HEADERS, &path, &[("authorization", &login)])).await;
            wire.send(&frame(DATA, END_STREAM, stream, EMPTY)).await;
        }
        deaf.push(wire);
    }
    // Each change is an event for every watch.
    let mut operator = target.operator().await;
    let mut changes = 0;
    while changes < CHANGES {
        match operator.change().await {
            Ok(()) => changes += 1,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
    }
    siege.outlast().await;
    let watches = CONNECTIONS as u32 * WATCHES;
    let attack = format!("{watches} watches, {CHANGES} events for each, none read");
    siege.end(attack, Allowed { mib: 256, changes }).await
}

pub async fn interval_changes_beyond_the_rate() -> Row {
    const CALLS: u64 = 500;
    const PER_SECOND: u64 = 5;
    let _alone = alone().await;
    let target = Target::start(&[]).await;
    let siege = Siege::begin(&target).await;
    let mut operator = target.operator().await;
    let (began, mut changes) = (tokio::time::Instant::now(), 0);
    for _ in 0..CALLS {
        match operator.change().await {
            Ok(()) => changes += 1,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
    }
    let most = (began.elapsed().as_secs() + 1) * PER_SECOND;
    assert!((1..=most).contains(&changes), "{changes} changes, {most} are allowed");
    siege.end(format!("{CALLS} calls of SetInterval, {changes} accepted"), Allowed { mib: 8, changes }).await
}
