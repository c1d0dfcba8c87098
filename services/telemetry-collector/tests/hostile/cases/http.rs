//! Attacks on the HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use telemetry_testing::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::alone;
use crate::hostile::ask::bearer;
use crate::hostile::crowd::{BACKLOG, CLOSING, all_closed, connect, drip, heard};
use crate::hostile::meanwhile::Connections;
use crate::hostile::siege::{Allowed, Siege};
use crate::hostile::table::Row;
use crate::hostile::target::{HTTP, OPERATOR, READER, Target};
use crate::support::http::get;
use crate::support::login::{TokenFile, hash};

const MANY: usize = 200;
const SHORT: &[(&str, &str)] =
    &[HTTP, ("TELEMETRY_HTTP__HANDSHAKE_TIMEOUT", "1s"), ("TELEMETRY_HTTP__HEADER_TIMEOUT", "2s")];
const GET: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
const GET_METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn address(target: &Target) -> SocketAddr {
    target.door.http.unwrap()
}

pub async fn http_connections_without_a_byte() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    all_closed(connect(address(&target), MANY, b"").await).await;
    siege.end(format!("{MANY} connections, closed after the handshake timeout"), Allowed::mib(8)).await
}

/// Slowloris.
pub async fn http_headers_byte_by_byte() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let slow = connect(address(&target), MANY, b"GET / HTTP/1.1\r\nHost: localhost\r\n").await;
    drip(slow, b"X-Slow: slow\r\n".to_vec()).await;
    siege.end(format!("{MANY} connections, closed after the header timeout"), Allowed::mib(8)).await
}

/// Each as large as the server takes, or larger.
pub async fn http_heads_without_end() -> Row {
    const LARGE: usize = 400 << 10;
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    for bytes in [15 << 10, LARGE] {
        let head = format!("GET / HTTP/1.1\r\nHost: collector\r\nX-Large: {}", "x".repeat(bytes));
        all_closed(connect(address(&target), MANY, head.as_bytes()).await).await;
    }
    siege.end(format!("{MANY} connections with headers of 15 and of 400 KiB that never end"), Allowed::mib(24)).await
}

pub async fn http_connections_kept_open() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    all_closed(connect(address(&target), MANY, GET).await).await;
    siege.end(format!("{MANY} connections with one request, closed after the header timeout"), Allowed::mib(8)).await
}

pub async fn http_connections_beyond_the_limit() -> Row {
    const WANTED: usize = 1_000;
    const PLACES: usize = 256;
    const OTHER_FILES: usize = 40;
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin_with(&target, Connections::Old).await;
    let (mut open, mut most) = (Vec::new(), 0);
    while open.len() < WANTED {
        open.extend(connect(address(&target), BACKLOG, GET).await);
        heard(open.last_mut().unwrap()).await;
        most = most.max(target.open_files());
        assert!(most <= PLACES + OTHER_FILES, "the collector holds {most} files open");
    }
    assert!(most > PLACES / 2, "the attack took only {most} files of the collector");
    all_closed(open).await;
    assert_eq!(get(address(&target), "/livez", &[]).await.code, 200);
    siege.end(format!("{WANTED} connections, at most {most} files open"), Allowed::mib(8)).await
}

