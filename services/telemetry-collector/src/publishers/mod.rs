//! What knows a destination. One file a destination; nothing in here hears of CPU or of the sampler.

mod redis;
mod traits;

pub use redis::{DeliveryMode, RedisQueue, RedisSettings};
pub use traits::{Acknowledgement, PoolState, Receipt, RedisPublisher, TelemetryPublisher};
