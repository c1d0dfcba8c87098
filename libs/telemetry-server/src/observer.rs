//! What a listener tells besides the connections that it yields.

use std::fmt::Debug;
use std::io;

use crate::error::InvalidSetting;
use crate::peer::PeerAddress;
use crate::settings::Setting;

/// What happens at a listener besides connections that can be served.
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection could not be accepted, most often because no file descriptors are left. It is tried again. Told once until
    /// it works again.
    AcceptFailed(&'a io::Error),
    /// Connections are accepted again.
    Accepting,
    /// A connection was closed at once, because there are as many as [`Limits::connections`](crate::Limits::connections) allows.
    TooManyConnections {
        /// How many are allowed.
        max: usize,
    },
    /// A TLS handshake failed: the client does not trust the certificate, has none that is trusted, took too long, or does not
    /// speak TLS.
    HandshakeFailed {
        /// Where the connection came from.
        address: PeerAddress,
        /// Why.
        error: &'a io::Error,
    },
    /// Changed files are in force: [`Setting::TlsCert`] stands for all files of TLS.
    Reloaded(Setting),
    /// Changed files cannot be used. What was in force stays.
    ReloadFailed(&'a InvalidSetting),
}

/// Is told what happens at a listener.
pub trait Observer: Debug + Send + Sync + 'static {
    /// Takes note of `event`. It must not block.
    fn notify(&self, event: &Event<'_>);
}
