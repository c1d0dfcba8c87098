//! The loop that accepts connections.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::Stream as AsyncStream;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::{Connection, Stream};
use crate::files::Reloaded;
use crate::observer::{Event, Observer};
use crate::peer::{Peer, PeerAddress};
use crate::settings::Limits;
use crate::socket::Socket;
use crate::tls::{Tls, name_of};
use crate::tokens::Tokens;

/// Wait after a connection could not be accepted.
const RETRY_PERIOD: Duration = Duration::from_millis(100);
/// Connections that may wait until the server takes them.
const QUEUE: usize = 16;

/// The connections of a listener. They are accepted until this value is dropped.
#[derive(Debug)]
pub struct Incoming {
    connections: mpsc::Receiver<Connection>,
    _tasks: JoinSet<()>,
}

/// What is needed to make a connection of what was accepted.
#[derive(Debug)]
struct Acceptor {
    tls: Option<watch::Receiver<Arc<Tls>>>,
    limits: Limits,
    places: Arc<Semaphore>,
    accepted: mpsc::Sender<Connection>,
    observer: Arc<dyn Observer>,
}

impl Incoming {
    pub(crate) fn new(
        socket: Socket,
        tls: Option<Reloaded<Tls>>,
        tokens: Option<Reloaded<Tokens>>,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (accepted, connections) = mpsc::channel(QUEUE);
        let acceptor = Acceptor {
            tls: tls.as_ref().map(Reloaded::reader),
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            accepted,
            observer: Arc::clone(&observer),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(acceptor.run(socket));
        tls.map(|tls| tasks.spawn(tls.follow(Arc::clone(&observer))));
        tokens.map(|tokens| tasks.spawn(tokens.follow(observer)));
        Self { connections, _tasks: tasks }
    }
}

impl AsyncStream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

impl Acceptor {
    async fn run(self, socket: Socket) {
        let mut handshakes = JoinSet::new();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                Some(_) = handshakes.join_next() => continue,
            };
            match accepted {
                Ok((stream, address)) => {
                    if std::mem::take(&mut failing) {
                        self.observer.notify(&Event::Accepting);
                    }
                    let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                        self.observer.notify(&Event::TooManyConnections { max: self.limits.connections });
                        continue;
                    };
                    self.take(stream, address, place, &mut handshakes).await;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        self.observer.notify(&Event::AcceptFailed(&error));
                    }
                    sleep(RETRY_PERIOD).await;
                }
            }
        }
    }

    async fn take(
        &self,
        stream: Stream,
        address: PeerAddress,
        place: OwnedSemaphorePermit,
        handshakes: &mut JoinSet<()>,
    ) {
        match (stream, &self.tls) {
            (Stream::Tcp(stream), Some(tls)) => {
                let handshake = Handshake {
                    config: Arc::clone(&tls.borrow().0),
                    limits: self.limits,
                    accepted: self.accepted.clone(),
                    observer: Arc::clone(&self.observer),
                };
                handshakes.spawn(handshake.run(stream, address, place));
            }
            (stream, _) => {
                let connection = Connection::new(stream, Peer::new(address, None), &self.limits, place);
                // It fails only when the server has ended, and then this loop ends, too.
                let _ = self.accepted.send(connection).await;
            }
        }
    }
}

/// A TLS handshake, which does not hold up other connections.
struct Handshake {
    config: Arc<ServerConfig>,
    limits: Limits,
    accepted: mpsc::Sender<Connection>,
    observer: Arc<dyn Observer>,
}

impl Handshake {
    async fn run(self, stream: TcpStream, address: PeerAddress, place: OwnedSemaphorePermit) {
        let shaking = timeout(self.limits.handshake_timeout, TlsAcceptor::from(self.config).accept(stream));
        let shaken = shaking.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match shaken {
            Ok(stream) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(name_of);
                let peer = Peer::new(address, certificate);
                let connection = Connection::new(Stream::Tls(Box::new(stream)), peer, &self.limits, place);
                let _ = self.accepted.send(connection).await;
            }
            Err(error) => self.observer.notify(&Event::HandshakeFailed { address, error: &error }),
        }
    }
}

/// Whether the failure says nothing about the next connection: the client has gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
