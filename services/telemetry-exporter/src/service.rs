//! Assembles and runs the exporter. Only this module depends on all others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telemetry_client::{ConsumerSettings, QueueConsumer};
use telemetry_openmetrics::Exposition;
use telemetry_redis::QueueMode;
use telemetry_redis::environment::RedisEnvironment;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::errors::ExporterError;
use crate::fleet::Fleet;
use crate::intake::{Intake, Tally};
use crate::{exposition, http};

/// The consumer group of stream mode. All exporters share it, so each message is delivered to only one of them.
const GROUP: &str = "telemetry-exporter";
/// Time limit for open scrapes, and then for closing the consumers, after shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// An exporter that listens but does not run yet.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    intakes: Vec<Intake>,
    exposition: Arc<Exposition>,
}

impl Service {
    /// Starts to listen, and to connect to Redis. Redis need not be reachable yet.
    ///
    /// # Errors
    /// [`ExporterError::Bind`] if it cannot listen on the address, [`ExporterError::Configuration`] if the settings of Redis
    /// are not valid together.
    pub async fn from_config(config: &Config) -> Result<Self, ExporterError> {
        let address = config.exporter.listen;
        let bind = |source| ExporterError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        Self::new(listener, consumers(&config.redis)?, config.exporter.host_expiry)
    }

    /// Creates an exporter from a listener and consumers.
    ///
    /// # Errors
    /// [`ExporterError::System`] if the listener's address cannot be determined.
    pub fn new(listener: TcpListener, consumers: Vec<QueueConsumer>, expiry: Duration) -> Result<Self, ExporterError> {
        let address =
            listener.local_addr().map_err(|error| ExporterError::system("determine the listen address", error))?;
        let fleet = Arc::new(Fleet::new(expiry));
        let tally = Arc::new(Tally::default());
        let intake = |consumer| Intake::new(consumer, Arc::clone(&fleet), Arc::clone(&tally));
        let intakes: Vec<_> = consumers.into_iter().map(intake).collect();
        let counters = intakes.iter().map(Intake::counters).collect();
        let exposition = Arc::new(exposition::of(fleet, tally, counters));
        Ok(Self { listener, address, intakes, exposition })
    }

    /// Serves until `shutdown`, then returns unacknowledged messages to the queue.
    ///
    /// # Errors
    /// [`ExporterError::System`] if connections can no longer be accepted.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ExporterError> {
        info!(address = %self.address, "serving /metrics");
        let intakes: JoinSet<()> = self.intakes.into_iter().map(|intake| intake.run(shutdown.clone())).collect();
        let stopped = shutdown.clone();
        let serving = axum::serve(self.listener, http::router(self.exposition))
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        let served = tokio::select! {
            served = serving => served,
            // A client that keeps its connection open must not delay shutdown.
            () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        };
        shutdown.cancel();
        if timeout(GRACE, intakes.join_all()).await.is_err() {
            warn!("Redis does not answer; unacknowledged messages are left to the next consumer");
        }
        info!("stopped");
        served.map_err(|error| ExporterError::system("serve /metrics", error))
    }
}

/// Creates one consumer per key.
fn consumers(redis: &RedisEnvironment) -> Result<Vec<QueueConsumer>, ExporterError> {
    let consumer = |key| {
        let settings = ConsumerSettings::new(redis.url.expose(), key).tls(redis.tls.clone());
        let settings = match redis.mode {
            QueueMode::List => settings,
            QueueMode::Stream => settings.stream(GROUP),
        };
        Ok(QueueConsumer::connect(settings)?)
    };
    redis.keys()?.into_iter().map(consumer).collect()
}
