//! A TCP proxy whose faults are programmed while it runs.

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

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// A proxy on a free port of loopback, which ends with the test.
pub struct Proxy {
    address: SocketAddr,
    control: Arc<Control>,
    accepting: JoinHandle<()>,
}

struct Control {
    rules: watch::Sender<Rules>,
    end_all: broadcast::Sender<End>,
    /// Bytes that each way may still carry before the connection is reset.
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
    /// In good order: FIN.
    Closed,
    /// RST, to both sides.
    Reset,
}

impl Proxy {
    /// A proxy to a server on `port` of loopback that does nothing but pass bytes on.
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

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection in good order. New ones are taken.
    pub fn cut(&self) {
        self.end_all(End::Closed);
    }

    /// Resets every connection. New ones are taken.
    pub fn reset(&self) {
        self.end_all(End::Reset);
    }

    /// Resets the connection that carries the byte after the next `bytes` of `way`, all of them together; once.
    pub fn reset_after(&self, way: Way, bytes: u32) {
        self.control.countdown[way as usize].store(bytes.into(), Ordering::SeqCst);
    }

    /// Connections that [`reset_after`](Self::reset_after) has reset.
    pub fn resets(&self) -> usize {
        self.control.resets.load(Ordering::SeqCst)
    }

    /// Holds back what goes one way, of connections new and old: the sender sees nothing but silence.
    pub fn silence(&self, way: Way) {
        self.control.rules.send_modify(|rules| rules.silent[way as usize] = true);
    }

    /// Both ways at once.
    pub fn black_hole(&self) {
        self.control.rules.send_modify(|rules| rules.silent = [true; 2]);
    }

    /// Resets every connection, those to come too.
    pub fn refuse(&self) {
        self.control.rules.send_modify(|rules| rules.refusing = true);
        self.reset();
    }

    /// Delays everything by `latency`, each way.
    pub fn delay(&self, latency: Duration) {
        self.control.rules.send_modify(|rules| rules.latency = latency);
    }

    /// Ends every fault that lasts. What was held back goes on its way, however late, as on a network.
    pub fn heal(&self) {
        self.control.countdown.iter().for_each(|left| left.store(OFF, Ordering::SeqCst));
        self.control.rules.send_replace(Rules::default());
    }

    fn end_all(&self, end: End) {
        // Nobody listens when there is no connection.
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
    // Without a server there is nothing to pass on, and the client is told as the server's host would: by a reset.
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
        // They may be gone already.
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
        // Held back after it was read: what was on its way when the silence began is lost sight of, too.
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
    /// How many of `bytes` may go `way`; fewer than all of them when the countdown ends among them.
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
