//! Numbers that are lost, until a gap record names them.

use telemetry_proto::v1::{GapReason, GapRecord, SequenceRange};
use uuid::Uuid;

use crate::loss::Loss;

/// Most ranges in a gap record: one with more would be larger than most samples.
const RANGES_MAX: usize = 256;

/// Lost numbers by instance and reason, in as few ranges as they make.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    sets: Vec<Set>,
    count: u64,
}

#[derive(Debug)]
struct Set {
    /// `None`: the instance that reports the loss.
    instance_id: Option<Uuid>,
    reason: GapReason,
    ranges: Vec<SequenceRange>,
}

impl Gaps {
    /// Adds the numbers of `loss`, which are those of `instance_id`.
    pub(super) fn add(&mut self, instance_id: Option<Uuid>, loss: Loss) {
        let reason = loss.reason;
        let known = self.sets.iter().position(|set| (set.instance_id, set.reason) == (instance_id, reason));
        let index = known.unwrap_or_else(|| {
            self.sets.push(Set { instance_id, reason, ranges: Vec::new() });
            self.sets.len() - 1
        });
        for range in loss.numbers {
            self.count += insert(&mut self.sets[index].ranges, range.into());
        }
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The records that name them all; none are left.
    pub(super) fn take(&mut self) -> Vec<GapRecord> {
        let Self { sets, .. } = std::mem::take(self);
        let records = sets.iter().flat_map(|set| {
            set.ranges.chunks(RANGES_MAX).map(|ranges| {
                let record = GapRecord::new(ranges.iter().map(|range| range.first..=range.last), set.reason);
                set.instance_id.map_or(record.clone(), |instance_id| record.of_instance(instance_id))
            })
        });
        records.collect()
    }
}

/// Puts `lost` in its place and joins it with what it touches. How many numbers are new by it.
fn insert(ranges: &mut Vec<SequenceRange>, mut lost: SequenceRange) -> u64 {
    let from = ranges.partition_point(|range| range.last.saturating_add(1) < lost.first);
    let to = ranges.partition_point(|range| range.first <= lost.last.saturating_add(1));
    let mut known = 0;
    if let [first, .., last] | [first @ last] = &ranges[from..to] {
        lost = SequenceRange { first: lost.first.min(first.first), last: lost.last.max(last.last) };
        known = ranges[from..to].iter().map(SequenceRange::count).sum();
    }
    ranges.splice(from..to, [lost]);
    lost.count() - known
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::RangeInclusive;

    use proptest::prelude::*;

    use super::*;

    fn loss(numbers: impl IntoIterator<Item = RangeInclusive<u64>>, reason: GapReason) -> Loss {
        Loss { instance_id: Uuid::nil(), numbers: numbers.into_iter().collect(), reason }
    }

    proptest! {
        #[test]
        fn the_records_name_each_lost_number_once_in_as_few_ranges_as_can_be(
            lost in proptest::collection::vec((1_u64..2000, 0_u64..4), 1..600)
        ) {
            let mut gaps = Gaps::default();
            for (first, more) in &lost {
                gaps.add(None, loss([*first..=first + more], GapReason::OutboxFull));
            }
            let expected: BTreeSet<u64> = lost.iter().flat_map(|(first, more)| *first..=first + more).collect();
            prop_assert_eq!(gaps.count(), expected.len() as u64);

            let records = gaps.take();
            prop_assert_eq!(gaps.count(), 0);
            prop_assert!(records.iter().all(|record| record.missing.len() <= RANGES_MAX));
            let ranges: Vec<_> = records.iter().flat_map(|record| record.missing.clone()).collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
            let named: Vec<u64> = ranges.iter().flat_map(|range| range.first..=range.last).collect();
            prop_assert_eq!(named, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_instance_and_reason_has_a_record_of_its_own() {
        let other = Uuid::from_u128(7);
        let mut gaps = Gaps::default();
        gaps.add(None, loss([1..=2], GapReason::OutboxFull));
        gaps.add(None, loss([3..=3], GapReason::Invalid));
        gaps.add(Some(other), loss([3..=3], GapReason::SpoolFull));
        gaps.add(None, loss([7..=9], GapReason::OutboxFull));
        assert_eq!(
            gaps.take(),
            [
                GapRecord::new([1..=2, 7..=9], GapReason::OutboxFull),
                GapRecord::new([3..=3], GapReason::Invalid),
                GapRecord::new([3..=3], GapReason::SpoolFull).of_instance(other),
            ]
        );
    }
}
