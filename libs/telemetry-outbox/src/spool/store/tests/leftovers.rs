//! What earlier starts left, on the file system of the host.

use std::time::SystemTime;

use super::*;
use crate::file_system::FileSystem;
use crate::spool::cursor::Cursor;
use crate::spool::leftovers::OPEN_MAX;
use crate::spool::log::OVERHEAD_BYTES;

/// The first instance that is no start of a [`Host`] in these tests.
const FIRST: u128 = 1000;

/// Leaves the logs of `starts` earlier starts, the oldest first, with `messages` messages each.
fn leave(host: &Host, starts: u128, messages: u64) -> BTreeSet<(Uuid, u64)> {
    let mut left = BTreeSet::new();
    for start in 0..starts {
        let instance_id = Uuid::from_u128(FIRST + start);
        let directory = leave_log(host, instance_id, messages);
        let seconds = 1_000_000 + u64::try_from(start).unwrap();
        set_modified(&directory.join("lock"), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        // The time of the directory changes with each file that is deleted.
        set_modified(&directory, SystemTime::UNIX_EPOCH + Duration::from_secs(3_000_000 - seconds));
        left.extend((1..=messages).map(|sequence| (instance_id, sequence)));
    }
    left
}

fn leave_log(host: &Host, instance_id: Uuid, messages: u64) -> PathBuf {
    let root = &host.settings.directory;
    fs::create_dir_all(root).unwrap();
    let messages: Vec<_> = (1..=messages).map(message).collect();
    Log::create(root, instance_id, context()).unwrap().append(&messages, 1 << 20).unwrap();
    root.join(instance_id.to_string())
}

fn set_modified(path: &Path, time: SystemTime) {
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn set_cursor(directory: &Path, sequence: u64) {
    Cursor::of(directory, Arc::new(HostFileSystem)).write(sequence).unwrap();
}

/// Directories of logs, and what they and their messages take.
fn logs_on_disk(host: &Host) -> (u64, u64) {
    let logs: Vec<_> = HostFileSystem.list(&host.settings.directory).unwrap();
    let segments = logs.iter().filter_map(|log| HostFileSystem.list(log).ok()).flatten();
    let bytes: u64 = segments
        .filter_map(|path| path.extension().and_then(|_| fs::metadata(&path).ok()))
        .map(|file| file.len())
        .sum();
    (logs.len() as u64, logs.len() as u64 * OVERHEAD_BYTES + bytes)
}

#[test]
fn more_starts_than_are_open_at_a_time_are_all_delivered_among_files_of_others() {
    for retain in [Duration::ZERO, Duration::from_secs(3600)] {
        let mut host = Host::new(LARGE, OnFull::DropOldest).retaining(retain);
        let left = leave(&host, 600, 2);
        for number in 0..300 {
            fs::write(host.settings.directory.join(format!("note-{number}")), "not ours").unwrap();
        }
        let (numbers, losses) = host.drain(Source::Leftover);
        assert_eq!((numbers.len(), losses), (left.len(), Vec::new()));
        assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), left);
        assert!(host.store.leftovers.counts().0 <= OPEN_MAX);
    }
}

#[test]
fn ten_thousand_starts_are_all_delivered_and_deleted() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    let left = leave(&host, 10_000, 1);
    // A start looks into a part of the directories only, so that its first message is on disk soon.
    host.append(1);
    let (open, waiting, unmeasured) = host.store.leftovers.counts();
    assert_eq!((open, waiting + unmeasured), (OPEN_MAX, left.len() - OPEN_MAX));
    assert!(unmeasured > 8000, "{unmeasured}");
    assert_eq!(host.store.status().leftovers, left.len());
    let (numbers, losses) = host.drain(Source::Leftover);
    assert_eq!((numbers.len(), losses), (left.len(), Vec::new()));
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), left);
    assert_eq!(logs_on_disk(&host).0, 1, "the live log alone");
}

#[test]
fn the_bound_covers_all_starts_and_the_oldest_are_given_up_first() {
    const MAX_BYTES: u64 = 4 << 20;
    for (starts, messages) in [(600, 100), (2000, 1)] {
        let mut host = Host::new(MAX_BYTES, OnFull::DropOldest);
        let left = leave(&host, starts, messages);
        assert!(logs_on_disk(&host).1 > 2 * MAX_BYTES);
        let mut lost = Vec::new();
        // As often as logs are opened, given up and named, some hundred at a time.
        for _ in 0..20 {
            lost.extend(host.append(1));
            lost.extend(host.tell().1);
        }
        let (_, on_disk) = logs_on_disk(&host);
        assert!(on_disk <= MAX_BYTES, "{on_disk}");

        let lost: BTreeSet<_> = lost
            .into_iter()
            .inspect(|loss| assert_eq!(loss.reason, GapReason::SpoolFull))
            .flat_map(|loss| loss.numbers.into_iter().flatten().map(move |number| (loss.instance_id, number)))
            .collect();
        let (delivered, losses) = host.drain(Source::Leftover);
        let delivered: BTreeSet<_> = delivered.into_iter().collect();
        assert_eq!(losses, []);
        assert_eq!(lost.union(&delivered).copied().collect::<BTreeSet<_>>(), left);
        assert!(lost.last() < delivered.first(), "the oldest go first");
        assert!(delivered.len() > left.len() / 20, "{} of {} were kept", delivered.len(), left.len());
        // Of this start nothing is lost.
        assert_eq!(host.sequences(Source::Live), (1..=host.appended).collect::<Vec<_>>());
    }
}

