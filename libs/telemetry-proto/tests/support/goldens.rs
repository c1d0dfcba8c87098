//! Golden messages, which scripts/release-schema.sh stores with each release. Together they use the whole schema.

use std::time::Duration;

use prost::Message;
use serde::Serialize;
use telemetry_proto::v1::{
    Caller, CallerLogin, ComponentHealth, ControlAction, ControlEvent, DeliveryState, DeliveryUpdate, GapReason,
    GapRecord, GetCapabilitiesRequest, GetCapabilitiesResponse, GetConfigRequest, GetConfigResponse,
    GetSnapshotRequest, GetSnapshotResponse, GroupCapabilities, GroupSnapshot, HealthRequest, HealthResponse,
    HealthStatus, LoadAverages, MissedEvents, ResetIntervalRequest, ResetIntervalResponse, SetIntervalRequest,
    SetIntervalResponse, Setting, SettingOrigin, TelemetryMessage, UnavailableField, UnavailableReason,
    WatchSnapshotsRequest, WatchSnapshotsResponse, watch_snapshots_response,
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
    for (action, login) in every(ControlAction::try_from).zip(every(CallerLogin::try_from)) {
        let case = action.as_str_name().to_lowercase();
        goldens.push(telemetry(&case, &TelemetryMessage::new(stamp(12), control_event(action, login))));
    }
    let (second, tenth) = (Some(Duration::from_secs(1).into()), Some(Duration::from_millis(100).into()));
    goldens.extend([
        control("GetSnapshotRequest", &GetSnapshotRequest { max_age: second }),
        control("GetSnapshotResponse", &snapshot()),
        control(
            "SetIntervalRequest",
            &SetIntervalRequest { interval: tenth, ttl: second, reason: "incident 4711".to_owned() },
        ),
        control(
            "SetIntervalResponse",
            &SetIntervalResponse {
                previous_interval: second,
                interval: tenth,
                effective_since: Some(noon().into()),
                reverts_at: Some((noon() + Duration::from_secs(600)).into()),
            },
        ),
        control("ResetIntervalRequest", &ResetIntervalRequest { reason: "incident 4711 is over".to_owned() }),
        control(
            "ResetIntervalResponse",
            &ResetIntervalResponse { previous_interval: tenth, interval: second, effective_since: Some(noon().into()) },
        ),
        control("WatchSnapshotsRequest", &WatchSnapshotsRequest { delivery: true }),
        control("GetCapabilitiesRequest", &GetCapabilitiesRequest {}),
        control("GetCapabilitiesResponse", &capabilities()),
        control("GetConfigRequest", &GetConfigRequest {}),
        control("GetConfigResponse", &settings()),
        control("HealthRequest", &HealthRequest {}),
        control("HealthResponse", &health()),
    ]);
    goldens.extend(watched());
    goldens
}

fn control_event(action: ControlAction, login: CallerLogin) -> ControlEvent {
    ControlEvent {
        hostname: "web-7".to_owned(),
        host_id: "5f0c9c2be6d54a0c8f2f6b7a1d3e4c5b".to_owned(),
        action: action.into(),
        caller: Some(Caller {
            name: "operator".to_owned(),
            login: login.into(),
            address: "127.0.0.1:50052".to_owned(),
        }),
        previous_interval: Some(Duration::from_secs(1).into()),
        interval: Some(Duration::from_millis(200).into()),
        reverts_at: Some((noon() + Duration::from_secs(600)).into()),
        reason: "incident 4711".to_owned(),
    }
}

/// One golden for each kind of event of a watch, and for each delivery state.
fn watched() -> impl Iterator<Item = Golden> {
    use watch_snapshots_response::Event;
    let update = |state: DeliveryState| DeliveryUpdate {
        numbers: vec![(1..=1).into(), (3..=9).into()],
        state: state.into(),
        reason: (state == DeliveryState::Lost).then_some(GapReason::OutboxFull.into()),
    };
    let updates = every(DeliveryState::try_from).map(move |state| (state.as_str_name().to_lowercase(), update(state)));
    let events = [
        ("message".to_owned(), Event::Message(full_sample())),
        ("missed".to_owned(), Event::Missed(MissedEvents { count: 3 })),
    ];
    let events = events.into_iter().chain(updates.map(|(case, update)| (case, Event::Delivery(update))));
    events.map(|(case, event)| Golden {
        case,
        ..control("WatchSnapshotsResponse", &WatchSnapshotsResponse { event: Some(event) })
    })
}

fn capabilities() -> GetCapabilitiesResponse {
    let cpu = GroupCapabilities {
        group: "cpu".to_owned(),
        available: vec!["load_averages".to_owned()],
        unavailable: vec![UnavailableField::new("temperature_celsius", UnavailableReason::NoSensor)],
        error: Some("cannot read /proc/stat: permission denied".to_owned()),
    };
    GetCapabilitiesResponse { groups: vec![cpu] }
}

fn settings() -> GetConfigResponse {
    let settings = every(SettingOrigin::try_from)
        .map(|origin| Setting {
            name: "TELEMETRY_REDIS__URL".to_owned(),
            value: "redis://:***@127.0.0.1:6379/0".to_owned(),
            origin: origin.into(),
            reverts_at: Some(noon().into()),
        })
        .collect();
    GetConfigResponse { settings }
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
            counters: [("samples".to_owned(), 86_400)].into(),
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
