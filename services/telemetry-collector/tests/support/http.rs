//! A small HTTP client.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

/// Sends `GET path` to `address` with these header lines, and `Host: localhost` unless they have another one.
pub async fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    request(TcpStream::connect(address).await.unwrap(), "GET", path, headers).await
}

/// Sends a request without a body on a new connection.
pub async fn request(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &[&str],
) -> Answer {
    let host = if headers.iter().any(|line| line.starts_with("Host:")) { "" } else { "Host: localhost\r\n" };
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server by TLS may close without a notice.
    let _ = connection.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {answer:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, head: head.to_lowercase(), body: body.to_owned() }
}
