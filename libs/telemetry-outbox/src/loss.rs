//! Numbers whose messages are lost.

use std::ops::RangeInclusive;

use telemetry_proto::v1::{GapReason, GapRecord};
use uuid::Uuid;

/// Numbers of one instance that are lost for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The instance whose numbers they are.
    pub(crate) instance_id: Uuid,
    /// The numbers.
    pub(crate) numbers: Vec<RangeInclusive<u64>>,
    /// Why they will not arrive.
    pub(crate) reason: GapReason,
}

impl Loss {
    /// How many numbers it is.
    pub(crate) fn count(&self) -> u64 {
        self.numbers.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    /// What `gap`, a message of `instance_id`, names.
    pub(crate) fn named_by(gap: &GapRecord, instance_id: Uuid) -> Self {
        let of_other = gap.instance_id.as_deref().and_then(|id| Uuid::try_parse(id).ok());
        Self {
            instance_id: of_other.unwrap_or(instance_id),
            numbers: gap.missing.iter().map(|range| range.first..=range.last).collect(),
            reason: gap.reason(),
        }
    }
}
