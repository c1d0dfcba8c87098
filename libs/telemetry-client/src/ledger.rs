//! Which numbers of which instance have come: what is a second copy, and what is missing.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;

use rangemap::{RangeInclusiveMap, RangeInclusiveSet};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use crate::event::Event;

/// Instances that are remembered. Beyond that the one that was silent for longest is forgotten.
const MAX_INSTANCES: usize = 16_384;
/// Ranges of numbers that are remembered of an instance: in order and without holes there is one. Beyond that the
/// lowest are forgotten, and a second copy of them would be handed out.
const MAX_RANGES: usize = 1024;

/// What one message is in the light of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its number is seen for the first time.
    New {
        /// It is the first one of its instance.
        first: bool,
    },
    /// Its number has come already.
    Duplicate,
}

/// The numbers that have come.
#[derive(Debug)]
pub(crate) struct Ledger {
    instances: HashMap<Uuid, Account>,
    /// When a hole was noticed, and in whose numbers, oldest first. It may have been filled since.
    noticed: VecDeque<(Instant, Uuid)>,
    /// How long a hole may be open before it is told; `None`: nobody asks for holes.
    patience: Option<Duration>,
}

/// The numbers of one instance.
#[derive(Debug)]
struct Account {
    seen: RangeInclusiveSet<u64>,
    named: RangeInclusiveSet<u64>,
    /// Numbers that neither came nor were named, each with the time at which that was noticed.
    holes: RangeInclusiveMap<u64, Instant>,
    highest: Option<u64>,
    heard: Instant,
}

impl Ledger {
    pub(crate) fn new(patience: Option<Duration>) -> Self {
        Self { instances: HashMap::new(), noticed: VecDeque::new(), patience }
    }

    /// Takes down a message's number, and the numbers that it names if it is a gap record.
    pub(crate) fn record(&mut self, event: &Event, now: Instant) -> Verdict {
        let Some(envelope) = event.envelope() else { return Verdict::New { first: false } };
        let account = self.account(envelope.instance_id, now);
        let hole = account.hole_before(envelope.sequence);
        let verdict = account.arrived(envelope.sequence);
        if let (Some(hole), Some(_)) = (hole, self.patience) {
            self.account(envelope.instance_id, now).open(hole, now);
            self.noticed.push_back((now, envelope.instance_id));
        }
        if let (Verdict::New { .. }, Event::Gap(gap)) = (verdict, event) {
            let account = self.account(gap.lost_by, now);
            for range in &gap.record.missing {
                account.explained(range.first..=range.last);
            }
        }
        verdict
    }

    /// Whether a number has come.
    pub(crate) fn has(&self, instance: Uuid, sequence: u64) -> bool {
        self.instances.get(&instance).is_some_and(|account| account.seen.contains(&sequence))
    }

    /// Undoes that a number has come: its message went back to the queue.
    pub(crate) fn forget(&mut self, instance: Uuid, sequence: u64) {
        if let Some(account) = self.instances.get_mut(&instance) {
            account.seen.remove(sequence..=sequence);
        }
    }

    /// Undoes [`forget`](Self::forget): the service has settled the message.
    pub(crate) fn remember(&mut self, instance: Uuid, sequence: u64) {
        if let Some(account) = self.instances.get_mut(&instance) {
            account.insert(sequence);
        }
    }

    /// When the next hole will have been open for too long.
    pub(crate) fn next_overdue(&self) -> Option<Instant> {
        self.noticed.front().zip(self.patience).map(|((noticed, _), patience)| *noticed + patience)
    }

