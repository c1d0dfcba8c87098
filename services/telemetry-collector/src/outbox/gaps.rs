//! Numbers that are lost, until a gap record names them.

use std::ops::RangeInclusive;

use crate::models::{GapReason, GapRecord, SequenceRange};

/// Lost numbers by reason, as few ranges as they make.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    by_reason: Vec<(GapReason, Vec<SequenceRange>)>,
}

impl Gaps {
    pub(super) fn add(&mut self, lost: RangeInclusive<u64>, reason: GapReason) {
        let index = self.by_reason.iter().position(|(known, _)| *known == reason).unwrap_or_else(|| {
            self.by_reason.push((reason, Vec::new()));
            self.by_reason.len() - 1
        });
        insert(&mut self.by_reason[index].1, lost.into());
    }

    /// Takes back what a gap record said that is lost itself.
    pub(super) fn add_record(&mut self, record: &GapRecord) {
        for range in &record.missing {
            self.add(range.first..=range.last, record.reason());
        }
    }

    /// One record for each reason; none are left.
    pub(super) fn take(&mut self) -> impl Iterator<Item = GapRecord> + use<> {
        std::mem::take(&mut self.by_reason)
            .into_iter()
            .map(|(reason, ranges)| GapRecord::new(ranges.into_iter().map(|range| range.first..=range.last), reason))
    }
}

/// Puts `lost` in its place and joins it with its neighbours; no number is ever lost twice.
fn insert(ranges: &mut Vec<SequenceRange>, mut lost: SequenceRange) {
    let mut at = ranges.partition_point(|range| range.last < lost.first);
    if let Some(next) = ranges.get(at).filter(|next| next.first == lost.last + 1) {
        lost.last = next.last;
        ranges.remove(at);
    }
    if at > 0 && ranges[at - 1].last + 1 == lost.first {
        at -= 1;
        lost.first = ranges[at].first;
        ranges.remove(at);
    }
    ranges.insert(at, lost);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_record_names_each_lost_number_once_in_as_few_ranges_as_can_be(
            lost in proptest::collection::btree_set(1_u64..60, 1..40).prop_map(|set| set.into_iter().collect::<Vec<_>>())
                .prop_shuffle()
        ) {
            let mut gaps = Gaps::default();
            for number in &lost {
                gaps.add(*number..=*number, GapReason::OutboxFull);
            }
            let records: Vec<_> = gaps.take().collect();
            prop_assert_eq!(records.len(), 1);
            prop_assert_eq!(records[0].count, lost.len() as u64);

            let named: Vec<u64> = records[0].missing.iter().flat_map(|range| range.first..=range.last).collect();
            prop_assert_eq!(&named, &lost.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
            prop_assert!(records[0].missing.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
            prop_assert_eq!(gaps.take().count(), 0);
        }
    }

    #[test]
    fn each_reason_has_a_record_of_its_own() {
        let mut gaps = Gaps::default();
        gaps.add(1..=2, GapReason::OutboxFull);
        gaps.add(3..=3, GapReason::Invalid);
        gaps.add_record(&GapRecord::new([7..=9], GapReason::OutboxFull));
        let records: Vec<_> = gaps.take().collect();
        assert_eq!(
            records,
            [GapRecord::new([1..=2, 7..=9], GapReason::OutboxFull), GapRecord::new([3..=3], GapReason::Invalid)]
        );
    }
}
