//! The final check of every case: each sequence number of each instance arrived in order, or a gap record reports it.

use std::collections::{BTreeMap, BTreeSet};

use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{GapReason, TelemetryMessage};

/// Whether a message may occur in the list more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// No (`exactly_once`).
    Forbidden,
    /// Yes: after a timeout, it is unknown whether Redis accepted the message (`at_least_once`).
    Allowed,
}

/// Accounts for every sequence number.
#[derive(Debug, Default)]
pub struct Ledger {
    instances: BTreeMap<String, Account>,
}

/// Accounts for the sequence numbers of one instance.
#[derive(Debug, Default)]
struct Account {
    /// The highest sequence number known to have been assigned.
    highest: u64,
    /// Sequence numbers in the order of their first arrival.
    arrived: Vec<u64>,
    seen: BTreeSet<u64>,
    named: BTreeSet<u64>,
    /// The subset of `named` that is reported as spool damage. These may also have been delivered before.
    damaged: BTreeSet<u64>,
    forgotten: BTreeSet<u64>,
    duplicates: usize,
}

/// Totals of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub sampled: u64,
    pub delivered: usize,
    pub named: usize,
    pub duplicates: usize,
}

impl Ledger {
    /// Reads messages in the order from oldest to newest.
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

    /// Expects the sequence numbers of `instance` up to `highest`.
    pub fn expect(&mut self, instance: &str, highest: u64) {
        let account = self.account(instance);
        account.highest = account.highest.max(highest);
    }

    /// Allows `numbers` to be missing because the case deleted them from Redis.
    pub fn forgive(&mut self, numbers: &[u64]) {
        self.instances.values_mut().for_each(|account| account.forgotten.extend(numbers));
    }

    /// Descriptions of lost, misordered and duplicate messages; empty if there are none.
    pub fn faults(&self, duplicates: Duplicates) -> Vec<String> {
        let faults_of = |(instance, account): (&String, &Account)| {
            account.faults(duplicates).map(|fault| format!("instance {instance}: {fault}")).collect::<Vec<_>>()
        };
        self.instances.iter().flat_map(faults_of).collect()
    }

    /// Whether every sequence number arrived or is reported.
    pub fn is_complete(&self) -> bool {
        self.instances.values().all(|account| account.lost().next().is_none())
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

    fn lost(&self) -> impl Iterator<Item = u64> + '_ {
        let known = [&self.seen, &self.named, &self.forgotten];
        (1..=self.last()).filter(move |number| !known.iter().any(|numbers| numbers.contains(number)))
    }

    fn faults(&self, duplicates: Duplicates) -> impl Iterator<Item = String> {
        let last = self.last();
        let lost: Vec<_> = self.lost().collect();
        let lost = (!lost.is_empty()).then(|| format!("lost, of 1 to {last}: {lost:?}"));
        let both: Vec<_> =
            self.seen.intersection(&self.named).filter(|number| !self.damaged.contains(number)).collect();
        let both = (!both.is_empty()).then(|| format!("arrived although a gap record reports them: {both:?}"));
        let unordered = self.arrived.windows(2).find(|pair| pair[0] > pair[1]);
        let unordered = unordered.map(|pair| format!("{} arrived after {}", pair[1], pair[0]));
        let repeated = (duplicates == Duplicates::Forbidden && self.duplicates > 0)
            .then(|| format!("duplicates: {}", self.duplicates));
        [lost, both, unordered, repeated].into_iter().flatten()
    }
}

/// Tests the ledger itself.
pub fn detects_every_kind_of_fault() {
    assert_eq!(faults_of_account(&[1, 2, 3], &[], 3, Duplicates::Forbidden), Vec::<String>::new());
    assert_eq!(faults_of_account(&[1, 4, 5], &[2, 3], 5, Duplicates::Forbidden), Vec::<String>::new());
    assert_eq!(faults_of_account(&[1, 2, 1, 2, 3], &[], 3, Duplicates::Allowed), Vec::<String>::new());
    assert_eq!(faults_of_account(&[1, 3], &[], 3, Duplicates::Allowed), ["lost, of 1 to 3: [2]"]);
    assert_eq!(faults_of_account(&[2], &[], 2, Duplicates::Allowed), ["lost, of 1 to 2: [1]"]);
    assert_eq!(faults_of_account(&[1, 2], &[], 4, Duplicates::Allowed), ["lost, of 1 to 4: [3, 4]"]);
    assert_eq!(faults_of_account(&[1, 3, 2], &[], 3, Duplicates::Allowed), ["2 arrived after 3"]);
    assert_eq!(faults_of_account(&[1, 2, 2], &[], 2, Duplicates::Forbidden), ["duplicates: 1"]);
    assert_eq!(
        faults_of_account(&[1, 2], &[2], 2, Duplicates::Allowed),
        ["arrived although a gap record reports them: [2]"]
    );
}

fn faults_of_account(arrived: &[u64], named: &[u64], highest: u64, duplicates: Duplicates) -> Vec<String> {
    let mut account = Account { highest, named: named.iter().copied().collect(), ..Account::default() };
    arrived.iter().for_each(|number| account.arrive(*number));
    account.faults(duplicates).collect()
}
