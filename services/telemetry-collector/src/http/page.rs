//! `/`: the collector at a glance, for people with a browser. It shows and steers nothing.
//!
//! The page and its parts are compiled in, and load nothing from elsewhere. `/events` feeds it with server-sent events.

mod state;
mod viewers;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

pub use self::state::Shown;
use self::viewers::{VIEWERS_MAX, Viewers};

/// What a browser may do with the page: load the parts of this server, and make nothing executable out of text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, type and content of every part.
const PARTS: [(&str, &str, &str); 10] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", CSS, include_str!("page/page.css")),
    ("/page.js", SCRIPT, include_str!("page/page.js")),
    ("/page/chart.js", SCRIPT, include_str!("page/chart.js")),
    ("/page/cores.js", SCRIPT, include_str!("page/cores.js")),
    ("/page/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/page/format.js", SCRIPT, include_str!("page/format.js")),
    ("/page/notice.js", SCRIPT, include_str!("page/notice.js")),
    ("/page/stream.js", SCRIPT, include_str!("page/stream.js")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
];

/// Time after which a silent stream says that it is still there. The page counts on it to notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The page with its parts, and `/events`, which ends at `shutdown`.
pub(super) fn routes(shown: Shown, shutdown: CancellationToken) -> Router {
    routes_of(Viewers::new(shown, shutdown))
}

fn routes_of(viewers: Viewers) -> Router {
    let parts = PARTS.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(path, get(async move || part(kind, content)))
    });
    parts.route("/events", get(events)).with_state(viewers)
}

fn part(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (headers, content).into_response()
}

async fn events(State(viewers): State<Viewers>) -> Response {
    match viewers.open() {
        Some(stream) => {
            Sse::new(stream.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
        }
        None => {
            let reason = format!("{VIEWERS_MAX} viewers are connected already\n");
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "10")], reason).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
