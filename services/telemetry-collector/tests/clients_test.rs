//! Every call, every role and every refusal, as clients in other languages and ours see them: Python's grpcio and
//! `telemetry-client`, over plain TCP, TLS, mutual TLS and a Unix socket.
//!
//! `TELEMETRY_PYTHON` is the path of a Python with the packages of examples/python/requirements.txt. Bazel provides
//! one; for cargo, `scripts/setup.sh` installs one.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::collector::Collector;
use support::login::TokenFile;
use support::python::PythonTypes;
use telemetry_client::control::WatchOptions;
use telemetry_client::{ControlClient, ControlError, ControlSettings, IntervalRequest};
use telemetry_testing::{Authority, ClientFiles, eventually};

const READER: &str = "token-of-a-reader";
const OPERATOR: &str = "token-of-an-operator";

const READS: [&str; 5] = ["GetSnapshot", "WatchSnapshots", "GetConfig", "GetCapabilities", "Health"];
const CHANGES: [&str; 2] = ["SetInterval", "ResetInterval"];
const HEALTH: &str = "grpc.health.v1";
const REFLECTION: &str = "grpc.reflection.v1";

/// The code of each call, by its name.
type Codes = BTreeMap<String, String>;

/// What a caller may do.
#[derive(Debug, Clone, Copy)]
enum May {
    /// Everything.
    Control,
    Read,
    /// Nothing: the login has no role.
    NoRole,
    /// What is open to everybody.
    Open,
    /// Nothing: the login is wrong.
    Unknown,
    /// Not even connect.
    Nothing,
}

/// A caller, and how it reaches the collector.
#[derive(Debug, Default, Clone)]
struct Caller {
    /// Host and port, or the URL of a Unix socket.
    target: String,
    files: ClientFiles,
    token: Option<&'static str>,
}

impl May {
    fn expected(self) -> Codes {
        let (reads, changes, health, reflection) = match self {
            Self::Control => ("OK", "OK", "OK", "OK"),
            Self::Read => ("OK", "PERMISSION_DENIED", "OK", "OK"),
            Self::NoRole => ("PERMISSION_DENIED", "PERMISSION_DENIED", "OK", "PERMISSION_DENIED"),
            Self::Open => ("UNAUTHENTICATED", "UNAUTHENTICATED", "OK", "UNAUTHENTICATED"),
            Self::Unknown => ("UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED"),
            Self::Nothing => ("UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"),
        };
        let calls = READS.map(|call| (call, reads)).into_iter().chain(CHANGES.map(|call| (call, changes)));
        let calls = calls.chain([(HEALTH, health), (REFLECTION, reflection)]);
        calls.map(|(call, code)| (call.to_owned(), code.to_owned())).collect()
    }
}

impl Caller {
    fn to(target: impl ToString) -> Self {
        Self { target: target.to_string(), ..Self::default() }
    }

    fn token(self, token: &'static str) -> Self {
        Self { token: Some(token), ..self }
    }

    fn files(self, files: ClientFiles) -> Self {
        Self { files, ..self }
    }

    async fn in_python(&self, types: &PythonTypes) -> Codes {
        let mut arguments = vec![self.target.as_str()];
        let path = |path: &Option<PathBuf>| path.as_deref().map(|path| path.to_str().unwrap().to_owned());
        let files =
            [("--ca", path(&self.files.ca)), ("--cert", path(&self.files.cert)), ("--key", path(&self.files.key))];
        for (name, file) in &files {
            arguments.extend(file.iter().flat_map(|file| [*name, file.as_str()]));
        }
        arguments.extend(self.token.iter().flat_map(|token| ["--token", *token]));
        let finished = types.run("tests/python/every_call.py", &arguments).await;
        assert_eq!(finished.code, Some(0), "{self:?}: {}", finished.stderr);
        serde_json::from_str(&finished.stdout).unwrap()
    }

