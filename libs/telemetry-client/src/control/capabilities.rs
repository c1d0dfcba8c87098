//! What a collector's host provides.

use telemetry_proto::v1::{self as proto, GetCapabilitiesResponse, UnavailableReason};

/// The metrics that a collector's host provides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// One entry for each metrics group of the collector, in ascending order of the group's name.
    pub groups: Vec<GroupCapabilities>,
}

/// What the host provides of one metrics group, by the group's latest sample.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupCapabilities {
    /// Name of the group ("cpu").
    pub group: String,
    /// Paths of the fields that have a value ("cores.usage_percent"), in ascending order.
    pub available: Vec<String>,
    /// The fields that have none, and why: [`Unspecified`](UnavailableReason::Unspecified) for an empty text or list.
    pub unavailable: Vec<Unavailable>,
    /// Why the latest sample of the group could not be taken. `None` if it could.
    pub error: Option<String>,
}

/// A field without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unavailable {
    /// Path of the field within its group.
    pub field: String,
    /// Why it has no value.
    pub reason: UnavailableReason,
}

impl Capabilities {
    /// What the host provides of the group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupCapabilities> {
        self.groups.iter().find(|group| group.group == name)
    }
}

impl From<GetCapabilitiesResponse> for Capabilities {
    fn from(answer: GetCapabilitiesResponse) -> Self {
        Self { groups: answer.groups.into_iter().map(Into::into).collect() }
    }
}

impl From<proto::GroupCapabilities> for GroupCapabilities {
    fn from(group: proto::GroupCapabilities) -> Self {
        let unavailable = group.unavailable.into_iter();
        let unavailable = unavailable.map(|field| Unavailable { reason: field.reason(), field: field.field });
        Self { group: group.group, available: group.available, unavailable: unavailable.collect(), error: group.error }
    }
}
