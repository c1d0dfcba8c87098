//! The promises of the spool, held against a disk that crashes, loses power, fills up, fails and is damaged.
//!
//! One law is behind all tests: **a message that was promised is delivered, or a delivered gap record names its number**;
//! and nothing is delivered that was not made. The program ends, or the power fails, at every single change of the disk in
//! turn.

#![allow(clippy::unwrap_used)]

mod machine;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::log::OVERHEAD_BYTES;
use crate::file_system::FileSystem;
use crate::file_system::simulated::Torn;
use crate::settings::{OnFull, SpoolSettings, SyncPolicy};
use crate::testing::sample;
use machine::{Machine, Program, Step, Survives};

/// Room for about 300 samples, in files of ten. A gap record must fit into a file.
const SMALL: u64 = 40 << 10;
const LARGE: u64 = 1 << 30;

fn settings(max_bytes: u64, on_full: OnFull, sync: SyncPolicy) -> SpoolSettings {
    SpoolSettings { directory: "/var/spool".into(), max_bytes, sync, retain: Duration::ZERO, on_full }
}

/// Runs `steps` once for each change of the disk, ends the program before, in the middle of and after that change, and sees
/// whether the law holds.
fn crash_everywhere(settings: &SpoolSettings, steps: &[Step]) {
    for torn in [Torn::Nothing, Torn::Half, Torn::Everything] {
        end_everywhere(settings, steps, torn, end_of_program);
    }
}

/// Runs `steps` once for each change of the disk, in the middle of which the power fails, and sees whether the law holds.
fn fail_power_everywhere(settings: &SpoolSettings, steps: &[Step], fate: Survives) {
    end_everywhere(settings, steps, Torn::Half, |machine| machine.disk.fail_power(&mut fate.clone()));
}

fn end_everywhere(settings: &SpoolSettings, steps: &[Step], torn: Torn, end: impl Fn(&mut Machine)) {
    let changes = changes_of(settings, steps);
    for at in 1..=changes {
        let mut machine = Machine::new(settings.clone());
        machine.disk.crash_at(at, torn);
        machine.run(steps);
        end(&mut machine);
        machine.check(&format!("ended at change {at} of {changes}, {torn:?} of it done"));
    }
}

/// How often `steps` change the disk.
fn changes_of(settings: &SpoolSettings, steps: &[Step]) -> u64 {
    let mut machine = Machine::new(settings.clone());
    machine.run(steps);
    machine.disk.ticks()
}

/// The program ends: what it wrote is there, synced or not.
fn end_of_program(machine: &mut Machine) {
    machine.promised.append(&mut machine.written);
    machine.promised.append(&mut machine.written_before);
    machine.disk.restart();
}

const FATES: [Survives; 10] = [
    Survives::Nothing,
    Survives::Everything,
    Survives::MetadataAlone,
    Survives::ContentAlone,
    Survives::Halves,
    Survives::EverySecond(true),
    Survives::Anything(1),
    Survives::Anything(2),
    Survives::Anything(3),
    Survives::Anything(4),
];

/// Writes and delivers, over several starts, what fits.
const FITS: &[Step] = &[
    Step::Write(1),
    Step::Write(12),
    Step::Write(3),
    Step::Deliver(2),
    Step::Write(12),
    Step::Restart,
    Step::Write(4),
    Step::DeliverLeftover(2),
    Step::Deliver(1),
    Step::Restart,
    Step::DeliverLeftover(1),
    Step::Write(2),
    Step::Deliver(1),
];

/// Syncs rarely.
const SYNCS_LATE: &[Step] = &[
    Step::Write(12),
    Step::Write(25),
    Step::Sync,
    Step::Write(30),
    Step::Deliver(1),
    Step::Write(15),
    Step::Sync,
    Step::Write(3),
];

/// Writes more than fits, some of it delivered before.
const OVERFLOWS: &[Step] = &[
    Step::Write(30),
    Step::Deliver(1),
    Step::Write(90),
    Step::Restart,
    Step::Write(90),
    Step::Write(90),
    Step::DeliverLeftover(1),
    Step::Write(90),
    Step::Write(90),
    Step::Write(5),
    Step::Write(40),
];

/// Starts again and again, each time after a few samples.
const CRASH_LOOP: &[Step] = &[
    Step::Write(2),
    Step::Restart,
    Step::Write(1),
    Step::Restart,
    Step::Restart,
    Step::Write(3),
    Step::Restart,
    Step::Write(1),
    Step::DeliverLeftover(1),
    Step::Restart,
    Step::Write(2),
    Step::Deliver(1),
    Step::Restart,
    Step::Write(1),
    Step::Restart,
    Step::Write(12),
    Step::Write(1),
    Step::DeliverLeftover(1),
    Step::Write(1),
    Step::Restart,
    Step::Write(2),
];