#[test]
fn a_start_that_is_given_up_whole_stays_until_a_gap_record_is_on_disk() {
    let mut host = Host::new(64 << 10, OnFull::DropOldest);
    leave(&host, 8, 1);
    let oldest = host.settings.directory.join(Uuid::from_u128(FIRST).to_string());
    host.append(1);
    assert!(!host.unreported.is_empty());
    host.store.release().unwrap();
    host.store.acknowledge(host.live(), 1).unwrap();
    assert!(oldest.exists());
    host.tell();
    assert!(!oldest.exists());
}

#[test]
fn what_was_acknowledged_is_not_named_when_its_file_is_given_up() {
    let mut host = Host::new(64 << 10, OnFull::DropOldest);
    leave(&host, 8, 3);
    for start in 0..8 {
        set_cursor(&host.settings.directory.join(Uuid::from_u128(FIRST + start).to_string()), 2);
    }
    let losses = host.append(1);
    assert!(!losses.is_empty());
    assert!(losses.iter().all(|loss| loss.numbers == [3..=3]), "{losses:?}");
}

#[test]
fn starts_without_messages_are_deleted_when_they_are_found() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    let root = host.settings.directory.clone();
    let empty = Uuid::from_u128(FIRST);
    drop(Log::create(&root, empty, context()).unwrap());
    // A crash between the creation of the directory and its renaming.
    fs::create_dir(root.join(format!(".{}", Uuid::from_u128(FIRST + 1)))).unwrap();
    host.append(1);
    assert_eq!(logs_on_disk(&host).0, 1);
}

#[test]
fn a_log_whose_renaming_was_lost_is_delivered() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    let directory = leave_log(&host, Uuid::from_u128(FIRST), 2);
    fs::rename(&directory, directory.with_file_name(format!(".{}", Uuid::from_u128(FIRST)))).unwrap();
    assert_eq!(host.sequences(Source::Leftover), [1, 2]);
    assert_eq!(logs_on_disk(&host).0, 0);
}

/// A program that crashes more often than it retains would keep what is delivered for ever if each start began anew.
#[test]
fn what_an_earlier_start_delivered_is_retained_from_then_on() {
    let hours = |count: u64| Duration::from_secs(3600 * count);
    for (age, is_kept) in [(hours(2), false), (Duration::ZERO, true)] {
        let mut host = Host::new(LARGE, OnFull::DropOldest).retaining(hours(1));
        let directory = leave_log(&host, Uuid::from_u128(FIRST), 2);
        set_cursor(&directory, 2);
        set_modified(&directory.join("cursor"), SystemTime::now() - age);
        assert_eq!(host.sequences(Source::Leftover), [0_u64; 0]);
        host.store.release().unwrap();
        assert_eq!(directory.exists(), is_kept, "{age:?}");
        assert_eq!(host.store.status().leftovers, 0);
    }
}

#[test]
fn directories_and_files_of_others_are_left_alone() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    let root = host.settings.directory.clone();
    let foreign = root.join(Uuid::from_u128(7).to_string());
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("notes.txt"), "not ours").unwrap();
    // Empty, and a UUID, but not written as the name of a log is.
    let simple = root.join(Uuid::from_u128(9).simple().to_string());
    fs::create_dir(&simple).unwrap();
    fs::write(root.join(Uuid::from_u128(8).to_string()), "a file").unwrap();
    let log = leave_log(&host, Uuid::from_u128(FIRST), 1);
    fs::write(log.join("notes.txt"), "not ours").unwrap();

    assert_eq!(host.sequences(Source::Leftover), [1]);
    let names = |directory: &Path| HostFileSystem.list(directory).unwrap();
    assert_eq!(names(&foreign), [foreign.join("notes.txt")]);
    assert!(simple.exists());
    assert_eq!(names(&log), [log.join("notes.txt")]);
    assert_eq!(fs::read_to_string(root.join(Uuid::from_u128(8).to_string())).unwrap(), "a file");
}

#[test]
fn a_copy_that_a_crash_left_unfinished_is_deleted() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    let copy = leave_log(&host, Uuid::from_u128(FIRST), 1).join(format!("{:020}.new", 1));
    fs::write(&copy, "half").unwrap();
    host.append(1);
    assert!(!copy.exists());
    assert_eq!(host.sequences(Source::Leftover), [1]);
}

#[test]
fn logs_that_are_opened_after_the_destination_lost_messages_are_delivered_from_their_beginning() {
    let mut host = Host::new(LARGE, OnFull::DropOldest);
    leave(&host, OPEN_MAX as u128 + 10, 2);
    let last = host.settings.directory.join(Uuid::from_u128(FIRST + OPEN_MAX as u128 + 9).to_string());
    set_cursor(&last, 1);
    set_modified(&last.join("lock"), SystemTime::now());
    host.append(1);
    host.store.rewind(host.live(), 0);
    let numbers = host.drain(Source::Leftover).0;
    assert_eq!(numbers.len(), 2 * (OPEN_MAX + 10));
}
