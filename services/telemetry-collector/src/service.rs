//! The assembly: the only place that knows every part. It starts them, and stops them in the order of the data's way.

mod checks;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use opentelemetry::metrics::Meter;
use telemetry_outbox::{Backlog, BacklogStatus, Outbox, OutboxSettings, Spool, SpoolSettings, Stamper};
use telemetry_redis::{Backoff, RetrySettings};
use telemetry_server::{Address, Listener, ListenerSettings};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::checks::{check_readiness, check_spool_directory};
use crate::clock::WallClock;
use crate::collectors::{self, CpuCollector, HostIdentity, HostRoot, Sysinfo, TelemetryCollector};
use crate::config::Config;
use crate::control::{self, Control, Serving, Settings, Watches};
use crate::delivery::Delivery;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events::{self, OutboxEvents};
use crate::health::{Component, HealthBoard};
use crate::host_metrics;
use crate::http;
use crate::interval::Interval;
use crate::models::{SCHEMA_VERSION, TelemetryMetadata};
use crate::publishers::{DeliveryMode, RedisQueue, RedisSettings, TelemetryPublisher};
use crate::sampler::Sampler;
use crate::steering::{self, Saved, Steering, SteeringSettings};

/// Time that the host has, before the first sample, to give what is slow to read.
const FIRST_READING_LIMIT: Duration = Duration::from_millis(500);
/// Time that the last sync of the spool has beyond the grace time.
const SYNC_GRACE: Duration = Duration::from_secs(2);
/// Time that calls under way have to end once everything else has.
const CONTROL_GRACE: Duration = Duration::from_secs(1);

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
    /// [`System`](TelemetryError::System) when the address cannot be listened on,
    /// [`Configuration`](TelemetryError::Configuration) when a setting cannot be put in force.
    pub async fn from_config(config: &Config) -> TelemetryResult<Self> {
        check_readiness(config)?;
        check_spool_directory(config.spool.directory.clone()).await?;
        let listener = listen("TELEMETRY_CONTROL__", "TELEMETRY_CONTROL__LISTEN", &config.control.listener).await?;
        if listener.is_exposed() {
            events::control_insecure(listener.address());
        }
        let http = match &config.http.listener {
            Some(settings) => {
                let listener = listen("TELEMETRY_HTTP__", "TELEMETRY_HTTP__LISTEN", settings).await?;
                if listener.is_exposed() {
                    events::http_insecure(listener.address());
                }
                let header_timeout = config.http.header_timeout;
                Some(Http { listener, header_timeout, ready: config.http.ready.clone() })
            }
            None => None,
        };
        let mut cpu = collectors::cpu();
        // The first sample has all its values where the host gives them soon.
        let _ = timeout(FIRST_READING_LIMIT, cpu.refresh_slow_readings()).await;
        let host = HostIdentity::read(&HostRoot::default(), &Sysinfo::new());
        Ok(Self::new(Parts {
            listener,
            serving: config.control.serving,
            max_watches: config.control.max_watches,
            settings: Settings::new(config.in_force().clone()),
            http,
            collectors: vec![Box::new(cpu)],
            metadata: metadata(&host, config),
            interval: config.collection.interval,
            steering: config.control.steering.clone(),
            outbox: OutboxSettings {
                max_bytes: config.outbox.max_bytes,
                on_full: config.outbox.on_full,
                encoding: config.redis.encoding,
            },
            publisher: Arc::new(RedisQueue::connect_lazily(&redis_settings(config, &host)?)?),
            retry: config.retry,
            spool: config.spool.directory.clone().map(|directory| SpoolSettings {
                directory,
                max_bytes: config.spool.max_bytes,
                sync: config.spool.sync,
                // Only a publisher that keeps marks can tell that the destination lost something.
                retain: match config.redis.delivery {
                    DeliveryMode::ExactlyOnce => config.spool.retain,
                    DeliveryMode::AtLeastOnce => Duration::ZERO,
                },
                on_full: config.outbox.on_full,
            }),
            grace: config.shutdown.grace,
            clock: WallClock::system(),
        }))
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

/// A service whose tasks run, and what is needed to stop them.
struct Running {
    tasks: Tasks,
    outbox: Outbox,
    spool: Option<Spool>,
    publisher: Arc<dyn TelemetryPublisher>,
    health: HealthBoard,
    stop_sampling: CancellationToken,
    stop_control: CancellationToken,
    grace: Duration,
}

impl Running {
    /// Stops the tasks in the order of the data's way.
    async fn stop(self) {
        let Self { tasks, outbox, spool, publisher, health, stop_sampling, stop_control, grace } = self;
        events::stopping(grace, BacklogStatus::of(&outbox, spool.as_ref()));
        let deadline = Instant::now() + grace;
        stop_sampling.cancel();
        finish(tasks.sampling, deadline).await;
        health.reporter(Component::Sampler).stopped();
        outbox.close();
        finish_delivery(tasks.spooling, tasks.delivering, deadline).await;
        if let Some(spool) = &spool {
            // A disk that hangs must not hold up the end.
            let _ = timeout_at(deadline + SYNC_GRACE, spool.close()).await;
        }
        events::stopped(BacklogStatus::of(&outbox, spool.as_ref()));
        publisher.close().await;
        stop_control.cancel();
        let deadline = Instant::now() + CONTROL_GRACE;
        finish(tasks.controlling, deadline).await;
        finish(tasks.steering, deadline).await;
        if let Some(http) = tasks.http {
            finish(http, deadline).await;
        }
    }
}

/// The tasks of a service.
struct Tasks {
    steering: JoinHandle<()>,
    sampling: JoinHandle<()>,
    /// Carries messages to the disk, if there is a spool.
    spooling: Option<JoinHandle<()>>,
    delivering: JoinHandle<()>,
    controlling: JoinHandle<TelemetryResult<()>>,
    /// Serves HTTP, if an address for it is set.
    http: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Waits for `shutdown`.
    ///
    /// # Errors
    /// When a task ends before.
    async fn until_shutdown(&mut self, shutdown: &CancellationToken) -> TelemetryResult<()> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = &mut self.sampling => Err(ended_early("the sampler", ended)),
            ended = &mut self.steering => Err(ended_early("the time limits of changes", ended)),
            Some(ended) = OptionFuture::from(self.spooling.as_mut()) => Err(ended_early("the spool", ended)),
            ended = &mut self.delivering => Err(ended_early("the delivery of messages", ended)),
            ended = &mut self.controlling => Err(control_ended_early(ended)),
            Some(ended) = OptionFuture::from(self.http.as_mut()) => Err(ended_early("HTTP", ended)),
        }
    }
}

