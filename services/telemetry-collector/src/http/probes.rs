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
use serde::Serialize;
use telemetry_proto::v1::HealthStatus;

use crate::health::{Component, ComponentState, HealthReader};

#[derive(Debug)]
struct Probes {
    health: HealthReader,
    /// Components that must be serving.
    ready: Vec<Component>,
}

/// The body of a response.
#[derive(Debug, Serialize)]
struct Answer {
    status: &'static str,
    components: Vec<ComponentAnswer>,
}

#[derive(Debug, Serialize)]
struct ComponentAnswer {
    name: &'static str,
    status: &'static str,
    /// Whether the component counts for this probe.
    required: bool,
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
        let component = |state: &ComponentState| ComponentAnswer {
            name: state.component.name(),
            status: name_of(state.status),
            required: is_required(state.component),
        };
        let answer = Answer { status, components: self.health.states().iter().map(component).collect() };
        match serde_json::to_string(&answer) {
            Ok(json) => (code, [(CONTENT_TYPE, "application/json")], json + "\n").into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
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
