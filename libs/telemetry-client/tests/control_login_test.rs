//! How the control client reaches a collector and says who it is: Unix socket, TLS, certificates and tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use support::collector::{Collector, client, message, plain};
use telemetry_client::control::WatchOptions;
use telemetry_client::proto::HealthStatus;
use telemetry_client::{ControlError, ControlSettings};
use telemetry_testing::Authority;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// A collector that wants `token`, and the handle to change it.
fn wants(token: &str) -> (Collector, Arc<Mutex<String>>) {
    let login = Arc::new(Mutex::new(format!("Bearer {token}")));
    (Collector { login: Some(Arc::clone(&login)), ..Collector::with(message()) }, login)
}

fn pem((cert, key): &(PathBuf, PathBuf)) -> (String, String) {
    (fs::read_to_string(cert).unwrap(), fs::read_to_string(key).unwrap())
}

/// TLS of a server with a certificate for `localhost`.
fn tls(authority: &Authority) -> ServerTlsConfig {
    let (cert, key) = pem(&authority.certificate("server", &["localhost"]));
    ServerTlsConfig::new().identity(Identity::from_pem(cert, key))
}

fn ca(authority: &Authority) -> String {
    fs::read_to_string(authority.ca()).unwrap()
}

fn https(port: u16) -> ControlSettings {
    ControlSettings::new(format!("https://localhost:{port}"))
}

async fn refusal(settings: ControlSettings) -> ControlError {
    client(settings).health().await.unwrap_err()
}

#[tokio::test]
async fn shows_its_token_by_tls() {
    let authority = Authority::new();
    let port = wants("s3cret").0.serve_tls(tls(&authority)).await;
    let settings = https(port).ca_certificate(ca(&authority));

    let welcome = client(settings.clone().bearer_token("s3cret"));
    assert_eq!(welcome.health().await.unwrap().status, HealthStatus::Degraded);
    drop(welcome.watch(WatchOptions::default()).await.unwrap());
    for unknown in [settings.clone(), settings.clone().bearer_token("guess")] {
        let error = refusal(unknown).await;
        assert!(matches!(error, ControlError::Unauthenticated { .. }) && !error.is_retryable(), "{error:?}");
    }
}

#[tokio::test]
async fn refuses_a_certificate_of_another_ca() {
    let authority = Authority::new();
    let port = Collector::with(message()).serve_tls(tls(&authority)).await;
    // Without a CA certificate, those of the system count.
    for settings in [https(port).ca_certificate(ca(&Authority::new())), https(port)] {
        let error = refusal(settings).await;
        assert!(matches!(error, ControlError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    }
    let address = ControlSettings::new(format!("https://127.0.0.1:{port}")).ca_certificate(ca(&authority));
    let error = refusal(address.clone()).await;
    assert!(error.to_string().contains("certificate is only valid for DnsName(\"localhost\")"), "{error}");
    client(address.server_name("localhost")).health().await.unwrap();
}

#[tokio::test]
async fn shows_its_certificate_to_a_collector_that_asks_for_one() {
    let authority = Authority::new();
    let mutual = tls(&authority).client_ca_root(Certificate::from_pem(ca(&authority)));
    let port = Collector::with(message()).serve_tls(mutual).await;
    let settings = https(port).ca_certificate(ca(&authority));

    let (cert, key) = pem(&authority.certificate("client", &[]));
    let welcome = client(settings.clone().client_certificate(cert, key));
    assert_eq!(welcome.health().await.unwrap().status, HealthStatus::Degraded);

    let (cert, key) = pem(&Authority::new().certificate("stranger", &[]));
    for stranger in [settings.clone(), settings.client_certificate(cert, key)] {
        let error = refusal(stranger).await;
        assert!(matches!(error, ControlError::Unauthenticated { .. }) && !error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("received fatal alert: "), "{error}");
    }
}

#[tokio::test]
async fn reads_its_token_file_at_each_call() {
    let (collector, wanted) = wants("first");
    let port = collector.serve().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "first\n").unwrap();
    let collector = client(plain(port).bearer_token_file(file.path()));
    collector.health().await.unwrap();

    *wanted.lock().unwrap() = "Bearer second".to_owned();
    let error = collector.health().await.unwrap_err();
    assert!(matches!(error, ControlError::Unauthenticated { .. }), "{error:?}");
    fs::write(file.path(), "second\n").unwrap();
    collector.health().await.unwrap();

    fs::write(file.path(), "\n").unwrap();
    let error = collector.health().await.unwrap_err();
    assert!(matches!(error, ControlError::Settings { setting: "the token", .. }), "{error:?}");
}

#[tokio::test]
async fn reaches_a_unix_socket_that_is_made_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let settings = ControlSettings::new(format!("unix://{}", path.display())).bearer_token("s3cret");
    let collector = client(settings);
    let error = collector.health().await.unwrap_err();
    let expected = "cannot get the health: not available: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), expected);
    wants("s3cret").0.serve_unix(&path);
    assert_eq!(collector.health().await.unwrap().status, HealthStatus::Degraded);
}
