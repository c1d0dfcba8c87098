//! Listeners for people and programs: addresses, TLS, who calls and what a caller may do, limits.
//!
//! A service describes its listener in [`ListenerSettings`], opens it by [`Listener::bind`], and serves the connections that
//! [`Listener::incoming`] yields with tonic, or with [`serve_http`]. An [`AccessLayer`] around the service tells who calls, and refuses calls
//! that the caller may not make. It puts the [`Caller`] into the extensions of each request.
//!
//! | concern | what this crate does |
//! | --- | --- |
//! | addresses | `host:port`, or a Unix socket whose file has its mode and group before anybody can connect |
//! | exposure | an address that other hosts can reach is refused without TLS and a login, unless it is allowed |
//! | TLS | by rustls, with or without client certificates; files are read again when they change |
//! | login | bearer tokens, of which the file holds only hashes; client certificates; Unix sockets |
//! | limits | connections, time of a handshake, time of a connection without a call |

mod accept;
mod access;
mod address;
mod caller;
mod connection;
mod error;
mod files;
mod http1;
mod layer;
mod listener;
mod observer;
mod peer;
mod roles;
mod settings;
mod socket;
mod tls;
mod tokens;
mod unix;

pub use accept::Incoming;
pub use access::{Access, Refusal};
pub use address::{Address, InvalidAddress};
pub use caller::{Caller, InvalidRole, Login, Role};
pub use connection::Connection;
pub use error::{InvalidSetting, ListenError};
pub use http1::serve_http;
pub use layer::{AccessLayer, AccessService, CallBody, Protocol, grpc};
pub use listener::Listener;
pub use observer::{Event, Observer};
pub use peer::{Peer, PeerAddress};
pub use roles::{CertificateRoles, InvalidRoles};
pub use settings::{Limits, ListenerSettings, Setting, SocketPermissions, TlsFiles};

#[cfg(test)]
mod tests;
