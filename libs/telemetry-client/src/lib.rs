//! What a service needs to live with the telemetry collector: the queue as typed messages, the control API as calls.
//!
//! [`QueueConsumer`] reads the Redis list that collectors write. Each message is checked, handed over once, and kept by
//! Redis until the service says that it is done with it:
//!
//! ```no_run
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
//!                 Event::Gap(gap) => println!("{} samples of {} are lost", gap.record.count, gap.lost_by),
//!                 Event::InstanceStarted { instance_id, .. } => println!("{instance_id} is new"),
//!                 Event::MissingNumbers { instance_id, numbers } => println!("{instance_id} lacks {numbers:?}"),
//!                 _ => {}
//!             }
//!             delivery.ack().await?;
//!         }
//!         // Redis is away or will not serve us. The consumer goes on trying; this is to tell somebody.
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! # }
//! ```
//!
//! [`ControlClient`] reads and steers one running collector:
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

pub mod consumer;
pub mod control;

pub use consumer::{ConsumerError, ConsumerSettings, Delivery, Event, QueueConsumer};
pub use control::{ControlClient, ControlError, ControlSettings};
pub use telemetry_proto::v1 as proto;
