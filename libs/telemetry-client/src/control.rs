//! Client of a collector's control API.

mod answer;
mod error;
mod settings;
mod snapshot;

use std::time::Duration;

use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_proto::v1::{ComponentHealth, GetSnapshotRequest, HealthRequest, HealthStatus, SetIntervalRequest};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use self::answer::{answered, duration};
pub use self::error::ControlError;
pub use self::settings::ControlSettings;
pub use self::snapshot::{GroupSnapshot, Snapshot};

/// Calls the control API of one running collector. Clones share the connection, which is opened at the first call and
/// reopened when it breaks.
#[derive(Debug, Clone)]
pub struct ControlClient {
    stub: ControlServiceClient<InterceptedService<Channel, BearerToken>>,
    call_timeout: Duration,
}

/// The sampling interval before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntervalChange {
    /// The previous interval.
    pub previous: Duration,
    /// The current interval.
    pub current: Duration,
}

/// Health of a collector.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// Overall status of the collector.
    pub status: HealthStatus,
    /// Its components: sampler, sink, control and, if configured, spool.
    pub components: Vec<ComponentHealth>,
}

impl ControlClient {
    /// Creates a client that connects at the first call. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ControlError::Settings`] if the address, the CA certificates or the token are not valid.
    pub fn connect_lazily(settings: ControlSettings) -> Result<Self, ControlError> {
        let channel = settings.endpoint()?.connect_lazy();
        let token = BearerToken(settings.authorization()?);
        Ok(Self { stub: ControlServiceClient::with_interceptor(channel, token), call_timeout: settings.call_timeout })
    }

    /// Returns the latest message of each metrics group with its age.
    ///
    /// ```no_run
    /// # async fn example(collector: telemetry_client::ControlClient) -> Result<(), telemetry_client::ControlError> {
    /// let snapshot = collector.snapshot().await?;
    /// if let Some(cpu) = snapshot.group("cpu") {
    ///     println!("message {} is {:?} old", cpu.message.sequence, cpu.age);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError`]; retryable before the first sample.
    pub async fn snapshot(&self) -> Result<Snapshot, ControlError> {
        const CALL: &str = "get the snapshot";
        let answer = answered(CALL, self.stub.clone().get_snapshot(self.request(GetSnapshotRequest::default())).await)?;
        Snapshot::from_answer(CALL, answer)
    }

    /// Changes the sampling interval immediately, until the collector's process ends.
    ///
    /// # Errors
    /// [`ControlError`]; [`Refused`](ControlError::Refused) names the allowed range.
    pub async fn set_interval(&self, interval: Duration) -> Result<IntervalChange, ControlError> {
        const CALL: &str = "set the interval";
        let request = SetIntervalRequest { interval: Some(interval.into()), ..SetIntervalRequest::default() };
        let answer = answered(CALL, self.stub.clone().set_interval(self.request(request)).await)?;
        Ok(IntervalChange {
            previous: duration(CALL, answer.previous_interval)?,
            current: duration(CALL, answer.interval)?,
        })
    }

    /// Health of the collector and its components.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn health(&self) -> Result<Health, ControlError> {
        let answer = answered("get the health", self.stub.clone().health(self.request(HealthRequest {})).await)?;
        Ok(Health { status: answer.status(), components: answer.components })
    }

    /// Sends the timeout along, so that the server can stop working for a client that has given up.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.call_timeout);
        request
    }
}

/// Adds the token, if there is one, to each call.
#[derive(Debug, Clone)]
struct BearerToken(Option<MetadataValue<Ascii>>);

impl Interceptor for BearerToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
