//! The assembly: the only place that knows every part. It starts them, and stops them in the order of the data's way.

mod checks;
mod parts;
mod running;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::Meter;
use telemetry_outbox::{Backlog, Outbox, OutboxSettings, Spool, SpoolSettings, Stamper};
use telemetry_redis::{Backoff, RetrySettings};
use telemetry_server::{Address, Listener};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::running::{Running, Tasks};
use crate::clock::WallClock;
use crate::collectors::TelemetryCollector;
use crate::config::Config;
use crate::control::{self, Control, Serving, Settings, Watches};
use crate::delivery::Delivery;
use crate::errors::TelemetryResult;
use crate::events::{self, OutboxEvents};
use crate::health::{Component, HealthBoard};
use crate::host_metrics;
use crate::http;
use crate::interval::Interval;
use crate::models::{SCHEMA_VERSION, TelemetryMetadata};
use crate::publishers::TelemetryPublisher;
use crate::sampler::Sampler;
use crate::steering::{self, Saved, Steering, SteeringSettings};

/// What a service is made of. [`Service::from_config`] takes the real parts; a test brings its own.
pub struct Parts {
    /// Where the control API is served.
    pub listener: Listener,
    /// What callers of the control API may take, and do without a login.
    pub serving: Serving,
    /// Watches that may be open at a time.
    pub max_watches: usize,
    /// What the control API shows of the settings.
    pub settings: Settings,
    /// What HTTP serves, and where.
    pub http: Option<Http>,
    /// What is sampled.
    pub collectors: Vec<Box<dyn TelemetryCollector>>,
    /// What every sample says of its host.
    pub metadata: TelemetryMetadata,
    /// Time from one sample to the next.
    pub interval: Interval,
    /// How it may be changed while it runs.
    pub steering: SteeringSettings,
    /// How messages are written, and kept in memory until they are acknowledged.
    pub outbox: OutboxSettings,
    /// Where messages are kept on disk as well.
    pub spool: Option<SpoolSettings>,
    /// Where messages go.
    pub publisher: Arc<dyn TelemetryPublisher>,
    /// When a message is offered again.
    pub retry: RetrySettings,
    /// Time that waiting messages have to go out at a stop.
    pub grace: Duration,
    /// The time of day.
    pub clock: WallClock,
}

/// What HTTP serves, and where.
pub struct Http {
    /// Where it is served.
    pub listener: Listener,
    /// Time until the headers of a request are complete.
    pub header_timeout: Duration,
    /// Components that must be serving for the collector to be ready.
    pub ready: Vec<Component>,
}

/// A collector that is ready to run.
///
/// ```no_run
/// use telemetry_collector::{Config, Service};
/// use tokio_util::sync::CancellationToken;
///
/// # async fn run() -> telemetry_collector::TelemetryResult<()> {
/// let shutdown = CancellationToken::new();
/// let service = Service::from_config(&Config::from_env()?).await?;
/// service.run(shutdown).await
/// # }
/// ```
pub struct Service {
    parts: Parts,
    instance_id: Uuid,
    meter: Option<Meter>,
}

impl Service {
    /// The service of this host, as `config` says. Binds the control API's address; Redis is not asked for anything,
    /// so one that is down is no reason not to start. The host has half a second to give what is slow to read.
    ///
    /// # Errors
    /// [`Bind`](crate::TelemetryError::Bind) when the address cannot be listened on,
    /// [`Configuration`](crate::TelemetryError::Configuration) when a setting cannot be put in force.
    pub async fn from_config(config: &Config) -> TelemetryResult<Self> {
        Ok(Self::new(parts::of_host(config).await?))
    }

