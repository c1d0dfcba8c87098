//! Who may do what, with the real process and real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;
use std::future::pending;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use support::collector::{self, Collector};
use support::login::{Login, TokenFile, tls};
use telemetry_proto::v1::control_service_client::ControlServiceClient;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::watch_snapshots_response::Event;
use telemetry_proto::v1::{
    Caller, CallerLogin, GetCapabilitiesRequest, GetConfigRequest, GetSnapshotRequest, HealthRequest,
    ResetIntervalRequest, SetIntervalRequest, WatchSnapshotsRequest, WatchSnapshotsResponse,
};
use telemetry_testing::{Authority, ClientFiles, PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

const READER: &str = "token-of-a-reader";
const OPERATOR: &str = "token-of-an-operator";

/// Nobody listens there: the collector keeps its messages, which is all that these tests need.
const NO_REDIS: (&str, &str) = ("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1");
const FAST: (&str, &str) = ("TELEMETRY_COLLECTION__INTERVAL", "100ms");

fn tokens() -> TokenFile {
    TokenFile::new(&[("reader", "read", READER), ("operator", "control", OPERATOR)])
}

async fn start(vars: &[(&str, &str)]) -> Collector {
    Collector::start(&[&[NO_REDIS, FAST], vars].concat()).await
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

fn change() -> SetIntervalRequest {
    SetIntervalRequest { interval: Some(Duration::from_millis(100).into()), ..SetIntervalRequest::default() }
}

/// The code of each call: the reads, the changes, and what can be open to everybody.
async fn codes(channel: &Channel, login: &Login) -> ([Code; 4], [Code; 2], [Code; 3]) {
    let mut control = ControlServiceClient::new(channel.clone());
    let snapshot = async || code(control.clone().get_snapshot(login.on(GetSnapshotRequest::default())).await);
    eventually("there is a sample", async || snapshot().await != Code::Unavailable).await;
    let reads = [
        snapshot().await,
        code(control.get_config(login.on(GetConfigRequest {})).await),
        code(control.get_capabilities(login.on(GetCapabilitiesRequest {})).await),
        code(control.watch_snapshots(login.on(WatchSnapshotsRequest::default())).await),
    ];
    let changes = [
        code(control.set_interval(login.on(change())).await),
        code(control.reset_interval(login.on(ResetIntervalRequest::default())).await),
    ];
    let symbol = MessageRequest::FileContainingSymbol("telemetry.v1.ControlService".to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let open = [
        code(HealthClient::new(channel.clone()).check(login.on(HealthCheckRequest::default())).await),
        code(control.health(login.on(HealthRequest {})).await),
        code(reflection.server_reflection_info(login.on(tokio_stream::once(request))).await),
    ];
    (reads, changes, open)
}

async fn watch(channel: &Channel, login: &Login) -> Streaming<WatchSnapshotsResponse> {
    let mut control = ControlServiceClient::new(channel.clone());
    control.watch_snapshots(login.on(WatchSnapshotsRequest::default())).await.unwrap().into_inner()
}

/// The caller of the next change that a watch tells.
async fn next_caller(watch: &mut Streaming<WatchSnapshotsResponse>) -> Caller {
    loop {
        let response = timeout(PATIENCE, watch.message()).await.expect("an event comes").unwrap().unwrap();
        if let Some(Event::Message(message)) = response.event
            && let Some(Payload::Control(event)) = message.payload
        {
            return event.caller.unwrap();
        }
    }
}

#[tokio::test]
async fn a_token_gives_its_role_and_its_name_to_the_audit() {
    use Code::{Ok, PermissionDenied, Unauthenticated};
    let tokens = tokens();
    let collector = start(&[tokens.var()]).await;
    let channel = collector.channel().await;
    let of = async |login: Login| codes(&channel, &login).await;
    assert_eq!(
        of(Login::none()).await,
        ([Unauthenticated; 4], [Unauthenticated; 2], [Ok, Unauthenticated, Unauthenticated])
    );
    assert_eq!(of(Login::token("wrong")).await, ([Unauthenticated; 4], [Unauthenticated; 2], [Unauthenticated; 3]));
    assert_eq!(of(Login::token(READER)).await, ([Ok; 4], [PermissionDenied; 2], [Ok; 3]));

    let operator = Login::token(OPERATOR);
    let mut watch = watch(&channel, &operator).await;
    assert_eq!(codes(&channel, &operator).await, ([Ok; 4], [Ok; 2], [Ok; 3]));
    let caller = next_caller(&mut watch).await;
    assert_eq!((caller.name.as_str(), caller.login()), ("operator", CallerLogin::Token));
    assert!(caller.address.starts_with("127.0.0.1:"), "{caller:?}");
    for line in [
        r#""caller":"operator""#,
        r#""call refused","service":"control API","reason":"this call needs a login"#,
        r#""call refused","service":"control API","reason":"the token is not known"#,
        r#""call refused","service":"control API","reason":"this call needs the role control"#,
    ] {
        eventually(line, async || collector.log().contains(line)).await;
    }
}

#[tokio::test]
async fn settings_open_and_close_what_needs_no_login() {
    use Code::{Ok, Unauthenticated};
    let tokens = tokens();
    for (without_login, expected) in [
        ("none", [Unauthenticated; 3]),
        ("health_details", [Unauthenticated, Ok, Unauthenticated]),
        ("health,reflection", [Ok, Unauthenticated, Ok]),
    ] {
        let collector = start(&[tokens.var(), ("TELEMETRY_CONTROL__WITHOUT_LOGIN", without_login)]).await;
        let (reads, changes, open) = codes(&collector.channel().await, &Login::none()).await;
        assert_eq!((reads, changes, open), ([Unauthenticated; 4], [Unauthenticated; 2], expected), "{without_login}");
    }
}

#[tokio::test]
async fn without_a_login_everybody_on_this_host_may_do_all() {
    let collector = start(&[]).await;
    let channel = collector.channel().await;
    let nobody = Login::none();
    let mut watch = watch(&channel, &nobody).await;
    assert_eq!(codes(&channel, &nobody).await, ([Code::Ok; 4], [Code::Ok; 2], [Code::Ok; 3]));
    let caller = next_caller(&mut watch).await;
    assert_eq!((caller.name.as_str(), caller.login()), ("", CallerLogin::None));
    assert_eq!(codes(&channel, &Login::token("for another server")).await.0, [Code::Ok; 4]);
}

fn tls_vars<'a>(cert: &'a Path, key: &'a Path) -> [(&'a str, &'a str); 2] {
    [("TELEMETRY_CONTROL__TLS_CERT", cert.to_str().unwrap()), ("TELEMETRY_CONTROL__TLS_KEY", key.to_str().unwrap())]
}

#[tokio::test]
async fn the_subject_of_a_client_certificate_gives_a_role() {
    use Code::{Ok, PermissionDenied};
    let (authority, other) = (Authority::new(), Authority::new());
    let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
    let ca = authority.ca();
    let vars = [
        ("TELEMETRY_CONTROL__TLS_CLIENT_CA", ca.to_str().unwrap()),
        ("TELEMETRY_CONTROL__CERTIFICATE_ROLES", "ops=control,viewer=read"),
    ];
    let collector = start(&[&tls_vars(&cert, &key)[..], &vars].concat()).await;
    let connect = async |files: &ClientFiles| tls(collector.address(), files).connect().await;

    let viewer = connect(&authority.client("viewer")).await.unwrap();
    assert_eq!(codes(&viewer, &Login::none()).await, ([Ok; 4], [PermissionDenied; 2], [Ok; 3]));
    let stranger = connect(&authority.client("stranger")).await.unwrap();
    let expected = ([PermissionDenied; 4], [PermissionDenied; 2], [Ok, PermissionDenied, PermissionDenied]);
    assert_eq!(codes(&stranger, &Login::none()).await, expected);
    let operator = connect(&authority.client("ops")).await.unwrap();
    let mut watch = watch(&operator, &Login::none()).await;
    assert_eq!(codes(&operator, &Login::none()).await.1, [Ok; 2]);
    let caller = next_caller(&mut watch).await;
    assert_eq!((caller.name.as_str(), caller.login()), ("ops", CallerLogin::Certificate));

    let of_other = ClientFiles { ca: Some(authority.ca()), ..other.client("ops") };
    for files in [authority.trusted(), of_other, authority.expired_client("ops")] {
        let refused = match connect(&files).await {
            Err(_) => true,
            Result::Ok(channel) => HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_err(),
        };
        assert!(refused, "{files:?}");
    }
    let plain = Channel::from_shared(format!("http://{}", collector.address())).unwrap().connect_lazy();
    HealthClient::new(plain).check(HealthCheckRequest::default()).await.unwrap_err();
}

#[tokio::test]
async fn the_permissions_of_a_unix_socket_decide_unless_there_are_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let address = format!("unix://{}", path.display());
    let connect = async || Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
    let mode = ("TELEMETRY_CONTROL__SOCKET_MODE", "600");
    let collector = Collector::start_on_socket(&path, &[NO_REDIS, FAST, mode]).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let channel = connect().await;
    let mut watch = watch(&channel, &Login::none()).await;
    assert_eq!(codes(&channel, &Login::none()).await, ([Code::Ok; 4], [Code::Ok; 2], [Code::Ok; 3]));
    let caller = next_caller(&mut watch).await;
    assert_eq!(caller.login(), CallerLogin::Unix);
    assert!(
        caller.address.starts_with(&format!("pid {}, uid {}, gid ", std::process::id(), caller.name)),
        "{caller:?}"
    );
    drop(collector);
    assert!(path.exists(), "the process was killed");

    let tokens = tokens();
    let mut collector = Collector::start_on_socket(&path, &[NO_REDIS, FAST, tokens.var()]).await;
    let channel = connect().await;
    assert_eq!(codes(&channel, &Login::none()).await.0, [Code::Unauthenticated; 4]);
    assert_eq!(codes(&channel, &Login::token(OPERATOR)).await.1, [Code::Ok; 2]);
    collector.signal("TERM");
    collector.ended().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn rejects_what_would_let_strangers_in_with_one_line_and_exit_code_78() {
    let authority = Authority::new();
    let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
    let (_, other_key) = authority.certificate("other", &["127.0.0.1"]);
    let [cert_var, key_var] = tls_vars(&cert, &key);
    let beyond = ("TELEMETRY_CONTROL__LISTEN", "0.0.0.0:0");
    let damaged = TokenFile::new(&[]);
    damaged.write("# tokens\noperator control s3cret-token\n");
    let other_key = ("TELEMETRY_CONTROL__TLS_KEY", other_key.to_str().unwrap());
    for (vars, line) in [
        (
            vec![beyond],
            "TELEMETRY_CONTROL__LISTEN: 0.0.0.0:0 can be reached from other hosts: set TELEMETRY_CONTROL__TLS_CERT, \
             TELEMETRY_CONTROL__TLS_KEY and either TELEMETRY_CONTROL__TOKENS_FILE or TELEMETRY_CONTROL__TLS_CLIENT_CA; or listen \
             on 127.0.0.1. TELEMETRY_CONTROL__INSECURE=true allows it without",
        ),
        (vec![beyond, cert_var, key_var], "TELEMETRY_CONTROL__LISTEN: 0.0.0.0:0 can be reached from other hosts: "),
        (vec![beyond, damaged.var()], "TELEMETRY_CONTROL__LISTEN: 0.0.0.0:0 can be reached from other hosts: "),
        (vec![cert_var], "TELEMETRY_CONTROL__TLS_CERT: needs TELEMETRY_CONTROL__TLS_KEY, too"),
        (vec![cert_var, other_key], "TELEMETRY_CONTROL__TLS_KEY: "),
        (vec![damaged.var()], "TELEMETRY_CONTROL__TOKENS_FILE: "),
        (
            vec![("TELEMETRY_CONTROL__SOCKET_GROUP", "no-such-group"), ("TELEMETRY_CONTROL__LISTEN", "unix:///tmp/s")],
            "TELEMETRY_CONTROL__SOCKET_GROUP: ",
        ),
    ] {
        let ended = collector::run(&[], &[&[NO_REDIS], &vars[..]].concat()).await;
        assert_eq!(ended.code, Some(78), "{vars:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with(&format!("telemetry-collector: {line}")), "{vars:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
    let ended = collector::run(&[], &[NO_REDIS, damaged.var()]).await;
    assert!(ended.stderr.contains("line 2: the hash is not sha256:"), "{}", ended.stderr);

    let collector = start(&[("TELEMETRY_CONTROL__LISTEN", "0.0.0.0:0"), ("TELEMETRY_CONTROL__INSECURE", "true")]).await;
    assert!(collector.log().contains("other hosts can reach the control API without TLS"), "{}", collector.log());
}

#[tokio::test]
async fn a_revoked_token_ends_its_watch_and_no_other() {
    let tokens = tokens();
    let collector = start(&[tokens.var(), ("TELEMETRY_COLLECTION__INTERVAL", "1h")]).await;
    let channel = collector.channel().await;
    let (reader, operator) = (Login::token(READER), Login::token(OPERATOR));
    let mut of_reader = watch(&channel, &reader).await;
    let mut of_operator = watch(&channel, &operator).await;

    tokens.write("operator control damaged\n");
    eventually("the damaged file is told", async || collector.log().contains("a changed file cannot be used")).await;
    assert_eq!(codes(&channel, &reader).await.0, [Code::Ok; 4]);

    tokens.set(&[("operator", "control", OPERATOR), ("second", "read", "another-token")]);
    let ended = async {
        loop {
            if let Err(status) = of_reader.message().await {
                return status;
            }
        }
    };
    let status = timeout(PATIENCE, ended).await.expect("the watch ends");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(codes(&channel, &reader).await.0, [Code::Unauthenticated; 4]);
    assert_eq!(codes(&channel, &Login::token("another-token")).await.0, [Code::Ok; 4]);

    ControlServiceClient::new(channel.clone()).set_interval(operator.on(change())).await.unwrap();
    assert_eq!(next_caller(&mut of_operator).await.name, "operator");
}

/// Whether the server closes the connection within the patience of a test.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 1024];
    let closed = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    timeout(PATIENCE, closed).await.is_ok()
}

#[tokio::test]
async fn limits_connections_and_ends_those_without_a_call() {
    let limits = [
        ("TELEMETRY_CONTROL__MAX_CONNECTIONS", "1"),
        ("TELEMETRY_CONTROL__IDLE_TIMEOUT", "1s"),
        ("TELEMETRY_CONTROL__HANDSHAKE_TIMEOUT", "100ms"),
    ];
    let collector = start(&limits).await;
    let channel = collector.channel().await;
    let mut watch = watch(&channel, &Login::none()).await;
    let mut second = TcpStream::connect(collector.address()).await.unwrap();
    assert!(is_closed(&mut second).await);
    eventually("it is told", async || collector.log().contains("TELEMETRY_CONTROL__MAX_CONNECTIONS")).await;
    for _ in 0..15 {
        timeout(PATIENCE, watch.message()).await.expect("a watch is no idle connection").unwrap().unwrap();
    }
    drop((watch, channel));

    eventually("a silent connection is accepted and closed", async || {
        let mut silent = TcpStream::connect(collector.address()).await.unwrap();
        is_closed(&mut silent).await
    })
    .await;
    let connected = async || {
        let mut idle = TcpStream::connect(collector.address()).await.unwrap();
        idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut settings = [0; 9];
        (idle.read_exact(&mut settings).await.is_ok() && settings[3] == 4).then_some(idle)
    };
    let mut idle = None;
    eventually("an idle connection is accepted", async || {
        idle = connected().await;
        idle.is_some()
    })
    .await;
    assert!(is_closed(&mut idle.unwrap()).await);
}

#[tokio::test]
async fn limits_calls_their_time_and_their_size() {
    let limits = [
        ("TELEMETRY_CONTROL__MAX_CALLS_PER_CONNECTION", "1"),
        ("TELEMETRY_CONTROL__CALL_TIMEOUT", "300ms"),
        ("TELEMETRY_CONTROL__MAX_MESSAGE_BYTES", "1KiB"),
        ("TELEMETRY_CONTROL__MAX_HEADER_BYTES", "1KiB"),
    ];
    let collector = start(&limits).await;
    let (first, second) = (collector.channel().await, collector.channel().await);
    let mut watch = watch(&first, &Login::none()).await;
    let health = |channel: &Channel| {
        let mut client = HealthClient::new(channel.clone());
        async move { client.check(HealthCheckRequest::default()).await }
    };
    for _ in 0..10 {
        timeout(PATIENCE, watch.message()).await.expect("a watch outlives the time of a call").unwrap().unwrap();
    }
    assert!(timeout(Duration::from_secs(1), health(&first)).await.is_err(), "the watch is the one call");
    health(&second).await.unwrap();

    let mut control = ControlServiceClient::new(second.clone());
    let long = SetIntervalRequest { reason: "x".repeat(1500), ..change() };
    assert_eq!(code(control.set_interval(long).await), Code::OutOfRange);
    let mut request = Request::new(HealthRequest {});
    request.metadata_mut().insert("x", "x".repeat(1500).parse().unwrap());
    control.health(request).await.unwrap_err();

    let codec = tonic_prost::ProstCodec::<HealthRequest, HealthRequest>::default();
    let path = "/telemetry.v1.ControlService/Health".parse().unwrap();
    let mut endless = tonic::client::Grpc::new(second);
    endless.ready().await.unwrap();
    let body = stream::once(pending::<HealthRequest>());
    let answered = timeout(PATIENCE, endless.client_streaming(Request::new(body), path, codec)).await;
    assert_eq!(code(answered.expect("a call ends")), Code::Cancelled);
}
