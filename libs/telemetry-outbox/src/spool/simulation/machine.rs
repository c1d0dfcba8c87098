//! A machine with a simulated disk, on which one program after the other runs, and the account of what each promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use telemetry_proto::v1::TelemetryMessage;
use telemetry_proto::v1::telemetry_message::Payload;
use uuid::Uuid;

use super::super::context::Context;
use super::super::store::{Source, Store};
use crate::batch::Encoding;
use crate::file_system::simulated::{Fate, SimulatedDisk};
use crate::loss::Loss;
use crate::observer::NoObserver;
use crate::outbox::{Outbox, Stamper};
use crate::settings::{OnFull, OutboxSettings, SpoolSettings, SyncPolicy};
use crate::testing::sample;

/// So few leftover logs are open at a time that others wait.
const OPEN_LEFTOVERS: usize = 2;

pub(super) type Number = (Uuid, u64);

/// What a program does, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Takes samples and writes them to disk, all at once.
    Write(usize),
    /// Delivers that many reads of its own messages.
    Deliver(usize),
    /// Delivers that many reads of what earlier programs left.
    DeliverLeftover(usize),
    /// Syncs what was written, when the policy is not to do so with each write.
    Sync,
    /// Ends and starts again.
    Restart,
}

/// A machine on which one program after the other runs, and what it promised.
pub(super) struct Machine {
    pub(super) disk: SimulatedDisk,
    pub(super) settings: SpoolSettings,
    pub(super) made: BTreeMap<Number, Bytes>,
    /// Written, but lost if the power fails.
    pub(super) written: BTreeSet<Number>,
    /// As `written`, by programs that ended: no later sync covers them.
    pub(super) written_before: BTreeSet<Number>,
    pub(super) promised: BTreeSet<Number>,
    pub(super) delivered: BTreeSet<Number>,
    pub(super) named: BTreeSet<Number>,
}

/// One start of a program: what `Spool` does, without its thread.
pub(super) struct Program {
    pub(super) outbox: Outbox,
    pub(super) store: Store,
    /// The highest number that this program delivered of each instance.
    pub(super) last: BTreeMap<Uuid, u64>,
}

/// What becomes of changes that were not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Survives {
    Nothing,
    Everything,
    MetadataAlone,
    ContentAlone,
    /// Half of each sector.
    Halves,
    /// Every second sector.
    EverySecond(bool),
    /// Anything: the number is the seed of the choice.
    Anything(u64),
}

impl Fate for Survives {
    fn keeps_metadata(&mut self) -> bool {
        match self {
            Self::Nothing | Self::ContentAlone => false,
            Self::Everything | Self::MetadataAlone | Self::Halves | Self::EverySecond(_) => true,
            Self::Anything(state) => next(state).is_multiple_of(2),
        }
    }

    fn kept_bytes(&mut self, len: usize) -> usize {
        match self {
            Self::Nothing | Self::MetadataAlone => 0,
            Self::Everything | Self::ContentAlone => len,
            Self::Halves => len / 2,
            Self::EverySecond(is_kept) => {
                *is_kept = !*is_kept;
                if *is_kept { len } else { 0 }
            }
            Self::Anything(state) => match next(state) % 3 {
                0 => 0,
                1 => len,
                _ => next(state) as usize % (len + 1),
            },
        }
    }
}

