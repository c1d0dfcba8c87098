//! Golden messages, which scripts/release-schema.sh stores with each release. Together they use the whole schema.

use std::time::Duration;

use prost::Message;
use serde::Serialize;
use telemetry_proto::v1::{
    ComponentHealth, GapReason, GapRecord, GetSnapshotRequest, GetSnapshotResponse, GroupSnapshot, HealthRequest,
    HealthResponse, HealthStatus, LoadAverages, SetIntervalRequest, SetIntervalResponse, TelemetryMessage,
    UnavailableField, UnavailableReason,
};

use super::{bare_sample, cpu_mut, full_sample, noon, stamp};

/// One message in both encodings.
pub(crate) struct Golden {
    /// Name of its type, without the package.
    pub(crate) message: &'static str,
    /// Name of the case; part of the file name.
    pub(crate) case: String,
    pub(crate) json: Vec<u8>,
    pub(crate) protobuf: Vec<u8>,
}

/// The golden messages. Every field and every enum value of the schema occurs in at least one of them.
pub(crate) fn goldens() -> Vec<Golden> {
    let mut goldens = vec![
        telemetry("sample_full", &sample_with_every_reason()),
        telemetry("sample_bare", &bare_sample()),
        telemetry("gap_of_another_instance", &gap_of_another_instance()),
    ];
    for reason in every(GapReason::try_from) {
        let case = reason.as_str_name().to_lowercase();
        let record = GapRecord::new([1..=1, 3..=9], reason);
        goldens.push(telemetry(&case, &TelemetryMessage::new(stamp(10), record)));
    }
    let (second, tenth) = (Some(Duration::from_secs(1).into()), Some(Duration::from_millis(100).into()));
    goldens.extend([
        control("GetSnapshotRequest", &GetSnapshotRequest {}),
        control("GetSnapshotResponse", &snapshot()),
        control("SetIntervalRequest", &SetIntervalRequest { interval: tenth }),
        control("SetIntervalResponse", &SetIntervalResponse { previous_interval: second, interval: tenth }),
        control("HealthRequest", &HealthRequest {}),
        control("HealthResponse", &health()),
    ]);
    goldens
}

/// All values of an enum except unspecified.
fn every<T, E>(value: impl Fn(i32) -> Result<T, E>) -> impl Iterator<Item = T> {
    (1..).map_while(move |number| value(number).ok())
}

fn sample_with_every_reason() -> TelemetryMessage {
    let mut message = full_sample();
    let cpu = cpu_mut(&mut message);
    cpu.load_averages = LoadAverages::new(0.5, 1.25, 300.0).ok();
    cpu.unavailable = every(UnavailableReason::try_from)
        .map(|reason| UnavailableField::new(format!("cores[{}].usage_percent", reason as i32), reason))
        .collect();
    message
}

fn gap_of_another_instance() -> TelemetryMessage {
    let instance_id = uuid::uuid!("0b6f6a0e-7b0e-4a5e-9a55-3f1d9c3f7b21");
    TelemetryMessage::new(stamp(11), GapRecord::new([1..=u64::MAX - 1], GapReason::SpoolFull).of_instance(instance_id))
}

fn snapshot() -> GetSnapshotResponse {
    let (message, age) = (Some(full_sample()), Some(Duration::from_millis(1250).into()));
    let cpu = GroupSnapshot { group: "cpu".to_owned(), message: message.clone(), age };
    GetSnapshotResponse { message, age, snapshots: vec![cpu] }
}

fn health() -> HealthResponse {
    let components = every(HealthStatus::try_from)
        .map(|status| ComponentHealth {
            name: status.as_str_name().to_lowercase(),
            status: status.into(),
            since: Some(noon().into()),
            last_error: Some("connection refused".to_owned()),
        })
        .collect();
    HealthResponse { status: HealthStatus::Degraded.into(), components }
}

fn telemetry(case: &str, message: &TelemetryMessage) -> Golden {
    Golden {
        message: "TelemetryMessage",
        case: case.to_owned(),
        json: message.to_json().unwrap(),
        protobuf: message.encode_to_vec(),
    }
}

fn control(name: &'static str, message: &(impl Message + Serialize)) -> Golden {
    Golden {
        message: name,
        case: "full".to_owned(),
        json: serde_json::to_vec(message).unwrap(),
        protobuf: message.encode_to_vec(),
    }
}
