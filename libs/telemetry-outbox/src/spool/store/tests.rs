#![allow(clippy::unwrap_used)]

mod leftovers;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use telemetry_proto::v1::{GapReason, GapRecord, Stamp, TelemetryMessage};
use tempfile::TempDir;

use super::*;
use crate::batch::Encoding;
use crate::file_system::HostFileSystem;
use crate::observer::NoObserver;
use crate::settings::SyncPolicy;

const MESSAGE_BYTES: usize = 100;

/// A spool's directory and the store of one start of the collector.
struct Host {
    directory: TempDir,
    settings: SpoolSettings,
    starts: u128,
    store: Store,
    /// The highest number of this start.
    appended: u64,
    unreported: Vec<Loss>,
}

impl Host {
    fn new(max_bytes: u64, on_full: OnFull) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = SpoolSettings {
            directory: directory.path().join("spool"),
            max_bytes,
            sync: SyncPolicy::Never,
            retain: Duration::ZERO,
            on_full,
        };
        let store = store(settings.clone(), Uuid::from_u128(1));
        Self { directory, settings, starts: 1, store, appended: 0, unreported: Vec::new() }
    }

    fn retaining(self, retain: Duration) -> Self {
        let settings = SpoolSettings { retain, ..self.settings };
        Self { store: store(settings.clone(), Uuid::from_u128(1)), settings, ..self }
    }

    /// Ends this start, as a crash would, and begins the next.
    fn restart(&mut self) {
        self.starts += 1;
        self.appended = 0;
        self.unreported.clear();
        // The locks go with the store.
        self.store = store(self.settings.clone(), self.live());
        self.store.leftovers.find();
    }

    fn live(&self) -> Uuid {
        Uuid::from_u128(self.starts)
    }

    fn append(&mut self, count: u64) -> Vec<Loss> {
        let messages: Vec<_> = (1..=count).map(|offset| message(self.appended + offset)).collect();
        self.append_these(&messages)
    }

    /// Appends gap records that name what was lost since the last call. How many, and what is lost by that.
    fn tell(&mut self) -> (u64, Vec<Loss>) {
        let unreported = std::mem::take(&mut self.unreported);
        let records: Vec<_> =
            (self.appended + 1..).zip(unreported).map(|(sequence, loss)| gap(sequence, loss)).collect();
        (records.len() as u64, self.append_these(&records))
    }

    fn append_these(&mut self, messages: &[EncodedMessage]) -> Vec<Loss> {
        self.appended += messages.len() as u64;
        let losses = self.store.append(messages).unwrap();
        self.unreported.extend(losses.iter().filter(|loss| !loss.numbers.is_empty()).cloned());
        losses
    }

    /// Reads all that waits, acknowledging it.
    fn drain(&mut self, source: Source) -> (Vec<(Uuid, u64)>, Vec<Loss>) {
        let (mut numbers, mut losses) = (Vec::new(), Vec::new());
        while let Some(found) = self.read(source) {
            losses.extend(found.losses);
            numbers.extend(found.messages.iter().map(|message| (found.instance_id, message.sequence)));
            if let Some(last) = found.messages.last() {
                self.store.acknowledge(found.instance_id, last.sequence).unwrap();
            }
        }
        (numbers, losses)
    }

    /// Reads as the thread does.
    fn read(&mut self, source: Source) -> Option<SpoolRead> {
        let found = self.store.read(source).unwrap();
        self.store.read_ahead(source);
        found
    }

    fn sequences(&mut self, source: Source) -> Vec<u64> {
        self.drain(source).0.into_iter().map(|(_, sequence)| sequence).collect()
    }

    /// The segments of this start, in order.
    fn segments(&self) -> Vec<PathBuf> {
        let directory = self.settings.directory.join(self.live().to_string());
        let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some());
        paths.sort();
        paths
    }
}

fn store(settings: SpoolSettings, live_id: Uuid) -> Store {
    Store::new(settings, live_id, context())
}

fn context() -> Context {
    Context::new(Arc::new(HostFileSystem), Arc::new(NoObserver))
}

fn message(sequence: u64) -> EncodedMessage {
    EncodedMessage { sequence, body: vec![b'm'; MESSAGE_BYTES].into(), is_gap_record: false, is_sample: true }
}

