//! A page without a collector behind it: the test says what happens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use telemetry_collector::clock::WallClock;
use telemetry_collector::health::{Component, HealthBoard};
use telemetry_collector::http::{self, Shown};
use telemetry_collector::sampler::Sampler;
use telemetry_collector::steering::Steering;
use telemetry_outbox::{Encoding, NoObserver, OnFull, Outbox, OutboxSettings, Stamper};
use telemetry_proto::v1::{
    CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, LoadAverages, TelemetryData, TelemetryMetadata,
};
use telemetry_server::{Listener, ListenerSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The address of a free port.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A page that is served, and what it shows.
pub struct SeenPage {
    pub address: SocketAddr,
    pub outbox: Outbox,
    pub board: HealthBoard,
    // They end with this value.
    _sampler: Sampler,
    _steering: Steering,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl SeenPage {
    /// A page on a free port, of a collector whose components all serve and that seldom takes samples.
    pub async fn start() -> Self {
        Self::start_at(ANY_PORT).await
    }

    /// The same at an address that the test chooses.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::start_with(address, "1h", Duration::ZERO).await
    }

    /// The same of a collector that takes samples this often, and whose newest samples are so old.
    pub async fn start_with(address: SocketAddr, interval: &str, age: Duration) -> Self {
        let clock = WallClock::system();
        let settings = OutboxSettings { max_bytes: usize::MAX, on_full: OnFull::DropOldest, encoding: Encoding::Json };
        let outbox = Outbox::new(settings, Stamper::new(move || SystemTime::now() - age), Arc::new(NoObserver));
        let board = HealthBoard::new(clock.clone());
        Component::ALWAYS.into_iter().for_each(|component| board.reporter(component).serving());
        let interval = interval.parse().unwrap();
        let reporter = board.reporter(Component::Sampler);
        let sampler = Sampler::new(Vec::new(), metadata(), interval, outbox.clone(), clock.clone(), reporter);
        let steering = Steering::new(sampler.handle(), outbox.clone(), clock, &metadata(), interval, 5);
        let shown = Shown {
            feed: outbox.feed(),
            snapshots: sampler.snapshots(),
            health: board.reader(),
            steering: steering.reader(),
        };
        let listener = ListenerSettings::new(address.to_string().parse().unwrap());
        let listener = Listener::bind(&listener).await.unwrap();
        let (address, shutdown) = (listener.address().to_string().parse().unwrap(), CancellationToken::new());
        let routes = http::routes(shown, Vec::new(), shutdown.clone());
        let serving = tokio::spawn(http::serve(listener, routes, Duration::from_secs(30), shutdown.clone()));
        Self { address, outbox, board, _sampler: sampler, _steering: steering, shutdown, serving }
    }

    /// Stops serving the page.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        (&mut self.serving).await.unwrap();
    }
}

impl Drop for SeenPage {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn metadata() -> TelemetryMetadata {
    TelemetryMetadata {
        hostname: "testhost".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.18.44".to_owned(),
        arch: "x86_64".to_owned(),
        collector_version: "0.1.0".to_owned(),
        labels: [("rack".to_owned(), "a1".to_owned())].into(),
        ..TelemetryMetadata::default()
    }
}

/// A sample of a host with this many cores.
pub fn sample_of(cores: u32) -> TelemetryData {
    let core = |id: u32| {
        let user = f64::from(id * 37 % 90);
        let states =
            CpuStates { user_percent: user, system_percent: 5.0, idle_percent: 95.0 - user, ..CpuStates::default() };
        CoreMetrics {
            usage_percent: Some(user + 5.0),
            states: Some(states),
            frequency_mhz: Some(2596.12),
            temperature_celsius: Some(61.5),
            ..CoreMetrics::new(id)
        }
    };
    let states = CpuStates { user_percent: 40.25, system_percent: 5.0, idle_percent: 54.75, ..CpuStates::default() };
    let cpu = CpuMetrics {
        usage_percent: Some(45.25),
        states: Some(states),
        frequencies: Some(CpuFrequencies { current_mhz: Some(2596.12), min_mhz: Some(1500.0), max_mhz: Some(3700.0) }),
        load_averages: Some(LoadAverages { one: 1.5, five: 1.25, fifteen: 1.0 }),
        temperature_celsius: Some(61.5),
        model: "Processor with a long name, 128-Core".to_owned(),
        ..CpuMetrics::new((0..cores).map(core).collect())
    };
    let metadata = TelemetryMetadata {
        interval: Some(Duration::from_secs(1).into()),
        scheduled_at: Some(SystemTime::now().into()),
        collection_duration: Some(Duration::from_micros(67).into()),
        ..metadata()
    };
    TelemetryData::new(metadata, cpu)
}
