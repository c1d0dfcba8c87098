//! A layer around every call: its duration and status as a metric, and a span that continues the trace of the caller.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::Code;
use tower::{Layer, Service};
use tracing::{Instrument, Span, debug_span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::events;

/// Measures and traces the calls of a gRPC server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls;

/// A service whose calls are measured and traced.
#[derive(Debug, Clone)]
pub(super) struct Observed<S>(S);

/// The messages of an answer. The call ends with them.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    call: Call,
}

/// A call that is under way. It ends when it is dropped.
#[derive(Debug)]
struct Call {
    method: &'static str,
    began: Instant,
    span: Span,
    /// The status that was sent. Until then the call counts as cancelled: the caller has gone, or the time for it is over.
    code: Code,
}

impl<S> Layer<S> for Calls {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed(inner)
    }
}

impl<S, B, A> Service<Request<B>> for Observed<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = Response<Answer<A>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut call = Call::begin(request.uri().path(), request.headers());
        let answering = self.0.call(request).instrument(call.span.clone());
        Box::pin(async move {
            let response = answering.await?;
            call.note_status(response.headers());
            Ok(response.map(|body| Answer { body, call }))
        })
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.note_status(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Call {
    fn begin(path: &str, headers: &HeaderMap) -> Self {
        let method = events::method_of(path);
        // Below the level of the log: without an exporter of spans it is not made at all.
        let span = debug_span!(
            "rpc",
            otel.name = method,
            otel.kind = "server",
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = field::Empty,
            otel.status_code = field::Empty,
        );
        if !span.is_disabled() {
            // Without a valid traceparent the span begins a trace. A span that only the log has, has no parent.
            let _ = span.set_parent(TraceContextPropagator::new().extract(&HeaderExtractor(headers)));
        }
        Self { method, began: Instant::now(), span, code: Code::Cancelled }
    }

    fn note_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = Code::from_bytes(status.as_bytes());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        events::called(self.method, self.code, self.began.elapsed());
        if !self.span.is_disabled() {
            self.span.record("rpc.response.status_code", events::code_name(self.code));
            if is_error_of_the_server(self.code) {
                self.span.record("otel.status_code", "ERROR");
            }
        }
    }
}

/// Whether the span of a server counts as failed, by OpenTelemetry's conventions for gRPC.
fn is_error_of_the_server(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