    /// A service of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, instance_id: Uuid::new_v4(), meter: None }
    }

    /// The same service with an identity that the caller has chosen: the one that OpenTelemetry is told.
    #[must_use]
    pub fn with_instance_id(self, instance_id: Uuid) -> Self {
        Self { instance_id, ..self }
    }

    /// The same service, which also exports the latest sample of the host to `meter`, if there is one.
    #[must_use]
    pub fn with_meter(self, meter: Option<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Where the control API listens.
    #[must_use]
    pub fn control_address(&self) -> &Address {
        self.parts.listener.address()
    }

    /// Runs until `shutdown`: then the last sample is finished, what waits is delivered within the grace time, and
    /// the control API, which answers all the while, is closed.
    ///
    /// # Errors
    /// When a part ends by itself. What waits is delivered then, too.
    pub async fn run(self, shutdown: CancellationToken) -> TelemetryResult<()> {
        let saved = match &self.parts.steering.state_file {
            Some(path) => steering::load(path).await,
            None => None,
        };
        let mut running = self.start(saved)?;
        let outcome = running.tasks.until_shutdown(&shutdown).await;
        running.stop().await;
        outcome
    }

    /// Makes every component and starts its task.
    fn start(self, saved: Option<Saved>) -> TelemetryResult<Running> {
        let Parts { listener, serving, max_watches, settings, http, collectors, metadata, interval, outbox, .. } =
            self.parts;
        let Parts { steering, spool, publisher, retry, grace, clock, .. } = self.parts;
        let mut health = HealthBoard::new(clock.clone());
        let instance_id = self.instance_id;
        let stamper = Stamper::of_instance(instance_id, {
            let clock = clock.clone();
            move || clock.now()
        });
        events::started(crate::version(), SCHEMA_VERSION, instance_id, interval, publisher.destination());

        if spool.is_some() {
            health = health.with(Component::Spool);
        }
        if steering.state_file.is_some() {
            health = health.with(Component::StateFile);
        }
        let sync = spool.as_ref().map(|spool| spool.sync);
        let observer = Arc::new(OutboxEvents::new(health.reporter(Component::Spool), sync));
        let outbox = Outbox::new(outbox, stamper, observer.clone());
        let spool = spool.map(|settings| Spool::start(settings, instance_id, observer)).transpose()?;
        let SteeringSettings { state_file, max_changes_per_second } = steering;
        let host = metadata.clone();
        let sampler = Sampler::new(
            collectors,
            metadata,
            interval,
            outbox.clone(),
            clock.clone(),
            health.reporter(Component::Sampler),
        );
        let steering = Steering::new(sampler.handle(), outbox.clone(), clock, &host, interval, max_changes_per_second);
        if let Some(saved) = saved {
            steering.restore(saved);
        }
        let snapshots = sampler.snapshots();
        if let Some(meter) = &self.meter {
            host_metrics::export_to(meter, &snapshots);
        }
        let stop_control = CancellationToken::new();
        let watches = Watches::new(outbox.feed(), max_watches, stop_control.clone());
        let control = Control::new(sampler.snapshots(), steering.clone(), health.reader(), watches, settings);
        let delivery = Delivery::new(
            Backlog::new(outbox.clone(), spool.clone()),
            Arc::clone(&publisher),
            Backoff::new(retry),
            health.reporter(Component::Sink),
        );

        let stop_sampling = CancellationToken::new();
        let reporter = health.reporter(Component::Control);
        let controlling = control::serve(listener, control, serving, reporter, stop_control.clone());
        let http_task = http.map(|Http { listener, header_timeout, ready }| {
            let (health, steering) = (health.reader(), steering.reader());
            let shown = http::Shown { feed: outbox.feed(), snapshots, health, steering };
            let routes = http::routes(shown, ready, stop_control.clone());
            tokio::spawn(http::serve(listener, routes, header_timeout, stop_control.clone()))
        });
        let steered = steering.run(state_file, health.reporter(Component::StateFile), stop_control.clone());
        let tasks = Tasks {
            steering: tokio::spawn(steered),
            sampling: tokio::spawn(sampler.run(stop_sampling.clone())),
            spooling: spool.clone().map(|spool| tokio::spawn(spool.fill_from(outbox.clone()))),
            delivering: tokio::spawn(delivery.run()),
            controlling: tokio::spawn(controlling),
            http: http_task,
        };
        Ok(Running { tasks, outbox, spool, publisher, health, stop_sampling, stop_control, grace })
    }
}
