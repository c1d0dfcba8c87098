//! `grpc.health.v1`: the status of each component for standard health checks.

use std::collections::BTreeMap;

use telemetry_proto::v1::HealthStatus;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::health::{ComponentState, HealthReader};

/// Name of the whole process in `grpc.health.v1`.
const WHOLE: &str = "";

/// Copies every status that changes to `grpc.health.v1` until `shutdown`, then ends the streams of its watchers.
pub(super) async fn mirror_health(
    mut health: HealthReader,
    mut grpc_health: tonic_health::server::HealthReporter,
    shutdown: CancellationToken,
) {
    let mut told = BTreeMap::new();
    loop {
        for (service, status) in statuses(&health) {
            // Each status that is set is sent to all watchers, whether it is another one or not.
            if told.insert(service, status) != Some(status) {
                grpc_health.set_service_status(service, status).await;
            }
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            true = health.changed() => {}
        }
    }
    for service in told.into_keys() {
        grpc_health.clear_service_status(service).await;
    }
}

fn statuses(health: &HealthReader) -> Vec<(&'static str, ServingStatus)> {
    let whole = if health.is_live() { ServingStatus::Serving } else { ServingStatus::NotServing };
    let components = health.states().into_iter().map(|state| (state.component.name(), serving_status(&state)));
    std::iter::once((WHOLE, whole)).chain(components).collect()
}

fn serving_status(state: &ComponentState) -> ServingStatus {
    match state.status {
        HealthStatus::Serving => ServingStatus::Serving,
        HealthStatus::Starting | HealthStatus::Degraded | HealthStatus::NotServing | HealthStatus::Unspecified => {
            ServingStatus::NotServing
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::FutureExt;
    use telemetry_testing::eventually;
    use tokio_stream::StreamExt;
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_server::Health;
    use tonic_health::server::{HealthReporter, HealthService};

    use super::*;
    use crate::clock::WallClock;
    use crate::health::{Component, HealthBoard};

    fn request(component: Component) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: component.name().to_owned() })
    }

    #[tokio::test]
    async fn tells_watchers_a_status_only_when_it_changes() {
        let board = HealthBoard::new(WallClock::system());
        let grpc_health = HealthReporter::new();
        let service = HealthService::from_health_reporter(grpc_health.clone());
        let shutdown = CancellationToken::new();
        let mirror = tokio::spawn(mirror_health(board.reader(), grpc_health, shutdown.clone()));
        let is_serving = async |component| {
            let response = service.check(request(component)).await;
            response.is_ok_and(|response| response.get_ref().status == ServingStatus::Serving as i32)
        };
        let is_known = async |component| service.check(request(component)).await.is_ok();
        eventually("the mirror has begun", async || is_known(Component::Control).await).await;
        let mut watch = service.watch(request(Component::Sink)).await.unwrap().into_inner();
        assert!(watch.next().await.is_some(), "the status at the beginning");

        // Statuses are set in the order in which components are listed, so that of the sink has been set before.
        board.reporter(Component::Control).serving();
        eventually("the change is told", async || is_serving(Component::Control).await).await;
        assert!(watch.next().now_or_never().is_none(), "the sink has not changed");
        board.reporter(Component::Sink).serving();
        let changed = watch.next().await.unwrap().unwrap();
        assert_eq!(changed.status, ServingStatus::Serving as i32);

        shutdown.cancel();
        mirror.await.unwrap();
        assert!(watch.next().await.is_none(), "the watch ends with the mirror");
    }
}
