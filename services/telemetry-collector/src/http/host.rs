//! Refuses requests to a name that is not of this host. A web site could otherwise let its name point to the loopback address, and
//! read the collector by the browser of a visitor (DNS rebinding).

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers a request to an IP address or to `localhost`, and no other.
pub(super) async fn local_only(request: Request, next: Next) -> Response {
    let in_header = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    let in_target = request.uri().authority().map(Authority::as_str);
    if in_header.into_iter().chain(in_target).all(is_local) {
        return next.run(request).await;
    }
    let refusal = "without a login, the collector answers requests to localhost or an IP address only; \
                   TELEMETRY_HTTP__TOKENS_FILE allows other names\n";
    (StatusCode::MISDIRECTED_REQUEST, refusal).into_response()
}

fn is_local(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_of_this_host() {
        for authority in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7"] {
            assert!(is_local(authority), "{authority}");
        }
        for authority in ["", "example.com", "localhost.example.com:8080", "127.0.0.1.example.com", "a b", "x@"] {
            assert!(!is_local(authority), "{authority}");
        }
    }
}