/// Waits for the tasks that carry messages to the disk and to the destination until `deadline`, then ends them. A disk that hangs
/// takes at most half of the time, so that messages in memory are still delivered.
async fn finish_delivery(spooling: Option<JoinHandle<()>>, delivering: JoinHandle<()>, deadline: Instant) {
    if let Some(spooling) = spooling {
        let now = Instant::now();
        finish(spooling, now + deadline.saturating_duration_since(now) / 2).await;
    }
    finish(delivering, deadline).await;
}

/// Waits for a task until `deadline`, then ends it. One that has ended already is left alone.
async fn finish<T>(mut task: JoinHandle<T>, deadline: Instant) {
    if !task.is_finished() && timeout_at(deadline, &mut task).await.is_err() {
        task.abort();
    }
}

fn control_ended_early(ended: Result<TelemetryResult<()>, JoinError>) -> TelemetryError {
    const PART: &str = "the control API";
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => ended_early(PART, Ok(())),
        Err(panicked) => ended_early(PART, Err(panicked)),
    }
}

fn ended_early(part: &str, ended: Result<(), JoinError>) -> TelemetryError {
    let cause = ended.err().map_or_else(|| "it ended by itself".to_owned(), |error| error.to_string());
    TelemetryError::system(format!("go on without {part}"), std::io::Error::other(cause))
}

/// A listener whose settings begin with `section`; `setting` names its address.
async fn listen(section: &str, setting: &'static str, settings: &ListenerSettings) -> TelemetryResult<Listener> {
    Listener::bind(settings).await.map_err(|error| TelemetryError::listen(section, setting, error))
}

fn redis_settings(config: &Config, host: &HostIdentity) -> TelemetryResult<RedisSettings> {
    let redis = &config.redis;
    let queue = &redis.queue;
    // The name of a host may change, its id does not.
    let host = if host.host_id.is_empty() { &host.hostname } else { &host.host_id };
    Ok(RedisSettings {
        url: queue.url.expose().to_owned(),
        tls: queue.tls.clone(),
        key: queue.key_of(host)?,
        mode: queue.mode,
        delivery: redis.delivery,
        max_length: redis.max_length,
        high_water: redis.high_water,
        wait_replicas: redis.wait_replicas,
        connect_timeout: redis.connect_timeout,
        response_timeout: redis.response_timeout,
    })
}

fn metadata(host: &HostIdentity, config: &Config) -> TelemetryMetadata {
    TelemetryMetadata {
        hostname: host.hostname.clone(),
        host_id: host.host_id.clone(),
        boot_id: host.boot_id.clone(),
        os: host.os.clone(),
        kernel: host.kernel.clone(),
        arch: host.arch.clone(),
        virtualization: host.virtualization.clone(),
        collector_version: crate::version().to_owned(),
        labels: config.collection.labels.clone(),
        ..TelemetryMetadata::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;
    use crate::errors::report;

    fn tasks() -> Tasks {
        Tasks {
            steering: tokio::spawn(pending()),
            sampling: tokio::spawn(pending()),
            spooling: Some(tokio::spawn(pending())),
            delivering: tokio::spawn(pending()),
            controlling: tokio::spawn(pending()),
            http: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fails_when_the_task_of_the_spool_panics() {
        let mut tasks = tasks();
        tasks.spooling = Some(tokio::spawn(async { panic!("panic of the test") }));
        let shutdown = CancellationToken::new();
        let ended = timeout(Duration::from_secs(60), tasks.until_shutdown(&shutdown)).await;
        let error = ended.unwrap().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("cannot go on without the spool", 70));
        assert!(report(&error).contains("panic of the test"), "{}", report(&error));
    }

    #[tokio::test]
    async fn runs_until_shutdown_without_a_spool() {
        let mut tasks = Tasks { spooling: None, ..tasks() };
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        tasks.until_shutdown(&shutdown).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_leaves_half_of_the_grace_time_to_the_delivery() {
        let hanging: JoinHandle<()> = tokio::spawn(pending());
        let ended = hanging.abort_handle();
        let (delivered, mut was_delivered) = tokio::sync::oneshot::channel();
        let delivering = tokio::spawn(async move {
            while !ended.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
            sleep(Duration::from_secs(2)).await;
            let _ = delivered.send(());
        });
        finish_delivery(Some(hanging), delivering, Instant::now() + Duration::from_secs(5)).await;
        was_delivered.try_recv().unwrap();
    }
}