/// A gap record that names `loss`.
fn gap(sequence: u64, loss: Loss) -> EncodedMessage {
    let record = GapRecord::new(loss.numbers, loss.reason).of_instance(loss.instance_id);
    let stamp = Stamp {
        message_id: Uuid::from_u128(u128::from(sequence)),
        instance_id: Uuid::from_u128(1),
        sequence,
        collected_at: std::time::SystemTime::UNIX_EPOCH,
    };
    EncodedMessage::encode(&TelemetryMessage::new(stamp, record), Encoding::Protobuf).unwrap()
}

fn damage(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

fn numbers(losses: &[Loss]) -> Vec<u64> {
    losses.iter().flat_map(|loss| loss.numbers.clone()).flatten().collect()
}

const LARGE: u64 = 1 << 30;

#[test]
fn messages_come_back_in_order_and_once() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    assert_eq!(host.append(3), []);
    assert_eq!(host.sequences(Source::Live), [1, 2, 3]);
    host.append(2);
    assert_eq!(host.sequences(Source::Live), [4, 5]);
    assert_eq!(host.store.read(Source::Live).unwrap(), None);
}

/// An append that the caller gave up waiting for is carried out, and then the same messages come with more.
#[test]
fn messages_that_are_appended_again_are_written_once() {
    for max_bytes in [LARGE, 32 << 10] {
        let mut host = Host::new(max_bytes, OnFull::DropOldest);
        let messages: Vec<_> = (1..=21).map(message).collect();
        host.store.append(&messages[..10]).unwrap();
        host.store.append(&messages).unwrap();
        host.store.append(&messages).unwrap();
        let bytes: u64 = host.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(bytes, messages.iter().map(crate::spool::record::size).sum::<u64>());
        assert_eq!(host.sequences(Source::Live), (1..=21).collect::<Vec<_>>());
    }
}

/// As a version of the program that did not pass them over may have left them.
#[test]
fn messages_that_are_twice_in_a_file_are_read_once() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(10);
    let segment = host.segments().remove(0);
    let content = fs::read(&segment).unwrap();
    fs::write(&segment, [content.as_slice(), &content].concat()).unwrap();
    host.restart();
    assert_eq!(host.sequences(Source::Leftover), (1..=10).collect::<Vec<_>>());
}

#[test]
fn the_next_start_gets_what_was_not_acknowledged_and_clears_up() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(5);
    let first = host.store.read(Source::Live).unwrap().unwrap();
    assert_eq!(first.messages.len(), 5);
    host.store.acknowledge(first.instance_id, 2).unwrap();
    host.restart();
    host.append(1);
    assert_eq!(host.drain(Source::Leftover).0, [3, 4, 5].map(|sequence| (Uuid::from_u128(1), sequence)));
    assert!(!host.settings.directory.join(Uuid::from_u128(1).to_string()).exists());
    assert_eq!(host.sequences(Source::Live), [1]);
}

#[test]
fn several_starts_are_delivered_in_their_order() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    for _ in 0..3 {
        host.append(2);
        host.restart();
    }
    let instances: Vec<_> =
        host.drain(Source::Leftover).0.into_iter().map(|(id, sequence)| (id.as_u128(), sequence)).collect();
    assert_eq!(instances, [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]);
}

#[test]
fn a_log_that_is_in_use_is_left_alone() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(2);
    let mut other = store(host.settings.clone(), Uuid::from_u128(99));
    assert_eq!(other.read(Source::Leftover).unwrap(), None);
    assert_eq!(host.sequences(Source::Live), [1, 2]);
}

#[test]
fn a_torn_tail_is_cut() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(3);
    let path = host.segments().remove(0);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    host.restart();
    let (delivered, losses) = host.drain(Source::Leftover);
    assert_eq!(delivered.iter().map(|(_, sequence)| *sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(losses, []);
}

#[test]
fn flipped_bits_cost_what_they_hit_and_no_more() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(10);
    let record = fs::metadata(host.segments().remove(0)).unwrap().len() / 10;
    for hit in [3, 4, 7] {
        damage(&host.segments()[0], hit * record + record / 2);
    }
    host.restart();
    let (delivered, losses) = host.drain(Source::Leftover);
    assert_eq!(delivered.iter().map(|(_, sequence)| *sequence).collect::<Vec<_>>(), [1, 2, 3, 6, 7, 9, 10]);
    assert_eq!(numbers(&losses), [4, 5, 8]);
    assert!(losses.iter().all(|loss| loss.reason == GapReason::SpoolDamaged && loss.instance_id == Uuid::from_u128(1)));
}

