//! The HTTP server: probes for orchestrators, metrics for scrapers and a page for people. It only reads, through handles.

mod headers;
mod metrics;
mod page;
mod probes;

use std::io;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::page::Shown;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::Component;

/// `/`, `/livez`, `/readyz` and `/metrics`. The collector is ready while all of the components in `ready` are serving. What
/// never ends by itself ends at `shutdown`.
pub fn routes(shown: Shown, ready: Vec<Component>, shutdown: CancellationToken) -> Router {
    let probes = probes::routes(shown.health.clone(), ready);
    probes.merge(metrics::routes(shown.snapshots.clone())).merge(page::routes(shown, shutdown))
}

/// Serves `routes` on `listener` until `shutdown`, then finishes the requests in progress.
///
/// # Errors
/// [`System`](TelemetryError::System) when the server fails.
pub async fn serve(listener: TcpListener, routes: Router, shutdown: CancellationToken) -> TelemetryResult<()> {
    if let Ok(address) = listener.local_addr() {
        events::http_listening(address);
    }
    let served = axum::serve(listener, app(routes)).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    served.map_err(|error| TelemetryError::system("serve HTTP", io::Error::other(error)))
}

/// `routes`, and what is the same for every response.
fn app(routes: Router) -> Router {
    routes.fallback(async || (StatusCode::NOT_FOUND, "not found\n")).layer(map_response(headers::secure))
}

#[cfg(test)]
mod tests;
