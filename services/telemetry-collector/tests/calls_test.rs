//! Calls to the control API by method and status, as `/metrics` counts them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::SocketAddr;

use support::collector::Collector;
use support::http::get;
use support::login::TokenFile;
use telemetry_proto::v1::{HealthRequest, WatchSnapshotsRequest};
use telemetry_testing::eventually;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceExt;

/// Nobody listens there: the collector keeps its messages, which is all that these tests need.
const NO_REDIS: (&str, &str) = ("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1");

async fn start(vars: &[(&str, &str)]) -> (Collector, SocketAddr) {
    let defaults = [NO_REDIS, ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0")];
    let mut collector = Collector::start(&[&defaults, vars].concat()).await;
    let http = collector.http_address().await;
    (collector, http)
}

/// How many calls of `method` ended with `code`.
async fn calls(http: SocketAddr, method: &str, code: &str) -> u32 {
    let series = format!(
        "rpc_server_call_duration_seconds_count{{rpc_system_name=\"grpc\",rpc_method=\"{method}\",rpc_response_status_code=\"{code}\"}} "
    );
    let text = get(http, "/metrics", &[]).await.body;
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn callers_cannot_add_methods() {
    let (collector, http) = start(&[]).await;
    let channel = collector.channel().await;
    for path in ["/x.Y/Z", "/telemetry.v1.ControlService/Nothing", "/", "/telemetry.v1.ControlService/Health/more"] {
        let request = http::Request::post(path).header("content-type", "application/grpc").body(Body::empty()).unwrap();
        let response = channel.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], (Code::Unimplemented as i32).to_string().as_str(), "{path}");
    }
    eventually("every call counts", async || calls(http, "_OTHER", "UNIMPLEMENTED").await == 4).await;
    let text = get(http, "/metrics", &[]).await.body;
    assert!(!text.contains("Nothing") && !text.contains("more"), "{text}");
}

#[tokio::test]
async fn a_call_counts_as_cancelled_when_the_caller_leaves() {
    const WATCH: &str = "telemetry.v1.ControlService/WatchSnapshots";
    let (collector, http) = start(&[]).await;
    let watch = collector.control().await.watch_snapshots(WatchSnapshotsRequest::default()).await.unwrap();
    assert_eq!(calls(http, WATCH, "CANCELLED").await, 0, "it goes on");
    drop(watch);
    eventually("its end counts", async || calls(http, WATCH, "CANCELLED").await == 1).await;
}

#[tokio::test]
async fn refused_calls_count() {
    let tokens = TokenFile::new(&[("reader", "read", "token-of-a-reader")]);
    let (collector, http) = start(&[tokens.var()]).await;
    let refused = collector.control().await.health(HealthRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let counted = async || calls(http, "telemetry.v1.ControlService/Health", "UNAUTHENTICATED").await == 1;
    eventually("the refusal counts", counted).await;
}
