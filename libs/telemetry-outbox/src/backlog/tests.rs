#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use telemetry_proto::v1::DeliveryState::{Acknowledged, Pending};
use telemetry_proto::v1::TelemetryMessage;
use telemetry_proto::v1::telemetry_message::Payload;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::file_system::simulated::{Hang, SimulatedDisk};
use crate::file_system::{FileSystem, HostFileSystem};
use crate::observer::NoObserver;
use crate::settings::{OnFull, SpoolSettings, SyncPolicy};
use crate::testing::{self, Told, sample};

/// One start of the collector with a spool: all but the sampler and the destination.
struct Start {
    outbox: Outbox,
    spool: Spool,
    backlog: Backlog,
    filling: JoinHandle<()>,
}

impl Start {
    fn of(settings: SpoolSettings) -> Self {
        Self::on(Arc::new(HostFileSystem), settings)
    }

    fn on(file_system: Arc<dyn FileSystem>, settings: SpoolSettings) -> Self {
        let outbox = testing::outbox();
        let spool = Spool::start_on(file_system, settings, outbox.instance_id(), Arc::new(NoObserver)).unwrap();
        let filling = tokio::spawn(spool.clone().fill_from(outbox.clone()));
        let backlog = Backlog::new(outbox.clone(), Some(spool.clone()));
        Self { outbox, spool, backlog, filling }
    }

    fn sample(&self, count: usize) {
        for _ in 0..count {
            self.outbox.append(sample()).unwrap();
        }
    }

    /// The next batch, as soon as there is one.
    async fn next(&mut self) -> Option<Batch> {
        let arrivals = self.backlog.arrivals();
        loop {
            let (more, have_ended) = (arrivals.next(), arrivals.have_ended());
            match self.backlog.next_batch().await {
                Some(batch) => return Some(batch),
                None if have_ended => return None,
                None => more.await,
            }
        }
    }

    async fn take(&mut self) -> Option<(Uuid, Vec<u64>)> {
        let batch = self.next().await?;
        let taken = (batch.instance_id, sequences(&batch));
        self.backlog.acknowledge(batch);
        Some(taken)
    }

    /// Takes everything of this start up to `last`.
    async fn take_until(&mut self, last: u64) -> Vec<u64> {
        let mut taken = Vec::new();
        while taken.last() < Some(&last) {
            taken.extend(self.take().await.unwrap().1);
        }
        taken
    }

    /// Ends as a crash does: nothing is told to anybody, and the kernel lets go of the lock.
    async fn crash(self, settings: &SpoolSettings) -> Uuid {
        let instance_id = self.outbox.instance_id();
        self.filling.abort();
        let _ = self.filling.await;
        drop((self.backlog, self.spool));
        let lock = File::open(settings.directory.join(instance_id.to_string()).join("lock")).unwrap();
        eventually("the lock is free", || lock.try_lock().is_ok()).await;
        instance_id
    }

    /// Waits until everything up to `last` is on disk.
    async fn spooled(&self, last: u64) {
        eventually("the messages are on disk", || self.spool.written() >= last).await;
    }
}

/// Waits until `is_so`, half a minute at most.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(30), "in vain: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// As [`eventually`], while the clock of the runtime stands still.
async fn on_disk_with_clock_paused(spool: &Spool, last: u64) {
    let since = std::time::Instant::now();
    while spool.written() < last {
        assert!(since.elapsed() < Duration::from_secs(30), "in vain: {last} is not on disk");
        tokio::task::yield_now().await;
    }
}

fn settings(directory: &TempDir) -> SpoolSettings {
    SpoolSettings {
        directory: directory.path().join("spool"),
        max_bytes: 1 << 30,
        sync: SyncPolicy::Within(Duration::from_secs(1)),
        retain: Duration::from_secs(60),
        on_full: OnFull::DropOldest,
    }
}

fn sequences(batch: &Batch) -> Vec<u64> {
    batch.messages.iter().map(|message| message.sequence).collect()
}

#[tokio::test]
async fn messages_go_by_the_disk_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = Start::of(settings(&directory));
    start.sample(300);
    assert_eq!(start.take_until(300).await, (1..=300).collect::<Vec<_>>());
    // A batch can be read from disk before the outbox is told that it is there.
    eventually("nothing waits", || start.backlog.status().messages() == 0).await;
    assert!(start.backlog.status().bytes() > 0, "retained");
    start.outbox.close();
    assert_eq!(start.take().await, None);
}