#[test]
fn damage_at_the_end_of_a_log_that_is_written_is_named() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(2);
    damage(&host.segments()[0], fs::metadata(&host.segments()[0]).unwrap().len() - 1);
    let (delivered, losses) = host.drain(Source::Live);
    assert_eq!((delivered.len(), numbers(&losses)), (1, vec![2]));
    host.append(1);
    assert_eq!(host.sequences(Source::Live), [3]);
}

#[test]
fn a_directory_that_is_deleted_costs_nothing_while_the_process_runs() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(2);
    fs::remove_dir_all(&host.settings.directory).unwrap();
    host.append(2);
    assert_eq!(host.sequences(Source::Live), [1, 2, 3, 4]);
    host.append(1);
    host.restart();
    assert_eq!(host.sequences(Source::Leftover), [5]);
}

#[test]
fn files_that_are_deleted_from_a_log_cost_nothing_while_the_process_runs() {
    for name in [format!("{:020}.log", 1), "lock".to_owned(), "cursor".to_owned()] {
        let mut host = Host::new(LARGE, OnFull::DropOldest);
        host.append(2);
        host.store.acknowledge(host.live(), 0).unwrap();
        let log = host.settings.directory.join(host.live().to_string());
        fs::remove_file(log.join(&name)).unwrap();
        host.append(2);
        host.append(1);
        assert_eq!(host.sequences(Source::Live), [1, 2, 3, 4, 5], "{name}");
        // No other process takes it for a leftover.
        let mut other = store(host.settings.clone(), Uuid::from_u128(99));
        assert_eq!(other.read(Source::Leftover).unwrap(), None, "{name}");
    }
}

#[test]
fn a_directory_that_is_deleted_when_no_segment_is_in_it_is_made_again() {
    let mut host = Host::new(64 << 10, OnFull::DropOldest);
    host.append(2);
    assert_eq!(host.sequences(Source::Live), [1, 2]);
    host.store.live.as_mut().unwrap().release(Duration::ZERO, 0).unwrap();
    assert_eq!(host.segments(), [] as [PathBuf; 0]);
    fs::remove_dir_all(&host.settings.directory).unwrap();
    host.append(1);
    assert_eq!(host.sequences(Source::Live), [3]);
}

#[test]
fn append_fails_until_the_directory_can_be_made() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    fs::write(&host.settings.directory, "in the way").unwrap();
    assert!(host.store.append(&[message(1)]).is_err());
    fs::remove_file(&host.settings.directory).unwrap();
    host.append(1);
    assert_eq!(host.sequences(Source::Live), [1]);
    assert!(host.directory.path().exists());
}

#[test]
fn what_was_acknowledged_is_kept_as_long_as_it_is_retained() {
    let mut host = Host::new(LARGE, OnFull::DropOldest).retaining(Duration::from_secs(3600));
    host.append(4);
    assert_eq!(host.sequences(Source::Live), [1, 2, 3, 4]);
    assert_eq!(host.store.rewind(host.live(), 2), Some(3));
    assert_eq!(host.sequences(Source::Live), [3, 4]);
    assert_eq!(host.store.rewind(host.live(), 0), Some(1));
    assert_eq!(host.sequences(Source::Live), [1, 2, 3, 4]);
}

#[test]
fn a_rewind_goes_on_where_a_cursor_cannot_be_written() {
    let mut host = Host::new(LARGE, OnFull::DropOldest).retaining(Duration::from_secs(3600));
    host.append(2);
    host.restart();
    assert_eq!(host.sequences(Source::Leftover), [1, 2]);
    host.append(4);
    assert_eq!(host.sequences(Source::Live), [1, 2, 3, 4]);
    // The cursor of each log is closed, and there is a directory in its place.
    for id in [Uuid::from_u128(1), host.live()] {
        let cursor = host.settings.directory.join(id.to_string()).join("cursor");
        fs::remove_file(&cursor).unwrap();
        fs::create_dir(&cursor).unwrap();
    }
    assert_eq!(host.store.rewind(host.live(), 2), Some(3));
    assert_eq!(host.read(Source::Live).unwrap().messages.len(), 2);
    assert_eq!(host.read(Source::Leftover).unwrap().messages.len(), 2);
}

