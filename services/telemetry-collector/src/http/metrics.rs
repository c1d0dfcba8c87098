//! `/metrics`: the latest sample of this host, under the names that telemetry-exporter gives them, the process, and what the
//! collector measures of itself.

mod process;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use telemetry_openmetrics::{Exposition, Families, Format, Host, Sample, Source, write_hosts};
use telemetry_proto::v1::telemetry_message::Payload;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::process::Process;
use crate::instruments::{self, instruments};
use crate::models::TelemetryMessage;
use crate::sampler::SnapshotReader;

/// A sample is no longer served when it is older than this, or than three of its intervals if that is longer; as by
/// telemetry-exporter.
const EXPIRY: Duration = Duration::from_secs(300);

/// What a scrape reads.
#[derive(Debug)]
struct Collector {
    snapshots: SnapshotReader,
    process: Process,
}

#[derive(Debug)]
struct Page {
    exposition: Exposition,
    /// Scrapes take turns, so that many at once take no more than one thread.
    turn: Arc<Semaphore>,
}

pub(super) fn routes(snapshots: SnapshotReader) -> Router {
    let exposition = Exposition::new(Collector { snapshots, process: Process::of_this_program() })
        .with_collector(instruments::Exposition(instruments()));
    let page = Page { exposition, turn: Arc::new(Semaphore::new(1)) };
    Router::new().route("/metrics", get(metrics)).with_state(Arc::new(page))
}

async fn metrics(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    let format = Format::accepted_by(headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes));
    match page.write(format).await {
        Some(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        None => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response(),
    }
}

impl Page {
    /// Writes the page on another thread: the sampler runs on this one.
    async fn write(self: Arc<Self>, format: Format) -> Option<String> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let writing = spawn_blocking(move || {
            let text = self.exposition.write(format);
            drop(turn);
            text
        });
        writing.await.ok()?.ok()
    }
}

impl Source for Collector {
    fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let (snapshots, now) = (self.snapshots.latest(), SystemTime::now());
        let samples = snapshots.iter().filter_map(|snapshot| sample(&snapshot.message));
        let host = Host::of(samples.filter(|sample| !sample.is_stale(now, EXPIRY)));
        write_hosts(families, host.as_slice())?;
        self.process.write(families)
    }
}

fn sample(message: &TelemetryMessage) -> Option<Sample<'_>> {
    let Some(Payload::Data(data)) = &message.payload else { return None };
    Some(Sample {
        collected_at: message.collected_at?.try_into().ok()?,
        metadata: data.metadata.as_ref()?,
        metrics: data.metrics.as_ref(),
    })
}