#[test]
fn the_steps_do_what_their_names_say() {
    let named_after = |steps, on_full| {
        let mut machine = Machine::new(settings(SMALL, on_full, SyncPolicy::Never));
        machine.run(steps);
        end_of_program(&mut machine);
        machine.check(&"no fault");
        machine.named.len()
    };
    assert_eq!(named_after(FITS, OnFull::DropOldest), 0);
    for on_full in [OnFull::DropOldest, OnFull::Decimate] {
        assert!(named_after(OVERFLOWS, on_full) > 10);
        assert!(named_after(CRASH_LOOP, on_full) > 3);
    }
}

#[test]
fn a_crash_or_a_power_failure_in_a_crash_loop_costs_nothing_that_is_not_named() {
    for max_bytes in [SMALL, LARGE] {
        let settings = settings(max_bytes, OnFull::DropOldest, SyncPolicy::Always);
        crash_everywhere(&settings, CRASH_LOOP);
        for fate in FATES {
            fail_power_everywhere(&settings, CRASH_LOOP, fate);
        }
    }
}

/// However many logs there are, what they and their messages take stays within the bound once they have been looked at.
#[test]
fn a_crash_loop_stays_within_the_bound() {
    let mut machine = Machine::new(settings(SMALL, OnFull::DropOldest, SyncPolicy::Never));
    for _ in 0..100 {
        machine.run(&[Step::Write(1), Step::Write(1), Step::Write(1)]);
        end_of_program(&mut machine);
        let files = machine.disk.files();
        let logs: BTreeSet<_> = files.iter().filter_map(|path| path.parent()).collect();
        // What was given up is deleted with the write after it; one new log comes with each start.
        assert!(logs.len() as u64 <= SMALL / OVERHEAD_BYTES + 2, "{}", logs.len());
    }
    machine.check(&"a crash loop");
}

#[test]
fn a_crash_at_any_moment_costs_nothing() {
    for sync in [SyncPolicy::Always, SyncPolicy::Never] {
        crash_everywhere(&settings(SMALL, OnFull::DropOldest, sync), FITS);
    }
}

#[test]
fn a_crash_at_any_moment_names_what_it_costs_when_the_disk_is_too_small() {
    for on_full in [OnFull::DropOldest, OnFull::Decimate] {
        crash_everywhere(&settings(SMALL, on_full, SyncPolicy::Never), OVERFLOWS);
    }
}

#[test]
fn a_power_failure_at_any_moment_costs_nothing_that_was_synced() {
    for fate in FATES {
        fail_power_everywhere(&settings(SMALL, OnFull::DropOldest, SyncPolicy::Always), FITS, fate);
        let late = SyncPolicy::Within(Duration::from_secs(1));
        fail_power_everywhere(&settings(SMALL, OnFull::DropOldest, late), SYNCS_LATE, fate);
    }
}

#[test]
fn a_power_failure_at_any_moment_names_what_it_costs_when_the_disk_is_too_small() {
    for fate in FATES {
        for on_full in [OnFull::DropOldest, OnFull::Decimate] {
            fail_power_everywhere(&settings(SMALL, on_full, SyncPolicy::Always), OVERFLOWS, fate);
        }
    }
}

#[test]
fn a_disk_that_fails_once_costs_nothing() {
    let faults = [
        (FITS, OnFull::DropOldest),
        (CRASH_LOOP, OnFull::DropOldest),
        (OVERFLOWS, OnFull::DropOldest),
        (OVERFLOWS, OnFull::Decimate),
    ];
    for (steps, on_full) in faults {
        let settings = settings(SMALL, on_full, SyncPolicy::Always);
        for at in 1..=changes_of(&settings, steps) {
            for then in [end_of_program, end_of_power_without_sync] {
                let mut machine = Machine::new(settings.clone());
                machine.disk.fail_at(at);
                machine.run(steps);
                then(&mut machine);
                machine.check(&format!("change {at} failed"));
            }
        }
    }
}

/// Content, sizes, directories: whatever cannot be read once is read later, by this program or the next.
#[test]
fn a_read_that_fails_once_costs_nothing() {
    for steps in [FITS, CRASH_LOOP, OVERFLOWS] {
        let settings = settings(SMALL, OnFull::DropOldest, SyncPolicy::Always);
        let (written, reads) = {
            let mut machine = Machine::new(settings.clone());
            machine.run(steps);
            end_of_program(&mut machine);
            let written = machine.disk.reads();
            machine.check(&"no fault");
            (written, machine.disk.reads())
        };
        for at in 1..=reads {
            let mut machine = Machine::new(settings.clone());
            machine.disk.fail_read_at(at);
            machine.run(steps);
            end_of_program(&mut machine);
            if at > written {
                machine.disk.fail_read_at(at);
                let mut program = machine.start();
                (0..3).for_each(|_| program.deliver_all(&mut machine));
            }
            machine.check(&format!("read {at} of {reads} failed"));
        }
    }
}