#[test]
fn a_full_spool_gives_up_its_oldest_and_keeps_what_is_in_flight() {
    let mut host = Host::new(64 << 10, OnFull::DropOldest);
    host.append(1);
    assert_eq!(host.store.read(Source::Live).unwrap().unwrap().messages.len(), 1);
    let mut lost = Vec::new();
    for _ in 0..100 {
        lost.extend(host.append(20));
    }
    assert!(host.store.status().bytes <= (64 << 10) + 4096, "{:?}", host.store.status());
    let lost = numbers(&lost);
    assert!(!lost.contains(&1));
    let delivered = host.sequences(Source::Live);
    assert_eq!(*delivered.last().unwrap(), 2001);
    let accounted: BTreeSet<u64> = lost.iter().chain(&delivered).copied().chain([1]).collect();
    assert_eq!(accounted, (1..=2001).collect());
}

#[test]
fn damage_in_a_file_that_is_given_up_or_decimated_is_named_too() {
    for on_full in [OnFull::DropOldest, OnFull::Decimate] {
        let mut host = Host::new(64 << 10, on_full);
        // Each append makes a file of its own.
        host.append(20);
        let first = host.segments().remove(0);
        let record = fs::metadata(&first).unwrap().len() / 20;
        for hit in [0, 7, 19] {
            damage(&first, hit * record + record / 2);
        }
        let mut losses = Vec::new();
        while losses.is_empty() {
            losses = host.append(20);
        }
        let damaged = losses.iter().filter(|loss| loss.reason == GapReason::SpoolDamaged);
        assert_eq!(damaged.flat_map(|loss| loss.numbers.clone()).flatten().collect::<Vec<_>>(), [1, 8, 20]);
        let delivered = host.sequences(Source::Live);
        let accounted: BTreeSet<u64> = numbers(&losses).into_iter().chain(delivered).collect();
        assert_eq!(accounted, (1..=host.appended).collect());
    }
}

/// A file is held in memory while a part of it is given up.
#[test]
fn a_file_stays_small_in_a_large_spool() {
    const MIB: u64 = 1 << 20;
    let mut host = Host::new(1 << 40, OnFull::DropOldest);
    for sequence in 1..=40 {
        host.append_these(&[EncodedMessage { body: vec![b'm'; MIB as usize].into(), ..message(sequence) }]);
    }
    let sizes: Vec<_> = host.segments().iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 33 * MIB), "{sizes:?}");
}

#[test]
fn a_start_is_left_until_its_last_message_is_acknowledged() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(3);
    host.restart();
    assert_eq!(host.store.status().leftovers, 1);
    let found = host.read(Source::Leftover).unwrap();
    assert_eq!(host.store.status().leftovers, 1);
    host.store.acknowledge(found.instance_id, 3).unwrap();
    assert_eq!(host.store.status().leftovers, 0);
}

#[test]
fn files_that_are_given_up_stay_until_a_gap_record_is_on_disk() {
    let mut host = Host::new(64 << 10, OnFull::DropOldest);
    while host.unreported.is_empty() {
        host.append(20);
    }
    let oldest = host.segments()[0].clone();
    let named_elsewhere = Loss { instance_id: Uuid::from_u128(7), ..host.unreported[0].clone() };
    let unreported = std::mem::replace(&mut host.unreported, vec![named_elsewhere]);
    host.tell();
    assert!(oldest.exists(), "the record names numbers of another instance");
    host.unreported = unreported;
    host.tell();
    assert!(!oldest.exists());
}

#[test]
fn a_regular_end_leaves_nothing_of_what_was_delivered() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    host.append(3);
    host.store.close().unwrap();
    assert_eq!(host.segments().len(), 1, "not delivered");
    assert_eq!(host.sequences(Source::Live), [1, 2, 3]);
    host.store.close().unwrap();
    assert_eq!(fs::read_dir(&host.settings.directory).unwrap().count(), 0);
}

