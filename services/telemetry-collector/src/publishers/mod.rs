//! What knows a destination. One file a destination; nothing in here hears of CPU or of the sampler.

mod redis;
mod retry;
mod traits;

pub use redis::{DeliveryMode, InvalidRedisUrl, QueueMode, RedisQueue, RedisSettings, RedisUrl, TlsFiles, shard_key};
pub use retry::{Backoff, RetrySettings};
pub use traits::{Acknowledgement, PoolState, Receipt, RedisPublisher, TelemetryPublisher};
