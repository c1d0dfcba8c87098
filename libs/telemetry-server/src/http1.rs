//! HTTP/1.1 on the connections of a listener.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming as RequestBody;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use crate::accept::Incoming;
use crate::peer::Peer;

/// Bytes of the request line with the headers, which a connection may hold until they are complete.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Serves HTTP/1.1 on `connections` until `shutdown`, then finishes the requests in progress. A connection that has not sent
/// the headers of a request within `header_timeout` of its start, or or of the request before, is closed.
pub async fn serve_http<S, B>(
    mut connections: Incoming,
    service: S,
    header_timeout: Duration,
    shutdown: CancellationToken,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(MAX_HEAD_BYTES);
    let graceful = GracefulShutdown::new();
    loop {
        let connection = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            connection = connections.next() => connection,
        };
        let Some(Ok(connection)) = connection else { break };
        let peer = Arc::clone(connection.peer());
        let service = service.clone().map_request(move |mut request: Request<RequestBody>| {
            request.extensions_mut().insert::<Arc<Peer>>(Arc::clone(&peer));
            request
        });
        let served = http.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
        let served = graceful.watch(served);
        tokio::spawn(async move {
            // A client that breaks off harms nobody else.
            let _ = served.await;
        });
    }
    drop(connections);
    graceful.shutdown().await;
}
