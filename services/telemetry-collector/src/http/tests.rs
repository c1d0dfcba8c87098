#![allow(clippy::unwrap_used)]

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response};
use serde_json::{Value, json};
use telemetry_proto::v1::HealthStatus;
use tower::ServiceExt;

use super::*;
use crate::clock::WallClock;
use crate::errors::TelemetryError;
use crate::health::HealthBoard;

fn failure() -> TelemetryError {
    TelemetryError::collection("cpu", "secret detail")
}

async fn request(app: &Router, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

async fn probe(app: &Router, path: &str) -> (u16, Value) {
    let response = request(app, Method::GET, path).await;
    (response.status().as_u16(), serde_json::from_str(&text(response).await).unwrap())
}

async fn code(app: &Router, path: &str) -> u16 {
    request(app, Method::GET, path).await.status().as_u16()
}

/// A board whose components all serve, and the server of a collector that needs these to be ready.
fn served(ready: &[Component]) -> (HealthBoard, Router) {
    let board = HealthBoard::new(WallClock::system());
    let app = app(probes::routes(board.reader(), ready.to_vec()));
    Component::ALWAYS.into_iter().for_each(|component| board.reporter(component).serving());
    (board, app)
}

#[tokio::test]
async fn probes_name_each_component_without_its_error() {
    let (board, app) = served(&[Component::Sampler]);
    board.reporter(Component::Sink).failing(HealthStatus::Degraded, &failure());
    let component = |name, status, required| json!({ "name": name, "status": status, "required": required });
    let components = [
        component("sampler", "serving", true),
        component("sink", "degraded", false),
        component("control", "serving", false),
    ];
    assert_eq!(probe(&app, "/readyz").await, (200, json!({ "status": "ok", "components": components })));
}

#[tokio::test]
async fn is_ready_only_while_every_required_component_serves() {
    let (board, app) = served(&[Component::Sampler, Component::Sink]);
    assert_eq!(code(&app, "/readyz").await, 200);
    board.reporter(Component::Sink).failing(HealthStatus::Degraded, &failure());
    let (code_of_probe, answer) = probe(&app, "/readyz").await;
    assert_eq!((code_of_probe, &answer["status"]), (503, &json!("unavailable")));
    board.reporter(Component::Sink).serving();
    assert_eq!(code(&app, "/readyz").await, 200);

    board.reporter(Component::Control).failing(HealthStatus::NotServing, &failure());
    assert_eq!(code(&app, "/readyz").await, 200, "it is not required");
}

#[tokio::test]
async fn is_alive_until_a_restart_could_help() {
    let (board, app) = served(&[]);
    board.reporter(Component::Sink).failing(HealthStatus::NotServing, &failure());
    assert_eq!(code(&app, "/livez").await, 200);
    board.reporter(Component::Sampler).failing(HealthStatus::NotServing, &failure());
    let (code, answer) = probe(&app, "/livez").await;
    assert_eq!((code, &answer["components"][0]["required"]), (503, &json!(true)));
    assert_eq!(answer["components"][1]["required"], json!(false));
}

#[tokio::test]
async fn answers_head_and_refuses_other_methods_and_paths() {
    let (_, app) = served(&[]);
    let head = request(&app, Method::HEAD, "/livez").await;
    assert_eq!((head.status().as_u16(), head.headers()["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(text(head).await, "");
    let post = request(&app, Method::POST, "/livez").await;
    assert_eq!((post.status().as_u16(), post.headers()["allow"].to_str().unwrap()), (405, "GET,HEAD"));
    assert_eq!(code(&app, "/nothing").await, 404);
}

#[tokio::test]
async fn every_response_has_security_headers_and_no_banner() {
    let (_, app) = served(&[]);
    for (method, path) in [(Method::GET, "/livez"), (Method::GET, "/nothing"), (Method::POST, "/livez")] {
        let response = request(&app, method, path).await;
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"), "{path}");
        assert_eq!(header("server"), None, "{path}");
    }
}

#[tokio::test]
async fn a_route_keeps_headers_of_its_own() {
    let page =
        Router::new().route("/", axum::routing::get(async || [("content-security-policy", "default-src 'self'")]));
    let response = request(&app(page), Method::GET, "/").await;
    assert_eq!(response.headers().get_all("content-security-policy").iter().count(), 1);
    assert_eq!(response.headers()["content-security-policy"], "default-src 'self'");
}
