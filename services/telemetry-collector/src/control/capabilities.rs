//! `GetCapabilities`: the metrics that the host provides, by the latest sample of each group.

use std::collections::BTreeSet;

use serde_json::Value;
use telemetry_proto::v1::{GetCapabilitiesResponse, GroupCapabilities, UnavailableField, UnavailableReason};

use crate::errors::{TelemetryError, TelemetryResult};
use crate::models::{Payload, TelemetryMessage};
use crate::sampler::GroupReport;

/// Name of the field in which a group lists what it leaves out.
const UNAVAILABLE: &str = "unavailable";

/// Fields of a sample, by their paths in the names of the schema.
#[derive(Debug, Default, PartialEq)]
struct Fields {
    with_value: BTreeSet<String>,
    empty: BTreeSet<String>,
}

/// What `groups` provide.
///
/// # Errors
/// [`Collection`](TelemetryError::Collection) when a sample has no JSON form.
pub(super) fn of(groups: &[GroupReport]) -> TelemetryResult<GetCapabilitiesResponse> {
    Ok(GetCapabilitiesResponse { groups: groups.iter().map(of_group).collect::<Result<_, _>>()? })
}

fn of_group(report: &GroupReport) -> TelemetryResult<GroupCapabilities> {
    let mut capabilities =
        GroupCapabilities { group: report.group.to_owned(), error: report.failure.clone(), ..Default::default() };
    match &report.snapshot {
        Some(snapshot) => {
            let (fields, mut unavailable) = fields_of(report.group, &snapshot.message)
                .map_err(|error| TelemetryError::collection(format!("the capabilities of {}", report.group), error))?;
            let empty = fields.empty.difference(&fields.with_value);
            unavailable.extend(empty.map(|path| UnavailableField::new(path, UnavailableReason::Unspecified)));
            capabilities.unavailable = unavailable;
            capabilities.available = fields.with_value.into_iter().collect();
        }
        None => {
            capabilities.error.get_or_insert_with(|| "no sample has been taken yet".to_owned());
        }
    }
    Ok(capabilities)
}

/// The fields of the sample in `message`, and those that it says it leaves out. They are read from its JSON form, which has the
/// names of the schema for every group.
fn fields_of(group: &str, message: &TelemetryMessage) -> Result<(Fields, Vec<UnavailableField>), serde_json::Error> {
    let Some(Payload::Data(data)) = &message.payload else { return Ok(Default::default()) };
    let mut sample = serde_json::to_value(data)?[group].take();
    let unavailable = match sample.get_mut(UNAVAILABLE) {
        Some(listed) => serde_json::from_value(listed.take())?,
        None => Vec::new(),
    };
    let mut fields = Fields::default();
    if let Value::Object(members) = &sample {
        for (name, value) in members.iter().filter(|(name, _)| *name != UNAVAILABLE) {
            fields.add(name, value);
        }
    }
    Ok((fields, unavailable))
}