pub async fn http_oversized_requests() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let large = "x".repeat(4 << 20);
    let many: String = (0..1_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let requests = [
        format!("GET /{large} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Large: {large}\r\n\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        large,
    ];
    for request in &requests {
        let mut stream = TcpStream::connect(address(&target)).await.unwrap();
        // The server closes it before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(CLOSING, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    siege.end("a request line and a header of 4 MiB, 1000 headers, 4 MiB of text", Allowed::mib(8)).await
}

pub async fn http_pipelining_flood() -> Row {
    const REQUESTS: usize = 20_000;
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let (mut reader, mut writer) = TcpStream::connect(address(&target)).await.unwrap().into_split();
    let writing = tokio::spawn(async move {
        let batch = GET.repeat(100);
        for _ in 0..REQUESTS / 100 {
            writer.write_all(&batch).await.unwrap();
        }
        writer
    });
    let mut answers = Vec::new();
    let _ = timeout(PATIENCE, reader.read_to_end(&mut answers)).await.expect("the connection is closed in the end");
    let answered = answers.windows(15).filter(|bytes| bytes == b"HTTP/1.1 200 OK").count();
    assert_eq!(answered, REQUESTS);
    drop(writing);
    siege.end(format!("{REQUESTS} requests at once on a connection, all answered"), Allowed::mib(8)).await
}

pub async fn http_answers_that_are_not_read() -> Row {
    const CONNECTIONS: usize = 50;
    let _alone = alone().await;
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let mut deaf = Vec::new();
    for stream in connect(address(&target), CONNECTIONS, b"").await {
        let (reader, mut writer) = stream.into_split();
        // As much as the server takes: it must not read on while it cannot write.
        let batch = GET_METRICS.repeat(100);
        let mut sent = 0;
        while sent < 16 << 20
            && timeout(Duration::from_millis(200), writer.write_all(&batch)).await.is_ok_and(|sent| sent.is_ok())
        {
            sent += batch.len();
        }
        assert!(sent < 16 << 20, "the server takes requests although nobody reads its answers");
        deaf.push((reader, writer));
    }
    for (_, writer) in &mut deaf {
        let closing = async { while writer.write_all(b"\r\n").await.is_ok() {} };
        assert!(timeout(CLOSING, closing).await.is_ok(), "a client that does not read stays for ever");
    }
    siege.end(format!("{CONNECTIONS} connections with requests for /metrics, no answer read"), Allowed::mib(64)).await
}

pub async fn http_body_that_never_ends() -> Row {
    let target = Target::start(SHORT).await;
    let siege = Siege::begin(&target).await;
    let head = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = connect(address(&target), MANY, head).await;
    drip(endless, b"1\r\nx\r\n".to_vec()).await;
    let large = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n";
    all_closed(connect(address(&target), MANY, large).await).await;
    siege.end(format!("{MANY} requests with a chunked body, {MANY} said to have 8 EiB"), Allowed::mib(8)).await
}

pub async fn http_viewers_that_never_read() -> Row {
    let _alone = alone().await;
    let target = Target::start(&[HTTP, ("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND", "1000")]).await;
    let siege = Siege::begin(&target).await;
    let _deaf = connect(address(&target), MANY, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (mut operator, mut changes) = (target.operator().await, 0);
    for _ in 0..500 {
        changes += u64::from(operator.change().await.is_ok());
    }
    siege.outlast().await;
    let attack = format!("{MANY} streams of the page, {changes} changes meanwhile, nothing read");
    siege.end(attack, Allowed { mib: 32, changes }).await
}

pub async fn http_wrong_logins() -> Row {
    let tokens = TokenFile::new(&[("reader", "read", READER)]);
    let target = Target::start(&[HTTP, ("TELEMETRY_HTTP__TOKENS_FILE", tokens.path().to_str().unwrap())]).await;
    let siege = Siege::begin(&target).await;
    let mut calls = 0;
    for (path, served) in [
        ("/", true),
        ("/metrics", true),
        ("/metrics?x=/livez", true),
        ("/events", true),
        ("/page.css", true),
        ("/no-such", false),
        ("/livez/../metrics", false),
        ("//metrics", false),
    ] {
        for login in [
            None,
            Some(bearer("wrong")),
            Some(bearer("")),
            Some(bearer(OPERATOR)),
            Some(READER.to_owned()),
            Some(format!("Basic {READER}")),
            Some("Basic ====".to_owned()),
            Some(bearer(&hash(READER))),
            Some(format!("Digest {READER}")),
        ] {
            let line = login.map(|login| format!("Authorization: {login}"));
            let code = get(address(&target), path, line.as_deref().as_slice()).await.code;
            // Nothing tells a stranger more than that there is no such path.
            assert!(code == 401 || (code == 404 && !served), "{path} {line:?}: {code}");
            calls += 1;
        }
    }
    let login = format!("Authorization: {}", bearer(READER));
    assert_eq!(get(address(&target), "/metrics", &[&login]).await.code, 200);
    siege.end(format!("{calls} requests without a login, or with a wrong one"), Allowed::mib(8)).await
}
