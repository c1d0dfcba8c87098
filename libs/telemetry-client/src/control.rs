//! Client of a collector's control API.
//!
//! Every call has a typed result. A collector of schema 1.0.0 answers [`snapshot`](ControlClient::snapshot),
//! [`set_interval`](ControlClient::set_interval) without a ttl, and [`health`](ControlClient::health); the other calls return
//! [`ControlError::Older`].
//!
//! A collector that other hosts can reach asks for a login:
//!
//! ```no_run
//! use telemetry_client::{ControlClient, ControlSettings};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = ControlSettings::new("https://web-7:50051")
//!     .ca_certificate(std::fs::read("/etc/telemetry/ca.pem")?)
//!     .client_certificate(std::fs::read("/etc/telemetry/ops.pem")?, std::fs::read("/etc/telemetry/ops.key")?)
//!     .bearer_token_file("/etc/telemetry/token");
//! let collector = ControlClient::connect_lazily(settings)?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod capabilities;
mod config;
mod error;
mod health;
mod interval;
mod settings;
mod snapshot;
mod token;
mod watch;

use std::time::Duration;

use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_proto::v1::{
    GetCapabilitiesRequest, GetConfigRequest, GetSnapshotRequest, HealthRequest, ResetIntervalRequest,
    SetIntervalRequest, WatchSnapshotsRequest,
};
use tonic::transport::Channel;
use tonic::{Request, Status};

use self::answer::answered;
pub use self::capabilities::{Capabilities, GroupCapabilities, Unavailable};
pub use self::config::{Config, ConfigSetting};
pub use self::error::ControlError;
pub use self::health::{ComponentHealth, Health};
pub use self::interval::{IntervalChange, IntervalRequest};
pub use self::settings::ControlSettings;
pub use self::snapshot::{GroupSnapshot, Snapshot};
use self::token::Token;
pub use self::watch::{Watch, WatchEvent, WatchOptions};

/// Calls the control API of one running collector. Clones share the connection, which is opened at the first call and
/// reopened when it breaks.
#[derive(Debug, Clone)]
pub struct ControlClient {
    stub: ControlServiceClient<Channel>,
    token: Token,
    call_timeout: Duration,
}

impl ControlClient {
    /// Creates a client that connects at the first call. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ControlError::Settings`] if the address, the certificates or the token are not valid.
    pub fn connect_lazily(settings: ControlSettings) -> Result<Self, ControlError> {
        let channel = settings.endpoint()?.connect_lazy();
        let stub = ControlServiceClient::new(channel);
        Ok(Self { stub, token: settings.token()?, call_timeout: settings.call_timeout })
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
        let request = self.request(GetSnapshotRequest::default())?;
        Snapshot::from_answer(CALL, answered(CALL, self.stub.clone().get_snapshot(request).await)?)
    }

    /// Returns a message of each metrics group that is no older than `max_age`. The collector samples a group once more whose
    /// latest message is older. A value below 100 ms counts as 100 ms.
    ///
    /// # Errors
    /// [`ControlError`]; [`Older`](ControlError::Older) if the collector does not know `max_age`.
    pub async fn snapshot_within(&self, max_age: Duration) -> Result<Snapshot, ControlError> {
        const CALL: &str = "get a fresh snapshot";
        let request = self.request(GetSnapshotRequest { max_age: Some(max_age.into()) })?;
        let answer = answered(CALL, self.stub.clone().get_snapshot(request).await)?;
        if answer.snapshots.is_empty() {
            return Err(ControlError::Older { call: CALL });
        }
        Snapshot::from_answer(CALL, answer)
    }

