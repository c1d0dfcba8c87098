//! Who may read what over HTTP.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use telemetry_server::{Peer, Protocol, Refusal, Role};

/// Probes have no login: an orchestrator has no token.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// How a browser, and a program, can log in.
const CHALLENGES: [&str; 2] = [r#"Basic realm="telemetry-collector", charset="UTF-8""#, "Bearer"];

/// The role that a request for `path` needs, where there is a login.
pub(super) fn needed(path: &str) -> Option<Role> {
    (!PROBES.contains(&path)).then_some(Role::Read)
}

/// How HTTP tells that a request is refused. `refused` is told each refusal.
pub(super) fn protocol(refused: fn(&Refusal, &Peer)) -> Protocol<Body> {
    // What was sent until then is complete: there is nothing to add.
    Protocol { refuse, end: |_| HeaderMap::new(), refused }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let status = match refusal {
        Refusal::UnknownToken | Refusal::NoLogin => StatusCode::UNAUTHORIZED,
        Refusal::NotAllowed { .. } => StatusCode::FORBIDDEN,
    };
    let mut response = Response::new(Body::from(format!("{refusal}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::UNAUTHORIZED {
        for challenge in CHALLENGES {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    response
}