#[test]
fn a_long_outage_does_not_use_up_the_open_files() {
    let mut host = Host::new(64 << 10, OnFull::Decimate);
    // Other tests run in this process at the same time, with files elsewhere.
    let directory = host.directory.path().to_owned();
    let is_ours = |link: fs::DirEntry| fs::read_link(link.path()).is_ok_and(|file| file.starts_with(&directory));
    let open_files =
        || fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok).map(is_ours).filter(|ours| *ours).count();
    for _ in 0..250 {
        host.append(20);
        host.tell();
    }
    assert!((1..50).contains(&open_files()), "{} open, {} segments", open_files(), host.segments().len());
}

#[test]
fn decimation_keeps_what_is_no_sample() {
    let mut host = Host::new(64 << 10, OnFull::Decimate);
    let is_event = |sequence: u64| sequence.is_multiple_of(25);
    let mut lost = Vec::new();
    for _ in 0..40 {
        let next = host.appended + 1;
        let messages: Vec<_> = (next..next + 20)
            .map(|sequence| EncodedMessage { is_sample: !is_event(sequence), ..message(sequence) })
            .collect();
        lost.extend(host.append_these(&messages).into_iter().flat_map(|loss| loss.numbers).flatten());
    }
    assert!(lost.len() > 100, "{lost:?}");
    assert!(!lost.into_iter().any(is_event));
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Tell,
    Read,
    Acknowledge,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u64..40).prop_map(Step::Append),
        3 => Just(Step::Tell),
        4 => Just(Step::Read),
        3 => Just(Step::Acknowledge),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever the order of writes, reads, acknowledgements and crashes, and however small the spool: each number is read,
    /// in order, or named as lost; what was acknowledged is not read again.
    #[test]
    fn every_number_is_read_or_named(
        steps in proptest::collection::vec(step(), 1..80),
        on_full in prop_oneof![Just(OnFull::DropOldest), Just(OnFull::Decimate)],
        max_bytes in prop_oneof![Just(32_u64 << 10), Just(LARGE)],
    ) {
        let mut host = Host::new(max_bytes, on_full);
        let mut accounted = BTreeSet::new();
        let mut all = BTreeSet::new();
        let mut in_flight: Option<SpoolRead> = None;
        let note = |accounted: &mut BTreeSet<(Uuid, u64)>, losses: &[Loss]| {
            for loss in losses {
                accounted.extend(loss.numbers.clone().into_iter().flatten().map(|number| (loss.instance_id, number)));
            }
        };
        for step in steps {
            match step {
                Step::Append(count) => {
                    let losses = host.append(count);
                    note(&mut accounted, &losses);
                    all.extend((host.appended - count + 1..=host.appended).map(|number| (host.live(), number)));
                }
                Step::Tell => {
                    let (count, losses) = host.tell();
                    note(&mut accounted, &losses);
                    all.extend((host.appended - count + 1..=host.appended).map(|number| (host.live(), number)));
                }
                Step::Read if in_flight.is_none() => {
                    in_flight = host.read(Source::Live).or_else(|| host.read(Source::Leftover));
                }
                Step::Acknowledge => if let Some(found) = in_flight.take() {
                    prop_assert_eq!(&found.losses, &[]);
                    for message in &found.messages {
                        prop_assert!(message.sequence > found.acknowledged);
                        accounted.insert((found.instance_id, message.sequence));
                    }
                    host.store.acknowledge(found.instance_id, found.messages.last().unwrap().sequence).unwrap();
                },
                Step::Read => {}
                Step::Restart => {
                    in_flight = None;
                    host.restart();
                }
            }
        }
        if let Some(found) = in_flight {
            accounted.extend(found.messages.iter().map(|message| (found.instance_id, message.sequence)));
            host.store.acknowledge(found.instance_id, found.messages.last().unwrap().sequence).unwrap();
        }
        for source in [Source::Live, Source::Leftover] {
            let (numbers, losses) = host.drain(source);
            prop_assert!(numbers.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1));
            prop_assert_eq!(losses, []);
            accounted.extend(numbers);
        }
        prop_assert_eq!(all.difference(&accounted).collect::<Vec<_>>(), Vec::<&(Uuid, u64)>::new());
    }
}