    fn client(&self) -> ControlClient {
        let pem = |path: &Path| fs::read(path).unwrap();
        let scheme = match &self.files.ca {
            _ if self.target.starts_with("unix:") => "",
            Some(_) => "https://",
            None => "http://",
        };
        let mut settings = ControlSettings::new(format!("{scheme}{}", self.target));
        if let Some(ca) = &self.files.ca {
            settings = settings.ca_certificate(pem(ca));
        }
        if let (Some(cert), Some(key)) = (&self.files.cert, &self.files.key) {
            settings = settings.client_certificate(pem(cert), pem(key));
        }
        if let Some(token) = self.token {
            settings = settings.bearer_token(token);
        }
        ControlClient::connect_lazily(settings).unwrap()
    }

    /// The calls of the control API.
    async fn in_rust(&self) -> Codes {
        let collector = self.client();
        let set = IntervalRequest::new(Duration::from_millis(200)).ttl(Duration::from_secs(60)).reason("a test");
        let calls = [
            code(collector.snapshot_within(Duration::from_secs(10)).await),
            code(collector.watch(WatchOptions::default()).await),
            code(collector.config().await),
            code(collector.capabilities().await),
            code(collector.health().await),
            code(collector.set_interval(set).await),
            code(collector.reset_interval("a test").await),
        ];
        READS.into_iter().chain(CHANGES).map(str::to_owned).zip(calls.map(str::to_owned)).collect()
    }
}

fn code<T>(answer: Result<T, ControlError>) -> &'static str {
    match answer {
        Ok(_) => "OK",
        // A certificate that is not accepted.
        Err(ControlError::Unauthenticated { source, .. }) if source.message() == "transport error" => "UNAVAILABLE",
        Err(ControlError::Unauthenticated { .. }) => "UNAUTHENTICATED",
        Err(ControlError::PermissionDenied { .. }) => "PERMISSION_DENIED",
        Err(ControlError::Unavailable { .. }) => "UNAVAILABLE",
        Err(other) => panic!("{other:?}"),
    }
}

/// Compares what each caller can do with what it may do, in both languages.
async fn assert_each(callers: impl IntoIterator<Item = (Caller, May)>) {
    let types = PythonTypes::generate().await;
    for (caller, may) in callers {
        let mut expected = may.expected();
        assert_eq!(caller.in_python(&types).await, expected, "{caller:?}");
        expected.retain(|call, _| call != HEALTH && call != REFLECTION);
        assert_eq!(caller.in_rust().await, expected, "{caller:?}");
    }
}

fn tokens() -> TokenFile {
    TokenFile::new(&[("reader", "read", READER), ("operator", "control", OPERATOR)])
}

/// Settings of every collector here. Nobody listens at the address of its Redis: it keeps its messages.
const COMMON: &[(&str, &str)] =
    &[("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1"), ("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND", "1000")];

/// Waits until the collector has taken a sample, as this caller sees it.
async fn sampled(caller: &Caller) {
    let collector = caller.client();
    eventually("a sample is taken", async || collector.snapshot().await.is_ok()).await;
}

async fn start(vars: &[(&str, &str)]) -> Collector {
    Collector::start(&[COMMON, vars].concat()).await
}

#[tokio::test]
async fn over_plain_tcp() {
    let collector = start(&[]).await;
    let anybody = Caller::to(collector.address());
    sampled(&anybody).await;
    assert_each([(anybody.clone(), May::Control), (anybody.token("of another server"), May::Control)]).await;

    let tokens = tokens();
    let collector = start(&[tokens.var()]).await;
    let caller = Caller::to(collector.address());
    sampled(&caller.clone().token(READER)).await;
    assert_each([
        (caller.clone(), May::Open),
        (caller.clone().token("wrong"), May::Unknown),
        (caller.clone().token(READER), May::Read),
        (caller.token(OPERATOR), May::Control),
    ])
    .await;
}