#[tokio::test]
async fn a_batch_says_what_was_acknowledged_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = Start::of(settings(&directory));
    start.sample(2);
    start.take_until(2).await;
    start.sample(1);
    let batch = start.next().await.unwrap();
    assert_eq!((batch.acknowledged, sequences(&batch)), (2, vec![3]));
}

#[tokio::test]
async fn what_a_start_left_comes_after_what_is_live() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let first = Start::of(settings.clone());
    first.sample(3);
    first.spooled(3).await;
    let left = first.crash(&settings).await;

    let mut second = Start::of(settings);
    second.sample(2);
    second.spooled(2).await;
    assert_eq!(second.take().await, Some((second.outbox.instance_id(), vec![1, 2])));
    assert_eq!(second.take().await, Some((left, vec![1, 2, 3])));
}

/// Those that wait until others are given up and named are asked for again.
#[tokio::test]
async fn what_many_starts_left_is_delivered_or_given_up_by_one_start() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { max_bytes: 4 << 20, ..settings(&directory) };
    let first = Start::of(settings.clone());
    first.sample(20);
    first.spooled(20).await;
    let left = first.crash(&settings).await;
    let segment = settings.directory.join(left.to_string()).join(format!("{:020}.log", 1));
    for _ in 0..900 {
        let log = settings.directory.join(Uuid::new_v4().to_string());
        fs::create_dir(&log).unwrap();
        fs::copy(&segment, log.join(segment.file_name().unwrap())).unwrap();
    }

    let mut second = Start::of(settings);
    let mut delivered = BTreeSet::new();
    for last in 1..=100 {
        second.sample(1);
        second.spooled(last).await;
        while let Some(batch) = second.backlog.next_batch().await {
            delivered.insert(batch.instance_id);
            second.backlog.acknowledge(batch);
        }
    }
    assert_eq!(second.spool.status().leftovers, 0);
    assert!(delivered.len() > 100, "{}", delivered.len());
}

#[tokio::test]
async fn while_the_disk_fails_messages_go_on_from_memory_behind_those_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    fs::write(&settings.directory, "in the way").unwrap();
    let mut start = Start::of(settings.clone());
    start.sample(2);
    assert_eq!(start.take_until(2).await, [1, 2]);
    start.sample(1);
    assert_eq!(start.take_until(3).await, [3]);
    start.outbox.bypasses_disk().await;
    assert_eq!(start.backlog.status().messages(), 0);
}

#[tokio::test]
async fn a_disk_that_recovers_takes_messages_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    fs::write(&settings.directory, "in the way").unwrap();
    let mut start = Start::of(settings.clone());
    start.sample(1);
    let in_memory = start.next().await.unwrap();
    fs::remove_file(&settings.directory).unwrap();
    start.sample(2);
    start.spooled(3).await;
    start.backlog.acknowledge(in_memory);
    assert_eq!(start.take_until(3).await, [2, 3]);
}

#[tokio::test]
async fn a_batch_from_memory_that_is_refused_goes_before_newer_messages_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    fs::write(&settings.directory, "in the way").unwrap();
    let mut start = Start::of(settings.clone());
    start.sample(2);
    let in_memory = start.next().await.unwrap();
    fs::remove_file(&settings.directory).unwrap();
    start.sample(2);
    start.spooled(4).await;
    assert_eq!(start.backlog.rewind(in_memory, 0).await, 0);
    assert_eq!(start.take_until(4).await, [1, 2, 3, 4]);
    assert_eq!(start.outbox.status().messages, 0);
}

/// Settings for a simulated disk, on which each batch is synced after it is written.
fn synced_at_once() -> SpoolSettings {
    let directory = tempfile::tempdir().unwrap();
    SpoolSettings { directory: "/spool".into(), sync: SyncPolicy::Within(Duration::ZERO), ..settings(&directory) }
}