    /// Returns every message from now on, as soon as the collector has made it. The stream has no time limit; a connection
    /// that breaks without a word is noticed by the [keep-alive](ControlSettings::keep_alive).
    ///
    /// ```no_run
    /// # async fn example(collector: telemetry_client::ControlClient) -> Result<(), telemetry_client::ControlError> {
    /// use telemetry_client::control::{WatchEvent, WatchOptions};
    ///
    /// let mut watch = collector.watch(WatchOptions::default().delivery(true)).await?;
    /// while let Some(event) = watch.next().await {
    ///     match event? {
    ///         WatchEvent::Message(message) => println!("message {}", message.sequence),
    ///         WatchEvent::Missed(count) => println!("{count} events were missed"),
    ///         WatchEvent::Delivery { numbers, state, .. } => println!("{numbers:?}: {state:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError`] if the watch cannot begin. An error of the [`Watch`] ends it.
    pub async fn watch(&self, options: WatchOptions) -> Result<Watch, ControlError> {
        // A deadline of the call would end the stream.
        let request = self.login(Request::new(WatchSnapshotsRequest::from(options)))?;
        let mut stub = self.stub.clone();
        let begun = tokio::time::timeout(self.call_timeout, stub.watch_snapshots(request)).await;
        let begun = begun.unwrap_or_else(|_| Err(Status::deadline_exceeded("the watch did not begin in time")));
        answered(watch::CALL, begun).map(Watch::new)
    }

    /// Changes the sampling interval immediately: to a [`Duration`] until the next change, or as an [`IntervalRequest`] says,
    /// which can have a ttl and a reason.
    ///
    /// ```no_run
    /// # async fn example(collector: telemetry_client::ControlClient) -> Result<(), telemetry_client::ControlError> {
    /// use std::time::Duration;
    /// use telemetry_client::control::IntervalRequest;
    ///
    /// let request = IntervalRequest::new(Duration::from_millis(200)).ttl(Duration::from_secs(600)).reason("INC-42");
    /// let change = collector.set_interval(request).await?;
    /// println!("{:?} until {:?}", change.current, change.reverts_at);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError`]; [`Refused`](ControlError::Refused) names the allowed range, and
    /// [`TtlIgnored`](ControlError::TtlIgnored) says that the collector does not know the ttl.
    pub async fn set_interval(&self, request: impl Into<IntervalRequest>) -> Result<IntervalChange, ControlError> {
        const CALL: &str = "set the interval";
        let request: IntervalRequest = request.into();
        let has_ttl = request.has_ttl();
        let request = self.request(SetIntervalRequest::from(request))?;
        let answer = answered(CALL, self.stub.clone().set_interval(request).await)?;
        let change = IntervalChange::of_set(CALL, answer)?;
        if has_ttl && change.reverts_at.is_none() {
            return Err(ControlError::TtlIgnored { previous: change.previous, current: change.current });
        }
        Ok(change)
    }

    /// Returns to the sampling interval of the collector's settings. `reason` is for the audit and may be empty.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn reset_interval(&self, reason: impl Into<String>) -> Result<IntervalChange, ControlError> {
        const CALL: &str = "reset the interval";
        let request = self.request(ResetIntervalRequest { reason: reason.into() })?;
        IntervalChange::of_reset(CALL, answered(CALL, self.stub.clone().reset_interval(request).await)?)
    }

    /// Returns the metrics that the collector's host provides, and why it does not provide the others.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn capabilities(&self) -> Result<Capabilities, ControlError> {
        let request = self.request(GetCapabilitiesRequest {})?;
        answered("get the capabilities", self.stub.clone().get_capabilities(request).await).map(Into::into)
    }

    /// Returns every setting of the collector and where its value comes from. The collector masks secrets.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn config(&self) -> Result<Config, ControlError> {
        const CALL: &str = "get the settings";
        let request = self.request(GetConfigRequest {})?;
        Config::from_answer(CALL, answered(CALL, self.stub.clone().get_config(request).await)?)
    }

    /// Returns the health of the collector and its components.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn health(&self) -> Result<Health, ControlError> {
        const CALL: &str = "get the health";
        let request = self.request(HealthRequest {})?;
        Health::from_answer(CALL, answered(CALL, self.stub.clone().health(request).await)?)
    }

    /// Sends the timeout along, so that the server can stop working for a client that has given up.
    fn request<T>(&self, message: T) -> Result<Request<T>, ControlError> {
        let mut request = Request::new(message);
        request.set_timeout(self.call_timeout);
        self.login(request)
    }

    fn login<T>(&self, mut request: Request<T>) -> Result<Request<T>, ControlError> {
        if let Some(token) = self.token.authorization()? {
            request.metadata_mut().insert("authorization", token);
        }
        Ok(request)
    }
}
