//! What is given up, and waits until gap records that name its numbers are on disk.

use std::collections::BTreeMap;

use rangemap::RangeInclusiveSet;
use uuid::Uuid;

use super::record;
use super::segment::Segment;
use crate::batch::EncodedMessage;
use crate::loss::Loss;

/// A file, or a part of one, that is deleted once all its numbers are named.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) extent: Extent,
    unreported: BTreeMap<Uuid, RangeInclusiveSet<u64>>,
}

/// How much is given up.
#[derive(Debug)]
pub(super) enum Extent {
    /// A whole file.
    Segment(Segment),
    /// All but `kept` of the file that begins with number `first`.
    Part { first: u64, kept: Vec<EncodedMessage>, lost_bytes: u64 },
}

impl GivenUp {
    /// Gives up `extent`, which loses `losses`.
    pub(super) fn new(extent: Extent, losses: &[Loss]) -> Self {
        let mut unreported: BTreeMap<_, RangeInclusiveSet<u64>> = BTreeMap::new();
        for Loss { instance_id, numbers, .. } in losses.iter().filter(|loss| !loss.numbers.is_empty()) {
            unreported.entry(*instance_id).or_default().extend(numbers.iter().cloned());
        }
        Self { extent, unreported }
    }

    /// Marks that a gap record on disk names `loss`.
    pub(super) fn mark_reported(&mut self, loss: &Loss) {
        if let Some(numbers) = self.unreported.get_mut(&loss.instance_id) {
            loss.numbers.iter().for_each(|range| numbers.remove(range.clone()));
            if numbers.is_empty() {
                self.unreported.remove(&loss.instance_id);
            }
        }
    }

    /// Whether gap records on disk name all of it.
    pub(super) fn is_reported(&self) -> bool {
        self.unreported.is_empty()
    }

    /// Bytes on disk that are given up.
    pub(super) fn bytes(&self) -> u64 {
        match &self.extent {
            Extent::Segment(segment) => segment.len,
            Extent::Part { lost_bytes, .. } => *lost_bytes,
        }
    }

    /// Bytes of the messages that are kept.
    pub(super) fn kept_bytes(&self) -> u64 {
        match &self.extent {
            Extent::Segment(_) => 0,
            Extent::Part { kept, .. } => kept.iter().map(record::size).sum(),
        }
    }

    /// Bytes that are given up of the file that begins with number `segment`, if only a part of it is.
    pub(super) fn bytes_in(&self, segment: u64) -> u64 {
        match self.extent {
            Extent::Part { first, lost_bytes, .. } if first == segment => lost_bytes,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use telemetry_proto::v1::GapReason;

    use super::*;

    fn loss(instance: u128, first: u64, last: u64) -> Loss {
        Loss { instance_id: Uuid::from_u128(instance), numbers: vec![first..=last], reason: GapReason::SpoolFull }
    }

    #[test]
    fn it_is_named_once_all_its_numbers_are_and_no_others_count() {
        let extent = Extent::Part { first: 1, kept: Vec::new(), lost_bytes: 7 };
        let mut given_up = GivenUp::new(extent, &[loss(1, 1, 9), loss(2, 4, 4)]);
        given_up.mark_reported(&loss(1, 4, 20));
        given_up.mark_reported(&loss(3, 1, 9));
        given_up.mark_reported(&loss(2, 1, 3));
        assert!(!given_up.is_reported());
        given_up.mark_reported(&loss(2, 4, 4));
        assert!(!given_up.is_reported());
        given_up.mark_reported(&loss(1, 1, 3));
        assert!(given_up.is_reported());
        assert_eq!((given_up.bytes_in(1), given_up.bytes_in(2)), (7, 0));
    }
}
