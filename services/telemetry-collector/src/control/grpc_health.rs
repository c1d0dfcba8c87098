//! `grpc.health.v1`: the status of each component for standard health checks.

use telemetry_proto::v1::HealthStatus;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::health::{ComponentState, HealthReader};

/// Name of the whole process in `grpc.health.v1`.
const WHOLE: &str = "";

/// Copies every status to `grpc.health.v1` until `shutdown`, then ends the streams of its watchers.
pub(super) async fn mirror_health(
    mut health: HealthReader,
    grpc_health: tonic_health::server::HealthReporter,
    shutdown: CancellationToken,
) {
    loop {
        let whole = if health.is_live() { ServingStatus::Serving } else { ServingStatus::NotServing };
        grpc_health.set_service_status(WHOLE, whole).await;
        for state in health.states() {
            grpc_health.set_service_status(state.component.name(), serving_status(&state)).await;
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            true = health.changed() => {}
        }
    }
    let mut grpc_health = grpc_health;
    for service in health.states().iter().map(|state| state.component.name()).chain([WHOLE]) {
        grpc_health.clear_service_status(service).await;
    }
}

fn serving_status(state: &ComponentState) -> ServingStatus {
    match state.status {
        HealthStatus::Serving => ServingStatus::Serving,
        HealthStatus::Starting | HealthStatus::Degraded | HealthStatus::NotServing | HealthStatus::Unspecified => {
            ServingStatus::NotServing
        }
    }
}
