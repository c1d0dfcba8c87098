//! The telemetry schema in Rust: the messages that the services of this monorepo exchange.
//!
//! The types are generated from `//proto`. This crate adds constructors, validation and canonical JSON. Use
//! [`v1::TelemetryMessage::from_json`] to read a message from outside: it accepts every minor version of the schema's
//! major version and rejects messages that violate the schema.
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
