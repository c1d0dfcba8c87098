//! A TCP proxy that brings about network faults.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

/// No countdown is under way.
const OFF: i64 = i64::MAX;

/// The direction in which bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A proxy on a free port of 127.0.0.1. It stops, and resets its connections, when this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: Arc<Control>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Control {
    rules: watch::Sender<Rules>,
    end_all: broadcast::Sender<End>,
    /// How many bytes still pass in each direction before the connection is reset.
    countdown: [AtomicI64; 2],
    resets: AtomicUsize,
}

#[derive(Debug, Clone, Default)]
struct Rules {
    silent: [bool; 2],
    latency: Duration,
    refusing: bool,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By FIN.
    Closed,
    /// By RST, to both sides.
    Reset,
}

impl Proxy {
    /// Starts a proxy to a server on `port` of 127.0.0.1. It passes everything on until a fault is set.
    pub async fn start(port: u16) -> Self {
        let server = (Ipv4Addr::LOCALHOST, port).into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let control = Arc::new(Control {
            rules: watch::Sender::default(),
            end_all: broadcast::Sender::new(1),
            countdown: [AtomicI64::new(OFF), AtomicI64::new(OFF)],
            resets: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&control)));
        Self { address, control, accepting }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection by FIN. New connections are accepted.
    pub fn cut(&self) {
        self.end_all(End::Closed);
    }

    /// Resets every connection. New connections are accepted.
    pub fn reset(&self) {
        self.end_all(End::Reset);
    }

    /// Passes on the next `bytes` in one direction, of all connections together, then resets, once, the connection that
    /// carries the byte after them.
    pub fn reset_after(&self, way: Way, bytes: u32) {
        self.control.countdown[way as usize].store(bytes.into(), Ordering::SeqCst);
    }

    /// How many connections [`reset_after`](Self::reset_after) has reset.
    #[must_use]
    pub fn resets(&self) -> usize {
        self.control.resets.load(Ordering::SeqCst)
    }

    /// Holds back everything in one direction, of all connections, those to come too.
    pub fn silence(&self, way: Way) {
        self.control.rules.send_modify(|rules| rules.silent[way as usize] = true);
    }

    /// Holds back everything in both directions.
    pub fn black_hole(&self) {
        self.control.rules.send_modify(|rules| rules.silent = [true; 2]);
    }

    /// Resets every connection, and each new one.
    pub fn refuse(&self) {
        self.control.rules.send_modify(|rules| rules.refusing = true);
        self.reset();
    }

    /// Delays everything by `latency` in each direction.
    pub fn delay(&self, latency: Duration) {
        self.control.rules.send_modify(|rules| rules.latency = latency);
    }

    /// Ends all faults. What was held back is passed on late, as on a real network.
    pub fn heal(&self) {
        self.control.countdown.iter().for_each(|left| left.store(OFF, Ordering::SeqCst));
        self.control.rules.send_replace(Rules::default());
    }

    fn end_all(&self, end: End) {
        // It fails when there is no connection.
        let _ = self.control.end_all.send(end);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, control: Arc<Control>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if control.rules.borrow().refusing {
            client.set_zero_linger().unwrap();
            continue;
        }
        tokio::spawn(carry(client, server, Arc::clone(&control), control.end_all.subscribe()));
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    control: Arc<Control>,
    mut end_all: broadcast::Receiver<End>,
) {
    // When no server listens, the client gets a reset, as from the server's own host.
    let Ok(mut server) = TcpStream::connect(server).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = pump(from_client, to_server, Way::ToServer, &control) => end,
            end = pump(from_server, to_client, Way::ToClient, &control) => end,
            end = end_all.recv() => end.unwrap_or(End::Reset),
        }
    };
    if end == End::Reset {
        // The connections may be gone already.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, control: &Control) -> End {
    let mut rules = control.rules.subscribe();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return End::Closed };
        let latency = rules.borrow().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        // After the read, so that bytes that were on their way when the silence began are held back too.
        if rules.wait_for(|rules| !rules.silent[way as usize]).await.is_err() {
            return End::Reset;
        }
        let passed = control.pass(way, read);
        if to.write_all(&buffer[..passed]).await.is_err() {
            return End::Closed;
        }
        if passed < read {
            control.resets.fetch_add(1, Ordering::SeqCst);
            return End::Reset;
        }
    }
}

impl Control {
    /// How many of `bytes` pass: fewer than all of them when the countdown ends before the last one.
    fn pass(&self, way: Way, bytes: usize) -> usize {
        let countdown = &self.countdown[way as usize];
        let wanted = i64::try_from(bytes).unwrap();
        let left = countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            OFF => None,
            left if left < wanted => Some(OFF),
            left => Some(left - wanted),
        });
        match left {
            Ok(left) if left < wanted => usize::try_from(left).unwrap(),
            _ => bytes,
        }
    }
}
