//! The check that every case ends in: each number of each instance arrived, in order, or a gap record names it.

use std::collections::{BTreeMap, BTreeSet};

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{GapReason, TelemetryMessage};

/// How often a message may be in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// Once, whatever happens (`exactly_once`).
    One,
    /// Again after a time-out that left it open whether Redis took it (`at_least_once`).
    Any,
}

/// What became of every number.
#[derive(Debug, Default)]
pub struct Ledger {
    instances: BTreeMap<String, Account>,
}

/// What became of the numbers of one instance.
#[derive(Debug, Default)]
struct Account {
    /// The highest number known to have been given.
    highest: u64,
    /// In the order in which a consumer sees them for the first time.
    arrived: Vec<u64>,
    seen: BTreeSet<u64>,
    named: BTreeSet<u64>,
    /// Those of them that are named because the spool was damaged. Whether they were delivered before, it cannot tell.
    damaged: BTreeSet<u64>,
    forgotten: BTreeSet<u64>,
    duplicates: usize,
}

/// The ledger in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub sampled: u64,
    pub delivered: usize,
    pub named: usize,
    pub duplicates: usize,
}

impl Ledger {
    /// A ledger of a list's messages, the oldest first.
    pub fn read(messages: &[TelemetryMessage]) -> Self {
        let mut ledger = Self::default();
        for message in messages {
            ledger.account(&message.instance_id).arrive(message.sequence);
            if let Some(Payload::Gap(gap)) = &message.payload {
                let whose = gap.instance_id.as_ref().unwrap_or(&message.instance_id);
                let account = ledger.account(whose);
                for number in gap.missing.iter().flat_map(|range| range.first..=range.last) {
                    account.named.insert(number);
                    if gap.reason() == GapReason::SpoolDamaged {
                        account.damaged.insert(number);
                    }
                }
            }
        }
        ledger
    }

    /// Takes in that `instance` has given numbers up to `highest`.
    pub fn expect(&mut self, instance: &str, highest: u64) {
        let account = self.account(instance);
        account.highest = account.highest.max(highest);
    }

    /// Lets `numbers` be missing: Redis was made to forget them.
    pub fn forgive(&mut self, numbers: &[u64]) {
        self.instances.values_mut().for_each(|account| account.forgotten.extend(numbers));
    }

    /// What vanished, came out of order or came too often; empty when nothing did.
    pub fn faults(&self, copies: Copies) -> Vec<String> {
        let faults_of = |(instance, account): (&String, &Account)| {
            account.faults(copies).map(|fault| format!("instance {instance}: {fault}")).collect::<Vec<_>>()
        };
        self.instances.iter().flat_map(faults_of).collect()
    }

    /// Whether every number is in the list or named.
    pub fn is_complete(&self) -> bool {
        self.instances.values().all(|account| account.vanished().next().is_none())
    }

    pub fn totals(&self) -> Totals {
        self.instances.values().fold(Totals::default(), |sum, account| Totals {
            sampled: sum.sampled + account.last(),
            delivered: sum.delivered + account.seen.len(),
            named: sum.named + account.named.difference(&account.seen).count(),
            duplicates: sum.duplicates + account.duplicates,
        })
    }

    fn account(&mut self, instance: &str) -> &mut Account {
        self.instances.entry(instance.to_owned()).or_default()
    }
}

impl Account {
    fn arrive(&mut self, sequence: u64) {
        if self.seen.insert(sequence) {
            self.arrived.push(sequence);
        } else {
            self.duplicates += 1;
        }
    }

    fn last(&self) -> u64 {
        let highest = |numbers: &BTreeSet<u64>| numbers.last().copied().unwrap_or_default();
        self.highest.max(highest(&self.seen)).max(highest(&self.named))
    }

    fn vanished(&self) -> impl Iterator<Item = u64> + '_ {
        let known = [&self.seen, &self.named, &self.forgotten];
        (1..=self.last()).filter(move |number| !known.iter().any(|numbers| numbers.contains(number)))
    }

    fn faults(&self, copies: Copies) -> impl Iterator<Item = String> {
        let last = self.last();
        let vanished: Vec<_> = self.vanished().collect();
        let vanished = (!vanished.is_empty()).then(|| format!("of 1 to {last} vanished: {vanished:?}"));
        let both: Vec<_> =
            self.seen.intersection(&self.named).filter(|number| !self.damaged.contains(number)).collect();
        let both = (!both.is_empty()).then(|| format!("arrived although a gap record names them: {both:?}"));
        let unordered = self.arrived.windows(2).find(|pair| pair[0] > pair[1]);
        let unordered = unordered.map(|pair| format!("{} came after {}", pair[1], pair[0]));
        let again = (copies == Copies::One && self.duplicates > 0).then(|| format!("{} came again", self.duplicates));
        [vanished, both, unordered, again].into_iter().flatten()
    }
}

/// The check itself: it sees what it is there for.
pub fn the_check_sees_what_it_is_there_for() {
    assert_eq!(judge(&[1, 2, 3], &[], 3, Copies::One), Vec::<String>::new());
    assert_eq!(judge(&[1, 4, 5], &[2, 3], 5, Copies::One), Vec::<String>::new());
    assert_eq!(judge(&[1, 2, 1, 2, 3], &[], 3, Copies::Any), Vec::<String>::new());
    assert_eq!(judge(&[1, 3], &[], 3, Copies::Any), ["of 1 to 3 vanished: [2]"]);
    assert_eq!(judge(&[2], &[], 2, Copies::Any), ["of 1 to 2 vanished: [1]"]);
    assert_eq!(judge(&[1, 2], &[], 4, Copies::Any), ["of 1 to 4 vanished: [3, 4]"]);
    assert_eq!(judge(&[1, 3, 2], &[], 3, Copies::Any), ["2 came after 3"]);
    assert_eq!(judge(&[1, 2, 2], &[], 2, Copies::One), ["1 came again"]);
    assert_eq!(judge(&[1, 2], &[2], 2, Copies::Any), ["arrived although a gap record names them: [2]"]);
}

fn judge(arrived: &[u64], named: &[u64], highest: u64, copies: Copies) -> Vec<String> {
    let mut account = Account { highest, named: named.iter().copied().collect(), ..Account::default() };
    arrived.iter().for_each(|number| account.arrive(*number));
    account.faults(copies).collect()
}
