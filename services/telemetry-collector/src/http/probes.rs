//! `/livez` and `/readyz`: for the probes of an orchestrator.
//!
//! They answer callers without a login, and so tell no error: `Health` of the control API does.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use telemetry_proto::v1::HealthStatus;

use crate::health::{Component, HealthReader};

#[derive(Debug)]
struct Probes {
    health: HealthReader,
    /// Components that must be serving.
    ready: Vec<Component>,
}

pub(super) fn routes(health: HealthReader, ready: Vec<Component>) -> Router {
    let probes = Arc::new(Probes { health, ready });
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(probes)
}

/// Whether a restart could help: then 503.
async fn livez(State(probes): State<Arc<Probes>>) -> Response {
    probes.answer(probes.health.is_live(), Component::is_vital)
}

/// Whether the components that must be serving are serving.
async fn readyz(State(probes): State<Arc<Probes>>) -> Response {
    let is_required = |component| probes.ready.contains(&component);
    let states = probes.health.states();
    let mut required = states.iter().filter(|state| is_required(state.component));
    probes.answer(required.all(|state| state.status == HealthStatus::Serving), is_required)
}

impl Probes {
    fn answer(&self, is_ok: bool, is_required: impl Fn(Component) -> bool) -> Response {
        let (code, status) =
            if is_ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
        let component = |component: Component, status| json!({ "name": component.name(), "status": name_of(status), "required": is_required(component) });
        let states = self.health.states();
        let components: Vec<_> = states.iter().map(|state| component(state.component, state.status)).collect();
        let body = json!({ "status": status, "components": components });
        (code, [(CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
    }
}

fn name_of(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Unspecified => "unspecified",
        HealthStatus::Starting => "starting",
        HealthStatus::Serving => "serving",
        HealthStatus::Degraded => "degraded",
        HealthStatus::NotServing => "not_serving",
    }
}
