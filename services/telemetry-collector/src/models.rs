//! The message types under their domain names.
//!
//! The types are generated from `//proto/telemetry/v1` and live, with their constructors and checks, in
//! `telemetry-proto`. Each is `Debug + Clone + Serialize + Deserialize`; only the enum [`TelemetryMetrics`] has no serde
//! form of its own: it is one field among those of [`TelemetryData`], and is written and read as part of it.

pub use telemetry_proto::v1::telemetry_data::Metrics as TelemetryMetrics;
pub use telemetry_proto::v1::telemetry_message::Payload;
pub use telemetry_proto::v1::{
    CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, GapReason, GapRecord, InvalidMessage, LoadAverages,
    SCHEMA_VERSION, SequenceRange, Stamp, TelemetryData, TelemetryMessage, TelemetryMetadata, UnavailableField,
    UnavailableReason,
};

#[cfg(test)]
mod tests;
