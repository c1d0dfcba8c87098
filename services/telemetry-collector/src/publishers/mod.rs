//! What knows a destination. One file a destination; nothing in here hears of CPU or of the sampler.

mod redis;
mod retry;
mod traits;

pub use redis::{RedisQueue, RedisSettings};
pub use retry::{Backoff, RetrySettings};
pub use traits::{Acknowledgement, PoolState, Receipt, RedisPublisher, TelemetryPublisher};
