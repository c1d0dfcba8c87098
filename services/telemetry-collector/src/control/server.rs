//! The gRPC server: the control API, `grpc.health.v1` and reflection on one listener.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use telemetry_proto::v1::FILE_DESCRIPTOR_SET;
use telemetry_proto::v1::control_service_server::ControlServiceServer;
use telemetry_server::{AccessLayer, Listener, grpc};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::Control;
use super::access::{WithoutLogin, needed};
use super::calls::Calls;
use super::grpc_health::mirror_health;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::events;
use crate::health::HealthReporter;

/// How often a connection is pinged, so that one whose client is gone ends.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(60);

/// Bytes that a client may send ahead, on a stream and on a connection. Requests are small.
const WINDOW_BYTES: u32 = 64 << 10;

/// What callers may take, and do without a login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Serving {
    /// Calls that need no login, where there is one.
    pub without_login: WithoutLogin,
    /// What calls may take.
    pub limits: CallLimits,
}

/// What calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls at a time on one connection.
    pub calls_per_connection: u32,
    /// Bytes of a request.
    pub message_bytes: u32,
    /// Bytes of the headers of a call.
    pub header_bytes: u32,
    /// Time until a call is answered.
    pub timeout: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            calls_per_connection: 64,
            message_bytes: 4 << 10,
            header_bytes: 8 << 10,
            timeout: Duration::from_secs(5),
        }
    }
}

/// Serves `control`, `grpc.health.v1` and reflection on `listener` until `shutdown`, then finishes the calls in progress.
///
/// # Errors
/// [`System`](TelemetryError::System) when the server fails.
pub async fn serve(
    listener: Listener,
    control: Control,
    serving: Serving,
    reporter: HealthReporter,
    shutdown: CancellationToken,
) -> TelemetryResult<()> {
    let Serving { without_login, limits } = serving;
    events::control_listening(listener.address());
    reporter.serving();
    let (grpc_health, health_service) = tonic_health::server::health_reporter();
    let mirror = mirror_health(control.health.clone(), grpc_health, shutdown.clone());
    let message_bytes = limits.message_bytes as usize;
    let reflection_v1 = reflection().build_v1().map_err(unusable_descriptors)?;
    let reflection_v1alpha = reflection().build_v1alpha().map_err(unusable_descriptors)?;
    let access = listener.access();
    let server = Server::builder()
        .timeout(limits.timeout)
        .http2_keepalive_interval(Some(KEEPALIVE_PERIOD))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(Some(limits.calls_per_connection))
        .http2_max_header_list_size(Some(limits.header_bytes))
        .layer(Calls)
        .layer(AccessLayer::new(access, move |path| needed(path, without_login), grpc(events::call_refused)))
        .add_service(ControlServiceServer::new(control).max_decoding_message_size(message_bytes))
        .add_service(health_service.max_decoding_message_size(message_bytes))
        .add_service(reflection_v1.max_decoding_message_size(message_bytes))
        .add_service(reflection_v1alpha.max_decoding_message_size(message_bytes))
        .serve_with_incoming_shutdown(
            listener.incoming(Arc::new(events::ListenerEvents::of_control(reporter))),
            shutdown.cancelled(),
        );
    let (served, ()) = tokio::join!(async { server.await.inspect_err(|_| shutdown.cancel()) }, mirror);
    served.map_err(|error| TelemetryError::system("serve the control API", io::Error::other(error)))
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