impl Fields {
    /// Adds the field at `path`, or the fields below it.
    fn add(&mut self, path: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| self.add(&format!("{path}.{name}"), value));
            }
            Value::Array(elements) if !elements.is_empty() => elements.iter().for_each(|value| self.add(path, value)),
            Value::Array(_) => _ = self.empty.insert(path.to_owned()),
            Value::String(text) if text.is_empty() => _ = self.empty.insert(path.to_owned()),
            _ => _ = self.with_value.insert(path.to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
    use telemetry_proto::v1::FILE_DESCRIPTOR_SET;
    use tokio::time::Instant;

    use super::*;
    use crate::clock::WallClock;
    use crate::collectors::{self, CpuCollector};
    use crate::models::{CoreMetrics, CpuMetrics, LoadAverages, TelemetryData};
    use crate::sampler::Snapshot;
    use crate::testing;

    fn report(cpu: CpuMetrics) -> GroupReport {
        let sample = TelemetryData::new(testing::sample().metadata.unwrap(), cpu);
        let message = testing::outbox(WallClock::system()).append(sample).unwrap();
        let snapshot = Snapshot { group: "cpu", message, taken: Instant::now() };
        GroupReport { group: "cpu", snapshot: Some(snapshot), failure: None }
    }

    fn capabilities(report: &GroupReport) -> GroupCapabilities {
        of(std::slice::from_ref(report)).unwrap().groups.remove(0)
    }

    /// The fields of `message` that have no fields of their own.
    fn leaves(message: &MessageDescriptor, below: &str) -> Vec<String> {
        let fields = message.fields().filter(|field| field.name() != UNAVAILABLE);
        fields
            .flat_map(|field| match field.kind() {
                Kind::Message(message) => leaves(&message, &format!("{below}{}.", field.name())),
                _ => vec![format!("{below}{}", field.name())],
            })
            .collect()
    }

    #[tokio::test]
    async fn tells_of_every_field_of_the_schema_whether_this_host_has_it() {
        let mut collector = collectors::cpu();
        collector.refresh_slow_readings().await;
        let capabilities = capabilities(&report(collector.collect_cpu().await.unwrap()));
        let told = |path: &String| {
            let without_index = |field: &str| field.replace(|c: char| c == '[' || c == ']' || c.is_ascii_digit(), "");
            let covers = |field: &str| path == field || path.starts_with(&format!("{field}."));
            capabilities.available.contains(path)
                || capabilities.unavailable.iter().any(|left_out| covers(&without_index(&left_out.field)))
        };
        let schema = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let leaves = leaves(&schema.get_message_by_name("telemetry.v1.CpuMetrics").unwrap(), "");
        assert!(leaves.iter().any(|path| path == "cores.states.steal_percent"), "{leaves:?}");
        assert_eq!(leaves.iter().filter(|path| !told(path)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn tells_what_a_sample_has_and_what_it_leaves_out() {
        let cores = vec![CoreMetrics { usage_percent: Some(0.0), ..CoreMetrics::new(0) }, CoreMetrics::new(1)];
        let left_out = ["usage_percent", "states", "cores[1].usage_percent"]
            .map(|field| UnavailableField::new(field, UnavailableReason::FirstSample));
        let load_averages = Some(LoadAverages { one: 0.5, ..LoadAverages::default() });
        let cpu = CpuMetrics {
            load_averages,
            vendor: "AMD".to_owned(),
            unavailable: left_out.to_vec(),
            ..CpuMetrics::new(cores)
        };
        let GroupCapabilities { group, available, unavailable, error } = capabilities(&report(cpu));
        let load = ["load_averages.fifteen", "load_averages.five", "load_averages.one"];
        let others =
            ["cores.core_id", "cores.usage_percent"].into_iter().chain(load).chain(["logical_count", "vendor"]);
        assert_eq!(available, others.collect::<Vec<_>>());
        let model = UnavailableField::new("model", UnavailableReason::Unspecified);
        assert_eq!(unavailable, left_out.into_iter().chain([model]).collect::<Vec<_>>());
        assert_eq!((group.as_str(), error), ("cpu", None));
    }

    #[test]
    fn tells_why_a_group_has_no_sample() {
        let report = |failure| GroupReport { group: "cpu", snapshot: None, failure };
        assert_eq!(capabilities(&report(None)).error.unwrap(), "no sample has been taken yet");
        let failure = "cannot collect cpu: no such file".to_owned();
        assert_eq!(capabilities(&report(Some(failure.clone()))).error.unwrap(), failure);
    }

    #[test]
    fn keeps_what_an_earlier_sample_had_when_a_later_one_fails() {
        let report = GroupReport { failure: Some("denied".to_owned()), ..report(testing::cpu()) };
        let capabilities = capabilities(&report);
        assert_eq!((capabilities.available.len(), capabilities.error.as_deref()), (2, Some("denied")));
    }
}