/// What earlier programs left is found by the same start, though the disk cannot be read at first.
#[test]
fn logs_that_cannot_be_opened_at_first_are_delivered_by_the_same_start() {
    let settings = settings(LARGE, OnFull::DropOldest, SyncPolicy::Always);
    let reads = |fail_at: Option<u64>| {
        let mut machine = Machine::new(settings.clone());
        machine.run(&[Step::Write(2), Step::Restart, Step::Write(3), Step::Restart, Step::Write(1)]);
        end_of_program(&mut machine);
        let before = machine.disk.reads();
        fail_at.into_iter().for_each(|at| machine.disk.fail_read_at(before + at));
        let mut program = machine.start();
        (0..3).for_each(|_| program.deliver_all(&mut machine));
        machine.check_law(&fail_at);
        assert_eq!(machine.named.len(), 0, "read {fail_at:?} failed");
        assert_eq!(program.store.status().leftovers, 0, "read {fail_at:?} failed");
        machine.disk.reads() - before
    };
    let all = reads(None);
    for at in 1..=all {
        reads(Some(at));
    }
}

/// What a disk can never read is named, and the rest is delivered.
#[test]
fn pages_that_cannot_be_read_cost_what_is_in_them_and_are_named() {
    let settings = settings(LARGE, OnFull::DropOldest, SyncPolicy::Never);
    for bad in [0..4096, 4096..8192, 8192..16384] {
        let mut machine = Machine::new(settings.clone());
        machine.run(&[Step::Write(256), Step::Restart]);
        end_of_program(&mut machine);
        let segment = machine.disk.files().into_iter().find(|path| path.extension().is_some()).unwrap();
        let len = machine.disk.len(&segment).unwrap();
        assert!(bad.end + 8192 < len, "{len}");
        machine.disk.make_unreadable(&segment, bad.clone());
        let mut program = machine.start();
        (0..20).for_each(|_| program.deliver_all(&mut machine));
        machine.check_law(&bad);
        let record = len / 256;
        let hit = (bad.end - bad.start) / record + 2;
        assert!((machine.named.len() as u64) <= 2 * hit, "{} named, {hit} hit", machine.named.len());
    }
}

/// Leaves some files of an earlier program on a small disk. The next program, and the oldest of these files.
fn with_leftovers(on_full: OnFull) -> (Machine, Program, PathBuf) {
    let mut machine = Machine::new(settings(SMALL, on_full, SyncPolicy::Always));
    machine.run(&[Step::Write(12), Step::Write(12), Step::Write(12), Step::Write(12)]);
    end_of_program(&mut machine);
    let is_segment = |path: &PathBuf| path.extension().is_some();
    let oldest = machine.disk.files().into_iter().find(is_segment).unwrap();
    let program = machine.start();
    (machine, program, oldest)
}

/// Writes more than fits. How much the files took at most.
fn overflow(machine: &mut Machine, program: &mut Program) -> u64 {
    let used = (0..60).map(|_| {
        (0..12).for_each(|_| drop(program.outbox.append(sample()).unwrap()));
        program.write(machine);
        machine.disk.used()
    });
    used.max().unwrap()
}

#[test]
fn a_file_that_can_never_be_read_is_given_up_like_others() {
    for on_full in [OnFull::DropOldest, OnFull::Decimate] {
        let (mut machine, mut program, oldest) = with_leftovers(on_full);
        machine.disk.make_unreadable(&oldest, 0..u64::MAX);
        assert!(overflow(&mut machine, &mut program) < SMALL + SMALL / 4);
        assert_eq!(program.outbox.status().messages, 0, "everything was written");
        assert!(machine.disk.len(&oldest).is_err(), "it was deleted");
        (0..20).for_each(|_| program.deliver_all(&mut machine));
        machine.check_law(&on_full);
    }
}

#[test]
fn a_file_that_can_never_be_deleted_stops_nothing_else() {
    for on_full in [OnFull::DropOldest, OnFull::Decimate] {
        let (mut machine, mut program, oldest) = with_leftovers(on_full);
        machine.disk.make_unremovable(oldest);
        assert!(overflow(&mut machine, &mut program) < SMALL + SMALL / 4);
        assert_eq!(program.outbox.status().messages, 0, "everything was written");
        program.deliver_all(&mut machine);
        machine.check_law(&on_full);
    }
}

/// What is given up stays until gap records that name it are synced, which never happens: the disk then takes no more.
#[test]
fn a_disk_that_syncs_no_more_keeps_its_bound() {
    for on_full in [OnFull::DropOldest, OnFull::Decimate] {
        let (mut machine, mut program, _) = with_leftovers(on_full);
        machine.disk.fail_syncs(true);
        let used = overflow(&mut machine, &mut program);
        assert!(used < SMALL + SMALL / 2, "{used}");
        assert!(program.outbox.status().messages > 0, "in memory");
    }
}

