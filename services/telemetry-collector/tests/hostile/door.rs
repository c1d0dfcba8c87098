//! The way into a collector: where it listens, and what a client needs to get through TLS.

use std::net::SocketAddr;

use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_proto::v1::{
    GetSnapshotRequest, HealthRequest, HealthResponse, SetIntervalRequest, WatchSnapshotsRequest,
    WatchSnapshotsResponse,
};
use telemetry_testing::ClientFiles;
use tonic::transport::{Channel, Error};
use tonic::{Status, Streaming};

use super::target::INTERVAL;
use crate::support::login::{Login, tls};

/// Where a collector listens, and the files of a client if it speaks TLS.
#[derive(Debug, Clone)]
pub struct Door {
    pub address: SocketAddr,
    /// Where HTTP listens, in cases that are about it.
    pub http: Option<SocketAddr>,
    pub files: Option<ClientFiles>,
}

/// A client of the control API with its login.
#[derive(Debug, Clone)]
pub struct Client {
    pub control: ControlServiceClient<Channel>,
    pub login: Login,
}

impl Door {
    /// The same door for a client with other files.
    pub fn with(&self, files: ClientFiles) -> Self {
        Self { files: Some(files), ..self.clone() }
    }

    /// A connection of its own.
    pub async fn channel(&self) -> Result<Channel, Error> {
        match &self.files {
            None => Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await,
            Some(files) => tls(self.address, files).connect().await,
        }
    }

    pub async fn client(&self, login: Login) -> Result<Client, Error> {
        Ok(Client { control: ControlServiceClient::new(self.channel().await?), login })
    }
}

impl Client {
    pub async fn snapshot(&mut self) -> Result<(), Status> {
        self.control.get_snapshot(self.login.on(GetSnapshotRequest::default())).await.map(drop)
    }

    pub async fn health(&mut self) -> Result<HealthResponse, Status> {
        self.control.health(self.login.on(HealthRequest {})).await.map(tonic::Response::into_inner)
    }

    /// Sets the interval that is in force anyway.
    pub async fn change(&mut self) -> Result<(), Status> {
        let change = SetIntervalRequest { interval: Some(INTERVAL.into()), ..SetIntervalRequest::default() };
        self.control.set_interval(self.login.on(change)).await.map(drop)
    }

    pub async fn watch(&mut self) -> Result<Streaming<WatchSnapshotsResponse>, Status> {
        let watch = self.control.watch_snapshots(self.login.on(WatchSnapshotsRequest { delivery: true })).await;
        watch.map(tonic::Response::into_inner)
    }
}
