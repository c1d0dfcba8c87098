//! The telemetry schema in Rust: what the monorepo's services send each other.
//!
//! The shapes are written in `//proto` and generated; by hand there are only their constructors, checks and canonical
//! JSON. A message that comes from outside is read with [`v1::TelemetryMessage::from_json`], which refuses what breaks
//! the schema's promises and takes every minor version of its major.
//!
//! ```
//! use telemetry_proto::v1::{GapReason, GapRecord, Stamp, TelemetryMessage};
//! use uuid::Uuid;
//!
//! let stamp = Stamp {
//!     message_id: Uuid::now_v7(),
//!     instance_id: Uuid::new_v4(),
//!     sequence: 8,
//!     collected_at: std::time::SystemTime::now(),
//! };
//! let message = TelemetryMessage::new(stamp, GapRecord::new([3..=7], GapReason::OutboxFull));
//!
//! let json = message.to_json()?;
//! assert_eq!(TelemetryMessage::from_json(&json)?, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod v1;
pub mod well_known;
