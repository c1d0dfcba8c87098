//! A connection that a server can serve, with or without TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::peer::Peer;
use crate::settings::Limits;

/// A connection from a client. It ends by itself when it has been without a call for too long.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Arc<Peer>,
    silence: Silence,
    stall: Stall,
    _place: OwnedSemaphorePermit,
}

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// How long a connection may stay without a call.
#[derive(Debug)]
struct Silence {
    timer: Pin<Box<Sleep>>,
    limit: Option<Duration>,
    has_received: bool,
}

impl Connection {
    pub(crate) fn new(stream: Stream, peer: Peer, limits: &Limits, place: OwnedSemaphorePermit) -> Self {
        let first = limits.idle_timeout.map_or(limits.handshake_timeout, |idle| idle.min(limits.handshake_timeout));
        let silence = Silence { timer: Box::pin(sleep(first)), limit: limits.idle_timeout, has_received: false };
        let stall = Stall { timer: None, limit: limits.write_timeout };
        Self { stream, peer: Arc::new(peer), silence, stall, _place: place }
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }
}

impl Silence {
    /// Ready when the connection has been without a call for too long.
    fn poll(&mut self, peer: &Peer, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.has_received && self.limit.is_none() {
                return Poll::Pending;
            }
            ready!(self.timer.as_mut().poll(cx));
            let Some(limit) = self.limit.filter(|_| self.has_received) else { return Poll::Ready(()) };
            let now = Instant::now();
            let deadline = match peer.idle_since() {
                Some(since) if since + limit <= now => return Poll::Ready(()),
                Some(since) => since + limit,
                None => now + limit,
            };
            self.timer.as_mut().reset(deadline);
        }
    }
}

/// How long the client may take nothing of what it is sent.
#[derive(Debug)]
struct Stall {
    /// Runs while the client takes nothing.
    timer: Option<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl Stall {
    /// `written`, or an error if the client has taken nothing for too long.
    fn check<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Arc::clone(&self.peer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // First, for a client that sends without a pause and without a call. Nothing read is the end of the stream.
        if this.silence.has_received && this.silence.poll(&this.peer, cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let read = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_ready() || this.silence.has_received {
            this.silence.has_received = true;
            return read;
        }
        this.silence.poll(&this.peer, cx).map(Ok)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.stall.check(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        this.stall.check(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        };
        this.stall.check(written, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        this.stall.check(written, cx)
    }
}