    /// The holes that have been open for too long, each told once.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Vec<Event> {
        let Some(patience) = self.patience else { return Vec::new() };
        let mut missing = Vec::new();
        while let Some((noticed, instance_id)) = self.noticed.pop_front_if(|(noticed, _)| *noticed + patience <= now) {
            let holes = self.instances.get_mut(&instance_id).map(|account| account.take_holes(noticed));
            missing.extend(holes.into_iter().flatten().map(|numbers| Event::MissingNumbers { instance_id, numbers }));
        }
        missing
    }

    fn account(&mut self, instance: Uuid, now: Instant) -> &mut Account {
        if self.instances.len() >= MAX_INSTANCES && !self.instances.contains_key(&instance) {
            let silent = self.instances.iter().min_by_key(|(_, account)| account.heard).map(|(id, _)| *id);
            silent.map(|id| self.instances.remove(&id));
        }
        let account = self.instances.entry(instance).or_insert_with(|| Account {
            seen: RangeInclusiveSet::new(),
            named: RangeInclusiveSet::new(),
            holes: RangeInclusiveMap::new(),
            highest: None,
            heard: now,
        });
        account.heard = now;
        account
    }
}

impl Account {
    /// The numbers that a message skips.
    fn hole_before(&self, sequence: u64) -> Option<RangeInclusive<u64>> {
        self.highest.filter(|highest| *highest < sequence - 1).map(|highest| highest + 1..=sequence - 1)
    }

    fn open(&mut self, hole: RangeInclusive<u64>, now: Instant) {
        self.holes.insert(hole.clone(), now);
        let named: Vec<_> = self.named.overlapping(hole).cloned().collect();
        named.into_iter().for_each(|range| self.holes.remove(range));
    }

    fn arrived(&mut self, sequence: u64) -> Verdict {
        if self.seen.contains(&sequence) {
            return Verdict::Duplicate;
        }
        let first = self.highest.is_none();
        self.holes.remove(sequence..=sequence);
        self.highest = self.highest.max(Some(sequence));
        self.insert(sequence);
        Verdict::New { first }
    }

    fn insert(&mut self, sequence: u64) {
        self.seen.insert(sequence..=sequence);
        keep_highest(&mut self.seen);
    }

    fn explained(&mut self, numbers: RangeInclusive<u64>) {
        self.holes.remove(numbers.clone());
        self.named.insert(numbers);
        keep_highest(&mut self.named);
    }

    fn take_holes(&mut self, noticed: Instant) -> Vec<RangeInclusive<u64>> {
        let taken: Vec<_> =
            self.holes.iter().filter(|(_, opened)| **opened <= noticed).map(|(numbers, _)| numbers.clone()).collect();
        for numbers in &taken {
            self.holes.remove(numbers.clone());
        }
        taken
    }
}