/// The disk hangs from the start on: not even the messages of earlier starts can be looked for.
#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_does_not_hold_up_messages() {
    let disk = SimulatedDisk::new();
    disk.hang(Hang::Everything);
    let mut start = Start::on(Arc::new(disk.clone()), synced_at_once());
    start.sample(2);
    assert_eq!(start.take_until(2).await, [1, 2]);
    // It is not tried again and again meanwhile.
    start.sample(300);
    assert_eq!(start.take_until(302).await, (3..=302).collect::<Vec<_>>());
    start.sample(1);
    let refused = start.next().await.unwrap();
    assert_eq!(start.backlog.rewind(refused, 302).await, 0);
    assert_eq!(start.take_until(303).await, [303]);

    disk.hang(Hang::Nothing);
    start.sample(1);
    assert_eq!(start.take_until(304).await, [304]);
    assert_eq!(start.backlog.status().messages(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_hangs_does_not_hold_up_messages() {
    let disk = SimulatedDisk::new();
    let mut start = Start::on(Arc::new(disk.clone()), synced_at_once());
    disk.hang(Hang::Syncs);
    start.sample(1);
    on_disk_with_clock_paused(&start.spool, 1).await;
    start.sample(2);
    // The first is on disk, and the disk cannot be read.
    assert_eq!(start.take_until(3).await, [1, 2, 3]);
    disk.hang(Hang::Nothing);
    start.sample(1);
    assert_eq!(start.take_until(4).await, [4]);
}

/// What is on disk alone cannot be delivered, and what is newer must not go before it.
#[tokio::test(start_paused = true)]
async fn messages_wait_for_older_ones_on_a_disk_that_hangs() {
    let disk = SimulatedDisk::new();
    let mut start = Start::on(Arc::new(disk.clone()), synced_at_once());
    for last in 1..=2 {
        start.sample(1);
        on_disk_with_clock_paused(&start.spool, last).await;
    }
    disk.hang(Hang::Everything);
    start.sample(1);
    start.outbox.bypasses_disk().await;
    assert_eq!(start.backlog.next_batch().await, None);
    disk.hang(Hang::Nothing);
    assert_eq!(start.take_until(3).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_memory_is_delivered_at_the_end_though_the_disk_hangs() {
    let disk = SimulatedDisk::new();
    disk.hang(Hang::Everything);
    let mut start = Start::on(Arc::new(disk.clone()), synced_at_once());
    start.sample(300);
    // The writing has begun.
    sleep(Duration::from_secs(1)).await;
    let closed = Instant::now();
    start.outbox.close();
    let filling = std::mem::replace(&mut start.filling, tokio::spawn(async {}));
    timeout(Duration::from_secs(2), filling).await.unwrap().unwrap();
    assert_eq!(start.take_until(300).await, (1..=300).collect::<Vec<_>>());
    assert_eq!(start.take().await, None);
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
}

#[tokio::test]
async fn a_destination_that_lost_messages_gets_them_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = Start::of(settings(&directory));
    start.sample(5);
    start.take_until(5).await;
    start.sample(1);
    let refused = start.next().await.unwrap();
    assert_eq!(start.backlog.rewind(refused, 3).await, 0);
    assert_eq!(start.backlog.status().messages(), 3, "those that wait");
    let again = start.next().await.unwrap();
    assert_eq!((again.acknowledged, sequences(&again)), (3, vec![4, 5, 6]));
}

#[tokio::test]
async fn without_a_spool_a_destination_that_lost_messages_gets_what_is_there() {
    let outbox = testing::outbox();
    let mut backlog = Backlog::new(outbox.clone(), None);
    for _ in 0..2 {
        outbox.append(sample()).unwrap();
        let batch = backlog.next_batch().await.unwrap();
        backlog.acknowledge(batch);
    }
    outbox.append(sample()).unwrap();
    let refused = backlog.next_batch().await.unwrap();
    assert_eq!(backlog.rewind(refused, 1).await, 1);
    let again = backlog.next_batch().await.unwrap();
    assert_eq!((again.acknowledged, sequences(&again)), (1, vec![3]));
}

#[tokio::test]
async fn what_is_damaged_on_disk_is_named_by_a_gap_record() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let first = Start::of(settings.clone());
    first.sample(3);
    first.spooled(3).await;
    let left = first.crash(&settings).await;
    let path = settings.directory.join(left.to_string()).join(format!("{:020}.log", 1));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();

    let mut second = Start::of(settings);
    assert_eq!(second.take().await, Some((left, vec![1])));
    assert_eq!(second.take().await, Some((left, vec![3])));
    let gap = second.next().await.unwrap();
    let told = TelemetryMessage::from_json(&gap.messages[0].body).unwrap();
    let Some(Payload::Gap(told)) = told.payload else { panic!("{told:?}") };
    assert_eq!((told.instance_id, told.missing[0].first, told.count), (Some(left.to_string()), 2, 1));
}

#[tokio::test]
async fn the_feed_tells_each_acknowledgement_once_with_a_spool() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = Start::of(settings(&directory));
    let (mut following, mut told) = (start.outbox.feed().subscribe(), Told::default());
    start.sample(200);
    start.spooled(200).await;
    told.read(&mut following);
    assert_eq!(told.that_are(Pending).len(), 200, "on disk is not delivered");
    start.take_until(200).await;
    told.read(&mut following);
    assert_eq!(told.that_are(Acknowledged), (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_feed_tells_nothing_of_what_an_earlier_start_left() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let first = Start::of(settings.clone());
    first.sample(3);
    first.spooled(3).await;
    let left = first.crash(&settings).await;

    let mut second = Start::of(settings);
    second.sample(1);
    let (mut following, mut told) = (second.outbox.feed().subscribe(), Told::default());
    second.spooled(1).await;
    assert_eq!(second.take().await, Some((second.outbox.instance_id(), vec![1])));
    assert_eq!(second.take().await, Some((left, vec![1, 2, 3])));
    told.read(&mut following);
    assert_eq!(told.that_are(Acknowledged), [1]);
    assert_eq!(told.states.len(), 1);
}

/// Some are delivered from memory, some from disk, and the disk may hold what was delivered already.
#[tokio::test(start_paused = true)]
async fn the_feed_tells_each_acknowledgement_once_while_the_disk_fails() {
    let disk = SimulatedDisk::new();
    let mut start = Start::on(Arc::new(disk.clone()), synced_at_once());
    let (mut following, mut told) = (start.outbox.feed().subscribe(), Told::default());
    start.sample(1);
    on_disk_with_clock_paused(&start.spool, 1).await;
    for last in [5, 9, 13] {
        disk.hang(Hang::Everything);
        start.sample(3);
        start.take_until(last - 1).await;
        disk.hang(Hang::Nothing);
        start.sample(1);
        start.take_until(last).await;
        told.read(&mut following);
        assert_eq!(told.that_are(Acknowledged), (1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_feed_tells_that_messages_are_pending_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = Start::of(settings(&directory));
    let (mut following, mut told) = (start.outbox.feed().subscribe(), Told::default());
    start.sample(5);
    start.take_until(5).await;
    start.sample(1);
    let refused = start.next().await.unwrap();
    assert_eq!(start.backlog.rewind(refused, 3).await, 0);
    let again = start.next().await.unwrap();
    told.read(&mut following);
    assert_eq!((told.that_are(Pending), told.that_are(Acknowledged)), (vec![4, 5, 6], vec![1, 2, 3]));
    assert_eq!(told.again, [4, 5].into());
    start.backlog.acknowledge(again);
    start.sample(1);
    start.take_until(7).await;
    told.read(&mut following);
    assert_eq!(told.that_are(Acknowledged), (1..=7).collect::<Vec<_>>());
}

/// Nothing can be sent again that is not kept.
#[tokio::test]
async fn the_feed_leaves_what_is_lost_by_the_destination_acknowledged_without_a_spool() {
    let outbox = testing::outbox();
    let (mut following, mut told) = (outbox.feed().subscribe(), Told::default());
    let mut backlog = Backlog::new(outbox.clone(), None);
    outbox.append(sample()).unwrap();
    let batch = backlog.next_batch().await.unwrap();
    backlog.acknowledge(batch);
    outbox.append(sample()).unwrap();
    let refused = backlog.next_batch().await.unwrap();
    assert_eq!(backlog.rewind(refused, 0).await, 1);
    told.read(&mut following);
    assert_eq!((told.that_are(Acknowledged), told.that_are(Pending)), (vec![1], vec![2]));
}
