//! The parts of a service, as the settings say.

use std::sync::Arc;
use std::time::Duration;

use telemetry_outbox::{OutboxSettings, SpoolSettings};
use telemetry_server::{Listener, ListenerSettings};
use tokio::time::timeout;

use super::checks::{check_readiness, check_spool_directory};
use super::{Http, Parts};
use crate::clock::WallClock;
use crate::collectors::{self, CpuCollector, HostIdentity, HostRoot, Sysinfo};
use crate::config::Config;
use crate::control::Settings;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::models::TelemetryMetadata;
use crate::publishers::{DeliveryMode, RedisQueue, RedisSettings};

/// Time that the host has, before the first sample, to give what is slow to read.
const FIRST_READING_LIMIT: Duration = Duration::from_millis(500);

/// The parts of the service of this host. Listens, and reads what never changes of the host.
pub(super) async fn of_host(config: &Config) -> TelemetryResult<Parts> {
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
    Ok(Parts {
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
    })
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