fn keep_highest(numbers: &mut RangeInclusiveSet<u64>) {
    while numbers.len() > MAX_RANGES {
        let Some(lowest) = numbers.first().cloned() else { return };
        numbers.remove(lowest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use telemetry_proto::v1::{GapReason, GapRecord};

    use super::*;
    use crate::event::{Envelope, Gap};

    const PATIENCE: Duration = Duration::from_secs(10);
    const NEW: Verdict = Verdict::New { first: false };
    const FIRST: Verdict = Verdict::New { first: true };

    struct Reader {
        ledger: Ledger,
        now: Instant,
    }

    fn envelope(instance: u128, sequence: u64) -> Envelope {
        Envelope {
            schema_version: "1.0.0".to_owned(),
            message_id: Uuid::now_v7(),
            instance_id: Uuid::from_u128(instance),
            sequence,
            collected_at: SystemTime::UNIX_EPOCH,
        }
    }

    impl Reader {
        fn new() -> Self {
            Self { ledger: Ledger::new(Some(PATIENCE)), now: Instant::now() }
        }

        fn reads(&mut self, instance: u128, sequence: u64) -> Verdict {
            self.ledger.record(&Event::Unknown(envelope(instance, sequence)), self.now)
        }

        fn reads_gap(&mut self, instance: u128, sequence: u64, missing: RangeInclusive<u64>, lost_by: u128) {
            let record = GapRecord::new([missing], GapReason::OutboxFull);
            let gap = Gap { envelope: envelope(instance, sequence), lost_by: Uuid::from_u128(lost_by), record };
            self.ledger.record(&Event::Gap(gap), self.now);
        }

        fn waits(&mut self, time: Duration) -> Vec<(u128, RangeInclusive<u64>)> {
            self.now += time;
            let missing = self.ledger.take_overdue(self.now).into_iter().map(|event| match event {
                Event::MissingNumbers { instance_id, numbers } => (instance_id.as_u128(), numbers),
                other => panic!("{other:?}"),
            });
            missing.collect()
        }
    }

    #[test]
    fn a_second_copy_is_told_from_the_first() {
        let mut reader = Reader::new();
        assert_eq!(reader.reads(1, 1), FIRST);
        assert_eq!(reader.reads(1, 2), NEW);
        assert_eq!(reader.reads(1, 1), Verdict::Duplicate);
        assert_eq!(reader.reads(2, 1), FIRST);
    }

    #[test]
    fn what_lies_before_the_first_message_seen_is_neither_missing_nor_a_copy() {
        let mut reader = Reader::new();
        assert_eq!(reader.reads(1, 50), FIRST);
        assert_eq!(reader.waits(PATIENCE), []);
        assert_eq!(reader.reads(1, 7), NEW);
    }

    #[test]
    fn a_hole_is_missing_after_a_time_and_told_once() {
        let mut reader = Reader::new();
        reader.reads(1, 1);
        reader.reads(1, 5);
        assert_eq!(reader.waits(PATIENCE / 2), []);
        assert_eq!(reader.reads(1, 3), NEW);
        assert_eq!(reader.ledger.next_overdue(), Some(reader.now + PATIENCE / 2));
        assert_eq!(reader.waits(PATIENCE / 2), [(1, 2..=2), (1, 4..=4)]);
        assert_eq!(reader.waits(PATIENCE), []);
        assert_eq!(reader.reads(1, 2), NEW, "late is not a copy");
    }

    #[test]
    fn a_gap_record_explains_a_hole_before_and_after_it_shows() {
        let mut reader = Reader::new();
        reader.reads(1, 1);
        reader.reads(1, 9);
        reader.reads_gap(1, 10, 2..=8, 1);
        reader.reads_gap(2, 1, 15..=20, 1);
        reader.reads(1, 21);
        assert_eq!(reader.waits(PATIENCE), [(1, 11..=14)]);
    }

    #[test]
    fn a_number_that_was_named_as_lost_and_comes_all_the_same_is_no_copy() {
        let mut reader = Reader::new();
        reader.reads(1, 1);
        reader.reads_gap(1, 5, 2..=4, 1);
        assert_eq!(reader.reads(1, 3), NEW);
    }

    #[test]
    fn an_earlier_instance_may_come_after_a_later_one_began() {
        let mut reader = Reader::new();
        reader.reads(1, 1);
        assert_eq!(reader.reads(2, 1), FIRST);
        assert_eq!(reader.reads(1, 2), NEW);
        assert_eq!(reader.waits(PATIENCE), []);
    }

    #[test]
    fn what_went_back_may_come_again() {
        let mut reader = Reader::new();
        reader.reads(1, 1);
        reader.ledger.forget(Uuid::from_u128(1), 1);
        assert_eq!(reader.reads(1, 1), NEW);
        reader.ledger.forget(Uuid::from_u128(1), 1);
        reader.ledger.remember(Uuid::from_u128(1), 1);
        assert_eq!(reader.reads(1, 1), Verdict::Duplicate);
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_handed_out_rather_than_dropped() {
        let mut reader = Reader::new();
        for odd in (1..20_000).step_by(2) {
            reader.reads(1, odd);
        }
        let account = &reader.ledger.instances[&Uuid::from_u128(1)];
        assert_eq!(account.seen.len(), MAX_RANGES);
        assert_eq!(reader.reads(1, 1), NEW);
        assert_eq!(reader.reads(1, 19_999), Verdict::Duplicate);
        for instance in 2..MAX_INSTANCES as u128 + 100 {
            reader.now += Duration::from_millis(1);
            reader.reads(instance, 1);
        }
        assert_eq!(reader.ledger.instances.len(), MAX_INSTANCES);
    }
}
