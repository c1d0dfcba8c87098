//! Who may read what over HTTP, with the real process and real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use support::collector::Collector;
use support::http::{Answer, get, request};
use support::login::{TokenFile, connect_tls};
use telemetry_testing::{Authority, PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const TOKEN: &str = "token-of-a-scraper";
const NO_REDIS: (&str, &str) = ("TELEMETRY_REDIS__URL", "redis://127.0.0.1:1");
const LISTEN: (&str, &str) = ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:0");

async fn start(vars: &[(&str, &str)]) -> (Collector, SocketAddr) {
    let mut collector = Collector::start(&[&[NO_REDIS, LISTEN], vars].concat()).await;
    let address = collector.http_address().await;
    (collector, address)
}

fn tokens() -> TokenFile {
    TokenFile::new(&[("prometheus", "read", TOKEN)])
}

fn tokens_var(tokens: &TokenFile) -> (&'static str, &str) {
    ("TELEMETRY_HTTP__TOKENS_FILE", tokens.path().to_str().unwrap())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn without_a_login_only_names_of_this_host_are_answered() {
    let (_collector, address) = start(&[]).await;
    for path in ["/", "/events", "/metrics", "/livez"] {
        let refused = get(address, path, &["Host: rebound.example.com"]).await;
        assert_eq!(refused.code, 421, "{path}");
    }
    let answered = get(address, "/metrics", &[&format!("Host: localhost:{}", address.port())]).await;
    assert_eq!(answered.code, 200);

    let tokens = tokens();
    let (_collector, address) = start(&[tokens_var(&tokens)]).await;
    let answered = get(address, "/metrics", &["Host: web-7.example.com", &bearer(TOKEN)]).await;
    assert_eq!(answered.code, 200);
}

#[tokio::test]
async fn a_token_opens_everything_and_probes_need_none() {
    let tokens = tokens();
    let (_collector, address) = start(&[tokens_var(&tokens)]).await;
    assert_eq!(get(address, "/livez", &[]).await.code, 200);
    for path in ["/", "/metrics", "/page.css", "/events"] {
        let closed = get(address, path, &[]).await;
        assert_eq!(closed.code, 401, "{path}");
        assert!(closed.head.contains("www-authenticate: basic realm="), "{}", closed.head);
        assert!(closed.head.contains("x-content-type-options: nosniff"), "{}", closed.head);
    }
    for login in [bearer(TOKEN), basic("anybody", TOKEN)] {
        assert_eq!(get(address, "/metrics", &[&login]).await.code, 200, "{login}");
        assert_eq!(get(address, "/", &[&login]).await.code, 200, "{login}");
    }
    for login in [bearer("wrong"), basic(TOKEN, "wrong"), basic("", "")] {
        assert_eq!(get(address, "/metrics", &[&login]).await.code, 401, "{login}");
        assert_eq!(get(address, "/livez", &[&login]).await.code, 401, "{login}");
    }

    tokens.set(&[("prometheus", "read", "another-token")]);
    eventually("the new token is in force", async || {
        get(address, "/metrics", &[&bearer("another-token")]).await.code == 200
    })
    .await;
    assert_eq!(get(address, "/metrics", &[&bearer(TOKEN)]).await.code, 401);
}

#[tokio::test]
async fn the_stream_of_the_page_ends_when_its_token_is_revoked() {
    let tokens = tokens();
    let (_collector, address) = start(&[tokens_var(&tokens)]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{}\r\nConnection: close\r\n\r\n", bearer(TOKEN));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    tokens.set(&[]);
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "it is complete");
}

async fn get_tls(address: SocketAddr, files: &telemetry_testing::ClientFiles, headers: &[&str]) -> Option<Answer> {
    let stream = connect_tls(address, files).await.ok()?;
    // A client whose certificate is refused learns it when it reads.
    tokio::spawn({
        let headers: Vec<_> = headers.iter().map(|&header| header.to_owned()).collect();
        async move { request(stream, "GET", "/metrics", &headers.iter().map(String::as_str).collect::<Vec<_>>()).await }
    })
    .await
    .ok()
}

#[tokio::test]
async fn encrypts_and_demands_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (cert, key) = authority.certificate("server", &["127.0.0.1"]);
    let ca = authority.ca();
    let tls =
        [("TELEMETRY_HTTP__TLS_CERT", cert.to_str().unwrap()), ("TELEMETRY_HTTP__TLS_KEY", key.to_str().unwrap())];
    let (_collector, address) = start(&tls).await;
    assert_eq!(get_tls(address, &authority.trusted(), &[]).await.unwrap().code, 200);
    assert!(get_tls(address, &other.trusted(), &[]).await.is_none());

    // Beyond loopback it may listen, for it has a login.
    let mutual = [("TELEMETRY_HTTP__TLS_CLIENT_CA", ca.to_str().unwrap()), ("TELEMETRY_HTTP__LISTEN", "0.0.0.0:0")];
    let (_collector, address) = start(&[&tls[..], &mutual].concat()).await;
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert_eq!(get_tls(address, &authority.client("prometheus"), &[]).await.unwrap().code, 200);
    assert!(get_tls(address, &authority.trusted(), &[]).await.is_none());
    assert!(get_tls(address, &authority.expired_client("prometheus"), &[]).await.is_none());
}

/// Whether the server closes the connection within the patience of a test.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 1024];
    let closed = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    timeout(PATIENCE, closed).await.is_ok()
}

#[tokio::test]
async fn limits_connections_and_the_time_of_headers() {
    let limits = [
        ("TELEMETRY_HTTP__MAX_CONNECTIONS", "1"),
        ("TELEMETRY_HTTP__HEADER_TIMEOUT", "500ms"),
        ("TELEMETRY_HTTP__HANDSHAKE_TIMEOUT", "300ms"),
    ];
    let (collector, address) = start(&limits).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: te").await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(&mut second).await);
    eventually("it is told", async || collector.log().contains("TELEMETRY_HTTP__MAX_CONNECTIONS")).await;
    assert!(is_closed(&mut slow).await, "headers that never end");

    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, idle.read_to_end(&mut answer)).await.expect("an idle connection ends").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{answer:?}");
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(&mut silent).await);
}
