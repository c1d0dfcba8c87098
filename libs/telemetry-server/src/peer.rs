//! The other end of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The other end of a connection. It is in the extensions of each request, in an `Arc`.
#[derive(Debug)]
pub struct Peer {
    address: PeerAddress,
    certificate: Option<String>,
    connected: Instant,
    calls: AtomicUsize,
    /// Milliseconds from `connected` to the end of the latest call.
    last_call_ended: AtomicU64,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// Address and port.
    Tcp(SocketAddr),
    /// The process at the other end of a Unix socket.
    Unix {
        /// Its process ID, if it is in the same namespace.
        pid: Option<i32>,
        /// Its user ID.
        uid: u32,
        /// Its group ID.
        gid: u32,
    },
}

impl Peer {
    pub(crate) fn new(address: PeerAddress, certificate: Option<String>) -> Self {
        let (calls, last_call_ended) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { address, certificate, connected: Instant::now(), calls, last_call_ended }
    }

    /// Where the connection comes from.
    #[must_use]
    pub fn address(&self) -> PeerAddress {
        self.address
    }

    /// The common name (CN) of the client certificate, or its whole subject if it does not have exactly one.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    pub(crate) fn call_began(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn call_ended(&self) {
        let elapsed = u64::try_from(self.connected.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_call_ended.store(elapsed, Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Release);
    }

    /// Since when there is no call; `None` while there is one.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.calls.load(Ordering::Acquire) == 0;
        is_idle.then(|| self.connected + Duration::from_millis(self.last_call_ended.load(Ordering::Relaxed)))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix { pid: Some(pid), uid, gid } => write!(formatter, "pid {pid}, uid {uid}, gid {gid}"),
            Self::Unix { pid: None, uid, gid } => write!(formatter, "uid {uid}, gid {gid}"),
        }
    }
}
