//! The HTTP server: probes for orchestrators, metrics for scrapers and a page for people. It only reads, through handles.

mod access;
mod headers;
mod host;
mod metrics;
mod page;
mod probes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, map_response};
use telemetry_server::{AccessLayer, Listener, serve_http};
use tokio_util::sync::CancellationToken;

pub use self::page::Shown;
use crate::events;
use crate::health::Component;

/// `/`, `/livez`, `/readyz` and `/metrics`. The collector is ready while all of the components in `ready` are serving. What
/// never ends by itself ends at `shutdown`.
pub fn routes(shown: Shown, ready: Vec<Component>, shutdown: CancellationToken) -> Router {
    let probes = probes::routes(shown.health.clone(), ready);
    probes.merge(metrics::routes(shown.snapshots.clone())).merge(page::routes(shown, shutdown))
}

/// Serves `routes` on `listener` until `shutdown`, then finishes the requests in progress. A connection that does not send the
/// headers of a request within `header_timeout` is closed.
pub async fn serve(listener: Listener, routes: Router, header_timeout: Duration, shutdown: CancellationToken) {
    events::http_listening(listener.address());
    let access = AccessLayer::new(listener.access(), access::needed, access::protocol(events::request_refused));
    let routes = routes.layer(access);
    let is_local = listener.address().is_loopback() && !listener.has_login();
    let app = app(if is_local { routes.layer(from_fn(host::local_only)) } else { routes });
    serve_http(listener.incoming(Arc::new(events::ListenerEvents::of_http())), app, header_timeout, shutdown).await;
}

/// `routes`, and what is the same for every response.
fn app(routes: Router) -> Router {
    routes.fallback(async || (StatusCode::NOT_FOUND, "not found\n")).layer(map_response(headers::secure))
}

#[cfg(test)]
mod tests;
