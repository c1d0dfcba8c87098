//! The `telemetry.v1` schema in Rust.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/telemetry.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/telemetry.v1.serde.rs"));
}
mod well_known;
pub use generated::*;
