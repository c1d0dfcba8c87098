//! Many connections at a time, without TLS.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// How long the server may take to close a connection whose time is over.
pub const CLOSING: Duration = Duration::from_secs(30);
/// Connections that are opened at once. The system lets 128 wait for a server; others it makes wait for a second.
pub const BACKLOG: usize = 50;
/// Time between two bytes of a client that is slow on purpose.
const DRIP: Duration = Duration::from_millis(100);

/// Opens connections without TLS, and sends `first` on each.
pub async fn connect(address: SocketAddr, many: usize, first: &[u8]) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(many);
    while open.len() < many {
        let connecting = (0..BACKLOG.min(many - open.len())).map(async |_| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // A server that has closed it already is what some cases are about.
            let _ = stream.write_all(first).await;
            stream
        });
        open.append(&mut join_all(connecting).await);
    }
    open
}

/// Sends `bytes` on each connection, one at a time, until the server has closed all.
pub async fn drip(mut open: Vec<TcpStream>, bytes: Vec<u8>) {
    let dripping = async {
        let mut pause = interval(DRIP);
        for byte in bytes.iter().cycle() {
            pause.tick().await;
            let mut left = Vec::new();
            for mut stream in open.drain(..) {
                if stream.write_all(&[*byte]).await.is_ok() && !is_closed(&mut stream) {
                    left.push(stream);
                }
            }
            open = left;
            if open.is_empty() {
                break;
            }
        }
    };
    assert!(timeout(CLOSING, dripping).await.is_ok(), "slow connections are still open after {CLOSING:?}");
}

fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.try_read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Waits until the server has closed all connections.
pub async fn all_closed(open: Vec<TcpStream>) {
    for mut stream in open {
        closed(&mut stream).await;
    }
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let closing = async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    assert!(timeout(CLOSING, closing).await.is_ok(), "a connection is still open after {CLOSING:?}");
}

/// Waits until the server has sent something, or has closed the connection.
pub async fn heard(stream: &mut TcpStream) {
    let heard = timeout(CLOSING, stream.read(&mut [0; 16])).await;
    assert!(heard.is_ok(), "the server has not said anything after {CLOSING:?}");
}
