//! Calls whose bytes no gRPC library would send, and their status.

use std::future::poll_fn;
use std::pin::Pin;

use http::{HeaderMap, Request};
use http_body::Body as _;
use telemetry_testing::PATIENCE;
use tokio::time::timeout;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

pub const SERVICE: &str = "/telemetry.v1.ControlService";

/// Sends `body` as the whole request, with these headers besides those of every call. `None` = the stream was reset.
pub async fn ask(channel: &Channel, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Code> {
    let mut request = Request::post(format!("http://collector{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(axum::body::Body::from(body))).unwrap();
    let mut channel = channel.clone();
    let answering = async {
        let response = channel.ready().await.ok()?.call(request).await.ok()?;
        if let Some(code) = code_in(response.headers()) {
            return Some(code);
        }
        let mut body = response.into_body();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            if let Some(code) = frame.ok()?.trailers_ref().and_then(code_in) {
                return Some(code);
            }
        }
        None
    };
    timeout(PATIENCE, answering).await.expect("the call ends")
}

/// A message as gRPC frames it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The header of a login.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}