fn end_of_power_without_sync(machine: &mut Machine) {
    machine.disk.fail_power(&mut Survives::Nothing);
}

/// A disk that is full refuses messages, whole batches of them; once there is room they go on as if nothing had been.
#[test]
fn a_disk_that_is_full_at_any_byte_takes_everything_once_there_is_room() {
    let settings = settings(LARGE, OnFull::DropOldest, SyncPolicy::Always);
    let bytes = {
        let mut machine = Machine::new(settings.clone());
        machine.run(&[Step::Write(3), Step::Write(2)]);
        machine.disk.used()
    };
    for limit in 0..=bytes {
        let mut machine = Machine::new(settings.clone());
        machine.disk.limit(Some(limit));
        let mut program = machine.start();
        for samples in [3, 2] {
            (0..samples).for_each(|_| drop(program.outbox.append(sample()).unwrap()));
            program.write(&mut machine);
        }
        let refused = program.outbox.status().messages;
        assert_eq!(refused == 0, limit == bytes, "{refused} refused with {limit} bytes of {bytes}");
        machine.disk.limit(None);
        program.deliver_all(&mut machine);
        machine.check_law(&limit);
        assert_eq!(machine.delivered.len(), 5, "full at byte {limit}");
    }
}

/// As before, with acknowledgements and several starts.
#[test]
fn a_disk_that_is_full_at_any_byte_costs_nothing() {
    let settings = settings(LARGE, OnFull::DropOldest, SyncPolicy::Always);
    for steps in [FITS, CRASH_LOOP] {
        let bytes = {
            let mut machine = Machine::new(settings.clone());
            machine.run(steps);
            machine.disk.used()
        };
        for limit in 0..=bytes {
            let mut machine = Machine::new(settings.clone());
            machine.disk.limit(Some(limit));
            machine.run(steps);
            machine.disk.limit(None);
            end_of_program(&mut machine);
            machine.check(&format!("full at byte {limit}"));
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Zeros,
    Cut,
}

impl Damage {
    fn strike(self, content: &mut Vec<u8>, at: usize) {
        match self {
            Self::Flip => content[at] ^= 0x10,
            Self::Zeros => content[at..].fill(0),
            Self::Cut => content.truncate(at),
        }
    }
}

/// Whatever happens to a file behind the spool's back: nothing is delivered that was not made, and each number that is
/// followed by one that can be read, or that this program wrote itself, is delivered or named.
#[test]
fn damage_at_any_byte_costs_what_it_hits_and_is_named() {
    let settings = settings(LARGE, OnFull::DropOldest, SyncPolicy::Never);
    let is_segment = |path: &PathBuf| path.extension().is_some();
    for damage in [Damage::Flip, Damage::Zeros, Damage::Cut] {
        let mut at = 0;
        loop {
            let mut machine = Machine::new(settings.clone());
            let mut program = machine.start();
            for _ in 0..2 {
                (0..2).for_each(|_| drop(program.outbox.append(sample()).unwrap()));
                program.write(&mut machine);
            }
            let segment = machine.disk.files().into_iter().find(is_segment).unwrap();
            if at as u64 == machine.disk.len(&segment).unwrap() {
                break;
            }
            machine.disk.damage(&segment, |content| damage.strike(content, at));
            machine.promised.append(&mut machine.written);
            program.deliver_all(&mut machine);
            machine.check_law(&(damage, at));
            at += 1;
        }
        assert!(at > 300, "{at}");
    }
}

/// As before, but the next start of the program meets the damage: it cannot know what was at the end.
#[test]
fn damage_in_what_an_earlier_program_left_is_named_up_to_the_last_message_that_can_be_read() {
    let settings = settings(LARGE, OnFull::DropOldest, SyncPolicy::Never);
    let is_segment = |path: &PathBuf| path.extension().is_some();
    for damage in [Damage::Flip, Damage::Zeros, Damage::Cut] {
        for at in 0..300 {
            let mut machine = Machine::new(settings.clone());
            machine.run(&[Step::Write(4)]);
            let segment = machine.disk.files().into_iter().find(is_segment).unwrap();
            machine.disk.damage(&segment, |content| damage.strike(content, at));
            end_of_program(&mut machine);
            let promised = std::mem::take(&mut machine.promised);
            machine.check(&(damage, at));
            let last = machine.delivered.iter().rfind(|number| promised.contains(number)).copied();
            machine.promised = promised.into_iter().filter(|number| Some(*number) < last).collect();
            machine.check_law(&(damage, at));
        }
    }
}
