//! Package `telemetry.v1`.

mod check;
mod cpu;
mod json;
mod message;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/telemetry.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/telemetry.v1.serde.rs"));
}

pub use check::{InvalidMessage, Problem};
pub use generated::{
    Caller, CallerLogin, ComponentHealth, ControlAction, ControlEvent, CoreMetrics, CpuFrequencies, CpuMetrics,
    CpuStates, DeliveryState, DeliveryUpdate, GapReason, GapRecord, GetCapabilitiesRequest, GetCapabilitiesResponse,
    GetConfigRequest, GetConfigResponse, GetSnapshotRequest, GetSnapshotResponse, GroupCapabilities, GroupSnapshot,
    HealthRequest, HealthResponse, HealthStatus, LoadAverages, MissedEvents, ResetIntervalRequest,
    ResetIntervalResponse, SequenceRange, SetIntervalRequest, SetIntervalResponse, Setting, SettingOrigin,
    TelemetryData, TelemetryMessage, TelemetryMetadata, UnavailableField, UnavailableReason, WatchSnapshotsRequest,
    WatchSnapshotsResponse, control_service_client, control_service_server, telemetry_data, telemetry_message,
    watch_snapshots_response,
};
pub use json::{DecodeError, EncodeError};
pub use message::Stamp;

/// The version of this schema, which every message carries. It is defined in `proto/telemetry/v1/SCHEMA_VERSION`.
pub const SCHEMA_VERSION: &str = env!("TELEMETRY_SCHEMA_VERSION");

/// The serialized `FileDescriptorSet` of the package and its imports, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
