//! Client library for the telemetry collector: reads its queue as typed messages and calls its control API.
//!
//! [`QueueConsumer`] reads the Redis list or stream that collectors write to: on one server, through Sentinels or in a Cluster. It
//! validates each message, drops duplicates, and keeps each message in Redis until the service acknowledges it:
//!
//! ```no_run
//! use std::error::Error;
//!
//! use telemetry_client::{ConsumerSettings, Event, QueueConsumer};
//!
//! # async fn example() -> Result<(), telemetry_client::ConsumerError> {
//! let settings = ConsumerSettings::new("redis://127.0.0.1:6379/0", "telemetry:queue");
//! let mut consumer = QueueConsumer::connect(settings)?;
//! loop {
//!     match consumer.next().await {
//!         Ok(delivery) => {
//!             match delivery.event() {
//!                 Event::Sample(sample) => println!("{}: {:?}", sample.metadata.hostname, sample.metrics),
//!                 Event::Gap(gap) => println!("{} messages of {} are lost", gap.record.count, gap.lost_by),
//!                 Event::InstanceStarted { instance_id, .. } => println!("{instance_id} is new"),
//!                 Event::MissingNumbers { instance_id, numbers } => println!("{instance_id} lacks {numbers:?}"),
//!                 _ => {}
//!             }
//!             delivery.ack().await?;
//!         }
//!         // Redis is unreachable or rejects the consumer, which keeps retrying. Report the error.
//!         Err(error) => eprintln!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default()),
//!     }
//! }
//! # }
//! ```
//!
//! [`QueueTail`] looks at the same messages without taking them.
//!
//! [`ControlClient`] calls the control API of one running collector:
//!
//! ```no_run
//! use std::time::Duration;
//! use telemetry_client::{ControlClient, ControlSettings};
//!
//! # async fn example() -> Result<(), telemetry_client::ControlError> {
//! let collector = ControlClient::connect_lazily(ControlSettings::new("http://127.0.0.1:50051"))?;
//! let change = collector.set_interval(Duration::from_millis(200)).await?;
//! println!("was {:?}, is {:?}", change.previous, change.current);
//! # Ok(())
//! # }
//! ```
//!
//! The message types are those of [`telemetry_proto`], re-exported as [`proto`].

mod connection;
pub mod consumer;
pub mod control;
mod decode;
mod event;
mod ledger;
mod outage;
pub mod tail;

pub use consumer::{ConsumerError, ConsumerSettings, Delivery, Event, QueueConsumer, TlsFiles};
pub use control::{ControlClient, ControlError, ControlSettings, IntervalRequest, WatchEvent, WatchOptions};
pub use tail::{QueueTail, TailError, TailEvent, TailSettings};
pub use telemetry_proto::v1 as proto;
