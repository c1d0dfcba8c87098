//! HTTP server: `/metrics` and `/healthz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use telemetry_openmetrics::{Exposition, Format};

/// Routes of the HTTP server.
pub fn router(exposition: Arc<Exposition>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        // Does not depend on Redis: restarting the exporter would not help. telemetry_exporter_queue_up reports
        // outages.
        .route("/healthz", get(async || "ok\n"))
        .with_state(exposition)
}

async fn metrics(State(exposition): State<Arc<Exposition>>, headers: HeaderMap) -> Response {
    let format = Format::accepted_by(headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes));
    match exposition.write(format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