/// The next number of a splitmix64 generator.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Machine {
    pub(super) fn new(settings: SpoolSettings) -> Self {
        Self {
            disk: SimulatedDisk::new(),
            settings,
            made: BTreeMap::new(),
            written: BTreeSet::new(),
            written_before: BTreeSet::new(),
            promised: BTreeSet::new(),
            delivered: BTreeSet::new(),
            named: BTreeSet::new(),
        }
    }

    pub(super) fn start(&self) -> Program {
        let outbox = Outbox::new(
            OutboxSettings { max_bytes: usize::MAX, on_full: OnFull::DropOldest, encoding: Encoding::Protobuf },
            Stamper::new(|| SystemTime::UNIX_EPOCH),
            Arc::new(NoObserver),
        );
        let context = Context::new(Arc::new(self.disk.clone()), Arc::new(NoObserver)).retrying_at_once();
        let instance_id = outbox.instance_id();
        let store = Store::with_open_leftovers(OPEN_LEFTOVERS, self.settings.clone(), instance_id, context);
        Program { outbox, store, last: BTreeMap::new() }
    }

    /// Runs `steps` until they are done or the disk ends the program.
    pub(super) fn run(&mut self, steps: &[Step]) {
        let mut program = self.start();
        for step in steps {
            let times = match step {
                Step::Deliver(times) | Step::DeliverLeftover(times) => *times,
                Step::Write(_) | Step::Sync | Step::Restart => 1,
            };
            for _ in 0..times {
                if self.disk.has_ended_program() {
                    return;
                }
                match step {
                    Step::Write(samples) => {
                        (0..*samples).for_each(|_| drop(program.outbox.append(sample()).unwrap()));
                        program.write(self);
                    }
                    Step::Deliver(_) => drop(program.deliver(Source::Live, self)),
                    Step::DeliverLeftover(_) => drop(program.deliver(Source::Leftover, self)),
                    Step::Sync => program.sync(self),
                    Step::Restart => {
                        // The locks go with the store.
                        drop(program);
                        self.written_before.append(&mut self.written);
                        program = self.start();
                    }
                }
            }
        }
    }

    /// Starts a program that delivers everything, and sees whether the law holds.
    pub(super) fn check(&mut self, what: &dyn std::fmt::Debug) {
        let mut program = self.start();
        program.deliver_all(self);
        self.check_law(what);
        assert_eq!(program.store.status().leftovers, 0, "{what:?}: something is left");
    }

    pub(super) fn check_law(&self, what: &dyn std::fmt::Debug) {
        let accounted: BTreeSet<_> = self.delivered.union(&self.named).copied().collect();
        let missing: Vec<_> = self.promised.difference(&accounted).map(|(_, sequence)| sequence).collect();
        assert!(missing.is_empty(), "{what:?}: promised, but neither delivered nor named: {missing:?}");
    }
}

impl Program {
    /// Writes what is in the outbox, as `Spool::fill_from` and its thread do.
    pub(super) fn write(&mut self, machine: &mut Machine) {
        while let Some(batch) = self.outbox.try_next_batch() {
            let numbers: Vec<Number> =
                batch.messages.iter().map(|message| (batch.instance_id, message.sequence)).collect();
            for message in &batch.messages {
                machine.made.insert((batch.instance_id, message.sequence), message.body.clone());
            }
            match self.store.append(&batch.messages) {
                Ok(losses) => {
                    machine.written.extend(numbers);
                    if machine.settings.sync == SyncPolicy::Always {
                        self.sync(machine);
                    }
                    self.outbox.report(losses);
                    self.outbox.acknowledge(batch);
                }
                Err(_) => {
                    self.outbox.give_back(batch);
                    return;
                }
            }
        }
    }

    pub(super) fn sync(&mut self, machine: &mut Machine) {
        if self.store.sync().is_ok() {
            machine.promised.append(&mut machine.written);
        }
    }

    /// Delivers one read. Whether there was one.
    pub(super) fn deliver(&mut self, source: Source, machine: &mut Machine) -> bool {
        let Ok(Some(found)) = self.store.read(source) else { return false };
        self.store.read_ahead(source);
        let instance_id = found.instance_id;
        for message in &found.messages {
            let number = (instance_id, message.sequence);
            assert_eq!(machine.made.get(&number), Some(&message.body), "never made: {number:?}");
            let before = self.last.insert(instance_id, message.sequence);
            assert!(before < Some(message.sequence), "{} after {before:?}", message.sequence);
            machine.delivered.insert(number);
            if let Some(Payload::Gap(gap)) = TelemetryMessage::from_either(&message.body).unwrap().payload {
                let Loss { instance_id, numbers, .. } = Loss::named_by(&gap, instance_id);
                machine.named.extend(numbers.into_iter().flatten().map(|sequence| (instance_id, sequence)));
            }
        }
        let last = found.messages.last().map(|message| message.sequence);
        self.outbox.report(found.losses);
        if let Some(last) = last {
            let _ = self.store.acknowledge(instance_id, last);
        }
        true
    }

    pub(super) fn deliver_all(&mut self, machine: &mut Machine) {
        loop {
            self.write(machine);
            let live = self.deliver(Source::Live, machine);
            let left = self.deliver(Source::Leftover, machine);
            if !live && !left && self.outbox.status().messages == 0 && self.outbox.status().unreported == 0 {
                return;
            }
        }
    }
}
