//! telemetryctl with TLS, tokens, certificates and Unix sockets, against a collector that wants them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;

use support::{Collector, ctl, ctl_with};
use telemetry_testing::{Authority, RedisServer};

/// The tokens `reader-token` and `control-token`, with their roles.
const TOKENS: &str = "\
reader read sha256:ba5005a40cf5212e4ac0190104cc127edab013294bb71279a975b27a80982d45
steerer control sha256:ee8f18484bb6c30e1038ddc8a8ffabf05717700d9beeb4dd3bc4f613ba2acd94
";

/// A file of this name and content; the path.
fn file(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn shows_its_token_and_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start().await;
    let tokens = file(directory.path(), "tokens", TOKENS);
    let collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url()), ("TELEMETRY_CONTROL__TOKENS_FILE", &tokens)]).await;
    let target = collector.target();
    let (reader, steerer, guess) = (
        file(directory.path(), "reader", "reader-token\n"),
        file(directory.path(), "steerer", "control-token"),
        file(directory.path(), "guess", "guess"),
    );
    let config = async |token: &str| ctl(&["config", "--target", &target, "--token-file", token]).await;
    let interval = async |token: &str| {
        let vars = [("TELEMETRYCTL_TOKEN_FILE", token), ("TELEMETRYCTL_TARGET", target.as_str())];
        ctl_with(&["interval", "2s"], &vars).await
    };

    assert_eq!(config(&reader).await.code, Some(0));
    assert_eq!(interval(&steerer).await.code, Some(0));
    let refused = interval(&reader).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("permission denied") && refused.stderr.contains("\"control\""), "{refused:?}");
    for refused in [config(&guess).await, ctl(&["config", "--target", &target]).await] {
        assert_eq!(refused.code, Some(4), "{refused:?}");
        assert!(refused.stderr.contains("--token-file"), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    }
}

#[tokio::test]
async fn connects_by_tls_with_a_certificate_and_checks_that_of_the_collector() {
    let authority = Authority::new();
    let (cert, key) = authority.certificate("server", &["localhost"]);
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[
        ("TELEMETRY_REDIS__URL", &redis.url()),
        ("TELEMETRY_CONTROL__TLS_CERT", cert.to_str().unwrap()),
        ("TELEMETRY_CONTROL__TLS_KEY", key.to_str().unwrap()),
        ("TELEMETRY_CONTROL__TLS_CLIENT_CA", authority.ca().to_str().unwrap()),
    ])
    .await;
    let port = collector.target().rsplit_once(':').unwrap().1.to_owned();
    let files = authority.client("ops");
    let path = |path: Option<std::path::PathBuf>| path.unwrap().display().to_string();
    let (ca, cert, key) = (path(files.ca), path(files.cert), path(files.key));
    let config = async |target: &str, ca: &str| {
        ctl(&["config", "--target", target, "--tls-ca", ca, "--tls-cert", &cert, "--tls-key", &key]).await
    };

    let by_name = config(&format!("localhost:{port}"), &ca).await;
    assert_eq!(by_name.code, Some(0), "{by_name:?}");
    // The certificate is for the name, not for its addresses.
    let by_address = config(&format!("127.0.0.1:{port}"), &ca).await;
    assert_eq!(by_address.code, Some(4), "{by_address:?}");
    let by_every_address = config(&format!("dns:///localhost:{port}"), &ca).await;
    assert!(by_every_address.stdout.contains("TELEMETRY_CONTROL__TLS_CERT"), "{by_every_address:?}");
    let other = Authority::new();
    let stranger = config(&format!("localhost:{port}"), other.ca().to_str().unwrap()).await;
    assert_eq!(stranger.code, Some(4), "{stranger:?}");
    assert!(stranger.stderr.contains("give its CA with --tls-ca"), "{stranger:?}");
    assert!(by_address.stderr.contains("use one of these names as the target"), "{by_address:?}");
    let plain = ctl(&["config", "--target", &format!("localhost:{port}")]).await;
    assert!(plain.stderr.contains("if the collector uses TLS, give --tls-ca or https://"), "{plain:?}");
    // A client certificate means TLS: the CA of this test is not one of the system's.
    let system =
        ctl(&["config", "--target", &format!("localhost:{port}"), "--tls-cert", &cert, "--tls-key", &key]).await;
    assert!(
        system.stderr.contains("give its CA with --tls-ca") || system.stderr.contains("no native certs"),
        "{system:?}"
    );
    let nobody = ctl(&["config", "--target", &format!("localhost:{port}"), "--tls-ca", &ca]).await;
    assert_eq!(nobody.code, Some(4), "{nobody:?}");
}

#[tokio::test]
async fn says_that_the_collector_does_not_serve_tls() {
    let redis = RedisServer::start().await;
    let collector = Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url())]).await;
    let authority = Authority::new();
    let ca = authority.ca();
    let health = ctl(&["health", "--target", &collector.target(), "--tls-ca", ca.to_str().unwrap()]).await;
    assert_eq!(health.code, Some(4), "{health:?}");
    assert!(health.stderr.contains("the port does not speak TLS; use http:// or omit --tls-ca"), "{health:?}");
}

#[tokio::test]
async fn connects_to_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", directory.path().join("control.sock").display());
    let redis = RedisServer::start().await;
    let _collector =
        Collector::start(&[("TELEMETRY_REDIS__URL", &redis.url()), ("TELEMETRY_CONTROL__LISTEN", &socket)]).await;
    let config = ctl(&["config", "--target", &socket]).await;
    assert_eq!(config.code, Some(0), "{config:?}");
    let doctor = ctl(&["doctor", "--target", &socket]).await;
    assert!(doctor.stdout.contains("answers"), "{doctor:?}");
}

#[tokio::test]
async fn names_the_option_and_the_file_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.ca().display().to_string();
    let path = |path: Option<std::path::PathBuf>| path.unwrap().display().to_string();
    let (one, two) = (authority.client("one"), authority.client("two"));
    let (cert, key, other) = (path(one.cert), path(one.key), path(two.key));
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken_cert = file(directory.path(), "broken.pem", bad);
    let broken_key = file(directory.path(), "broken.key", &bad.replace("CERTIFICATE", "PRIVATE KEY"));
    let tokens = file(directory.path(), "tokens", TOKENS);
    let empty = file(directory.path(), "empty", "\n");
    for (args, line) in [
        (&["--tls-cert", &cert, "--tls-key", &other][..], format!("--tls-key: {other} is not the key of {cert}")),
        (&["--tls-cert", &broken_cert, "--tls-key", &key], format!("--tls-cert: {broken_cert}: ")),
        (&["--tls-cert", &cert, "--tls-key", &broken_key], format!("--tls-key: {broken_key}: ")),
        (
            &["--token-file", &tokens],
            format!("--token-file: {tokens} has more than one word; give the file with the token"),
        ),
        (&["--token-file", &empty], format!("--token-file: {empty} is empty")),
        (&["--token-file", "/nowhere/token"], "--token-file: cannot read /nowhere/token: No such file".to_owned()),
    ] {
        let finished = ctl(&[&["health", "--target", "https://localhost:1", "--tls-ca", &ca][..], args].concat()).await;
        assert_eq!(finished.code, Some(78), "{args:?}: {finished:?}");
        assert!(finished.stderr.contains(&line), "{args:?}: {finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{args:?}: {finished:?}");
    }
}
