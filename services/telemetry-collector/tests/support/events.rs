//! A client of server-sent events.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The events of `/events`.
pub struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    pub async fn open(address: SocketAddr) -> Self {
        let mut connection = TcpStream::connect(address).await.unwrap();
        // By HTTP/1.0 the body comes as it is.
        connection.write_all(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut lines = BufReader::new(connection).lines();
        let status = lines.next_line().await.unwrap().unwrap();
        assert!(status.contains("200 OK"), "{status}");
        while lines.next_line().await.unwrap().unwrap() != "" {}
        Self(lines)
    }

    /// Name and content of the next event; `None` when the server has closed the connection.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = None;
        let read = async {
            loop {
                let line = self.0.next_line().await.unwrap()?;
                if let Some(event) = line.strip_prefix("event: ") {
                    name = Some(event.to_owned());
                } else if let Some(content) = line.strip_prefix("data: ") {
                    return Some((name.take().unwrap(), serde_json::from_str(content).unwrap()));
                }
            }
        };
        timeout(telemetry_testing::PATIENCE, read).await.unwrap_or_else(|_| panic!("no event comes"))
    }

    pub async fn next_named(&mut self, wanted: &str) -> Value {
        loop {
            let (name, content) = self.next().await.unwrap();
            if name == wanted {
                return content;
            }
        }
    }

    /// The first event `status` for which `condition` holds.
    pub async fn status_with(&mut self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let status = self.next_named("status").await;
                if condition(&status) {
                    return status;
                }
            }
        };
        timeout(telemetry_testing::PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"))
    }
}