fn tls_vars((cert, key): &(PathBuf, PathBuf)) -> [(&'static str, &str); 2] {
    [("TELEMETRY_CONTROL__TLS_CERT", cert.to_str().unwrap()), ("TELEMETRY_CONTROL__TLS_KEY", key.to_str().unwrap())]
}

#[tokio::test]
async fn over_tls() {
    let (authority, other, tokens) = (Authority::new(), Authority::new(), tokens());
    let certificate = authority.certificate("server", &["127.0.0.1"]);
    let collector = start(&[&tls_vars(&certificate)[..], &[tokens.var()]].concat()).await;
    let caller = Caller::to(collector.address()).files(authority.trusted());
    sampled(&caller.clone().token(READER)).await;
    assert_each([
        (caller.clone(), May::Open),
        (caller.clone().token("wrong"), May::Unknown),
        (caller.clone().token(READER), May::Read),
        (caller.clone().token(OPERATOR), May::Control),
        (caller.token(OPERATOR).files(other.trusted()), May::Nothing),
        (Caller::to(collector.address()).token(OPERATOR), May::Nothing),
    ])
    .await;
}

#[tokio::test]
async fn over_mutual_tls() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (certificate, ca) = (authority.certificate("server", &["127.0.0.1"]), authority.ca());
    let vars = [
        ("TELEMETRY_CONTROL__TLS_CLIENT_CA", ca.to_str().unwrap()),
        ("TELEMETRY_CONTROL__CERTIFICATE_ROLES", "ops=control,viewer=read"),
    ];
    let collector = start(&[&tls_vars(&certificate)[..], &vars].concat()).await;
    let caller = Caller::to(collector.address());
    sampled(&caller.clone().files(authority.client("viewer"))).await;
    let of_another_ca = ClientFiles { ca: Some(ca), ..other.client("ops") };
    assert_each([
        (caller.clone().files(authority.client("viewer")), May::Read),
        (caller.clone().files(authority.client("ops")), May::Control),
        (caller.clone().files(authority.client("stranger")), May::NoRole),
        (caller.clone().files(authority.expired_client("ops")), May::Nothing),
        (caller.clone().files(of_another_ca), May::Nothing),
        (caller.clone().files(authority.trusted()), May::Nothing),
        (caller, May::Nothing),
    ])
    .await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    let (directory, tokens) = (tempfile::tempdir().unwrap(), tokens());
    let path = directory.path().join("control.sock");
    let caller = Caller::to(format!("unix://{}", path.display()));
    let collector = Collector::start_on_socket(&path, COMMON).await;
    sampled(&caller).await;
    assert_each([(caller.clone(), May::Control)]).await;
    drop(collector);

    let _collector = Collector::start_on_socket(&path, &[COMMON, &[tokens.var()]].concat()).await;
    sampled(&caller.clone().token(READER)).await;
    assert_each([
        (caller.clone(), May::Open),
        (caller.clone().token("wrong"), May::Unknown),
        (caller.clone().token(READER), May::Read),
        (caller.token(OPERATOR), May::Control),
    ])
    .await;
}

/// What a collector with low limits refuses, with a part of what it says.
const REFUSALS: [(&str, &str, &str); 7] = [
    ("interval below the range", "INVALID_ARGUMENT", "is not a duration from 100ms to 1h"),
    ("no interval", "INVALID_ARGUMENT", "interval"),
    ("ttl below the range", "INVALID_ARGUMENT", "is not a duration from 1s to 7d"),
    ("long reason", "INVALID_ARGUMENT", "256"),
    ("large request", "OUT_OF_RANGE", ""),
    ("second watch", "RESOURCE_EXHAUSTED", "TELEMETRY_CONTROL__MAX_WATCHES"),
    ("many changes", "RESOURCE_EXHAUSTED", "TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND"),
];

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let collector = start(&[
        ("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND", "1"),
        ("TELEMETRY_CONTROL__MAX_WATCHES", "1"),
        ("TELEMETRY_CONTROL__MAX_MESSAGE_BYTES", "1KiB"),
    ])
    .await;
    let types = PythonTypes::generate().await;
    let finished = types.run("tests/python/refusals.py", &[&collector.address().to_string()]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let told: BTreeMap<String, (String, String)> = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(told.len(), REFUSALS.len());
    for (case, code, details) in REFUSALS {
        let (told_code, told_details) = &told[case];
        assert!(told_code == code && told_details.contains(details), "{case}: {told_code}: {told_details}");
    }
}
