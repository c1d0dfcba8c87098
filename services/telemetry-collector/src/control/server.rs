//! The gRPC server: the control API, `grpc.health.v1` and reflection on one listener.

use std::io;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use telemetry_proto::v1::control_service_server::ControlServiceServer;
use telemetry_proto::v1::{FILE_DESCRIPTOR_SET, HealthStatus};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::Control;
use super::calls::Calls;
use super::grpc_health::mirror_health;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::HealthReporter;

/// Highest number of concurrent calls on one connection.
const MAX_CALLS_PER_CONNECTION: u32 = 64;
/// Wait after a connection could not be accepted.
const ACCEPT_RETRY_PERIOD: Duration = Duration::from_millis(100);
/// Timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an idle connection is pinged.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(60);

/// Serves `control`, `grpc.health.v1` and reflection on `listener` until `shutdown`, then finishes the calls in progress.
///
/// # Errors
/// [`System`](TelemetryError::System) when the server fails.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    reporter: HealthReporter,
    shutdown: CancellationToken,
) -> TelemetryResult<()> {
    if let Ok(address) = listener.local_addr() {
        events::control_listening(address);
    }
    reporter.serving();
    let (grpc_health, health_service) = tonic_health::server::health_reporter();
    let mirror = mirror_health(control.health.clone(), grpc_health, shutdown.clone());
    let server = Server::builder()
        .timeout(CALL_TIMEOUT)
        .http2_keepalive_interval(Some(KEEPALIVE_PERIOD))
        .max_concurrent_streams(Some(MAX_CALLS_PER_CONNECTION))
        .layer(Calls)
        .add_service(ControlServiceServer::new(control))
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(unusable_descriptors)?)
        .add_service(reflection().build_v1alpha().map_err(unusable_descriptors)?)
        .serve_with_incoming_shutdown(accepted(listener, reporter), shutdown.cancelled());
    let (served, ()) = tokio::join!(async { server.await.inspect_err(|_| shutdown.cancel()) }, mirror);
    served.map_err(|error| TelemetryError::system("serve the control API", io::Error::other(error)))
}

/// The connections of `listener`. When accepting fails, usually because no file descriptors are left, it is logged once and
/// retried slowly.
fn accepted(listener: TcpListener, reporter: HealthReporter) -> impl Stream<Item = io::Result<TcpStream>> {
    stream::unfold((listener, reporter), async |(listener, reporter)| {
        let mut failing = false;
        loop {
            match listener.accept().await.and_then(|(stream, _)| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => {
                    if failing {
                        reporter.serving();
                    }
                    return Some((Ok(stream), (listener, reporter)));
                }
                Err(error) => {
                    let error = TelemetryError::system("take a connection to the control API", error);
                    if !std::mem::replace(&mut failing, true) {
                        events::accept_failed(&error);
                    }
                    reporter.failing(HealthStatus::Degraded, &error);
                    sleep(ACCEPT_RETRY_PERIOD).await;
                }
            }
        }
    })
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}

fn unusable_descriptors(error: tonic_reflection::server::Error) -> TelemetryError {
    TelemetryError::system("describe the control API", io::Error::other(error))
}
