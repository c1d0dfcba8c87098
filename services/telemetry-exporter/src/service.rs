//! The assembly: the only file that knows every part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telemetry_client::{ConsumerSettings, QueueConsumer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, QueueMode, RedisConfig};
use crate::errors::ExporterError;
use crate::exposition::Exposition;
use crate::fleet::Fleet;
use crate::http;
use crate::intake::{Intake, Tally};

/// The consumer group that reads a stream: with all exporters in it, each message comes to one of them.
const GROUP: &str = "telemetry-exporter";
/// Time that scrapes under way and the farewell to Redis have after the signal.
const GRACE: Duration = Duration::from_secs(5);

/// The exporter, assembled and not yet running.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    intakes: Vec<Intake>,
    exposition: Arc<Exposition>,
}

impl Service {
    /// Listens, and begins to connect to Redis, which need not be up.
    ///
    /// # Errors
    /// [`ExporterError::Bind`] when the address cannot be listened on, [`ExporterError::Queue`] when the URL is wrong.
    pub async fn from_config(config: &Config) -> Result<Self, ExporterError> {
        let address = config.exporter.listen;
        let bind = |source| ExporterError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        Self::new(listener, consumers(&config.redis)?, config.exporter.host_expiry)
    }

    /// An exporter of parts that the caller brings.
    ///
    /// # Errors
    /// [`ExporterError::System`] when the listener does not know its address.
    pub fn new(listener: TcpListener, consumers: Vec<QueueConsumer>, expiry: Duration) -> Result<Self, ExporterError> {
        let address =
            listener.local_addr().map_err(|error| ExporterError::system("learn the address listened on", error))?;
        let fleet = Arc::new(Fleet::new(expiry));
        let tally = Arc::new(Tally::default());
        let intake = |consumer| Intake::new(consumer, Arc::clone(&fleet), Arc::clone(&tally));
        let intakes: Vec<_> = consumers.into_iter().map(intake).collect();
        let counters = intakes.iter().map(Intake::counters).collect();
        let exposition = Arc::new(Exposition::new(fleet, tally, counters));
        Ok(Self { listener, address, intakes, exposition })
    }

    /// Serves until `shutdown`, then gives back to the queue what it has not seen to.
    ///
    /// # Errors
    /// [`ExporterError::System`] when connections can no longer be accepted.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ExporterError> {
        info!(address = %self.address, "serving /metrics");
        let intakes: JoinSet<()> = self.intakes.into_iter().map(|intake| intake.run(shutdown.clone())).collect();
        let stopped = shutdown.clone();
        let serving = axum::serve(self.listener, http::router(self.exposition))
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        let served = tokio::select! {
            served = serving => served,
            // A client that keeps its connection does not keep the exporter.
            () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        };
        shutdown.cancel();
        if timeout(GRACE, intakes.join_all()).await.is_err() {
            warn!("Redis does not answer; what was taken is left to the next consumer");
        }
        info!("stopped");
        served.map_err(|error| ExporterError::system("serve /metrics", error))
    }
}

/// One consumer for each key.
fn consumers(redis: &RedisConfig) -> Result<Vec<QueueConsumer>, ExporterError> {
    let consumer = |key| {
        let settings = ConsumerSettings::new(redis.url.expose(), key);
        let settings = match redis.mode {
            QueueMode::List => settings,
            QueueMode::Stream => settings.stream(GROUP),
        };
        Ok(QueueConsumer::connect(settings)?)
    };
    redis.keys().map(consumer).collect()
}
