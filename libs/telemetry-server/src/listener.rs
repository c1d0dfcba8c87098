//! A socket that is ready to accept, with all that is needed to judge who connects.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::accept::Incoming;
use crate::access::Access;
use crate::address::Address;
use crate::error::{InvalidSetting, ListenError, Problem};
use crate::files::Reloaded;
use crate::observer::Observer;
use crate::settings::{Limits, ListenerSettings, Setting};
use crate::socket::Socket;
use crate::tls::{Tls, TlsSource};
use crate::tokens::Tokens;
use crate::unix::{bind, group_of};

/// Connections that may wait until they are accepted. The system drops others, and their clients try again after a second: a
/// burst of connections would hold up everybody.
const BACKLOG: u32 = 1024;

/// A socket that is ready to accept.
///
/// ```
/// use telemetry_server::{Listener, ListenerSettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let listener = Listener::bind(&ListenerSettings::new("127.0.0.1:0".parse().unwrap())).await.unwrap();
/// assert!(!listener.is_exposed());
///
/// let beyond = Listener::bind(&ListenerSettings::new("0.0.0.0:0".parse().unwrap())).await.unwrap_err();
/// assert!(beyond.to_string().contains("can be reached from other hosts"));
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    tls: Option<Reloaded<Tls>>,
    tokens: Option<Reloaded<Tokens>>,
    limits: Limits,
    access: Access,
    address: Address,
    is_exposed: bool,
}

impl Listener {
    /// Checks `settings`, reads their files, and listens.
    ///
    /// # Errors
    /// [`ListenError::Setting`] when a setting cannot be used, [`ListenError::Bind`] when the address cannot be listened on.
    pub async fn bind(settings: &ListenerSettings) -> Result<Self, ListenError> {
        check(settings)?;
        let tls = tls_source(settings).map(Reloaded::load).transpose()?;
        let tokens = settings.tokens.clone().map(Reloaded::load).transpose()?;
        let failed = |source| ListenError::Bind { address: settings.address.clone(), source };
        let (socket, address) = match &settings.address {
            Address::Tcp { host, port } => {
                let listener = listen(host, *port).await.map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?.into();
                (Socket::Tcp(listener), address)
            }
            Address::Unix(path) => {
                let group = group_of(&settings.socket)?;
                let (listener, _file) = bind(path, settings.socket.mode, group).map_err(failed)?;
                (Socket::Unix { listener, _file }, settings.address.clone())
            }
        };
        // The host's resolver decides which IP address localhost stands for.
        check_protection(settings, &address)?;
        let access = Access::new(settings, tokens.as_ref().map(Reloaded::reader));
        let is_exposed = !address.is_loopback() && !settings.is_protected();
        Ok(Self { socket, tls, tokens, limits: settings.limits, access, address, is_exposed })
    }

    /// Where it listens, with the port that the operating system chose for port 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether other hosts can reach it without TLS or without a login.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    /// Whether callers can log in.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.access.has_login()
    }

    /// Tells who calls.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// Accepts connections until the result is dropped. `observer` is told what happens meanwhile.
    #[must_use]
    pub fn incoming(self, observer: Arc<dyn Observer>) -> Incoming {
        Incoming::new(self.socket, self.tls, self.tokens, self.limits, observer)
    }
}

/// A listener of the caller's own, with the defaults of this crate: no TLS, no login.
impl TryFrom<TcpListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<Self> {
        let address = Address::from(listener.local_addr()?);
        let settings = ListenerSettings::new(address.clone());
        let (access, is_exposed) = (Access::new(&settings, None), !address.is_loopback());
        let socket = Socket::Tcp(listener);
        Ok(Self { socket, tls: None, tokens: None, limits: settings.limits, access, address, is_exposed })
    }
}

/// Refuses settings that do not go together, or that would let strangers read along or get in.
fn check(settings: &ListenerSettings) -> Result<(), InvalidSetting> {
    let tls = &settings.tls;
    let set = [(Setting::TlsCert, &tls.cert), (Setting::TlsKey, &tls.key), (Setting::TlsClientCa, &tls.client_ca)];
    let first_set = set.into_iter().find(|(_, path)| path.is_some()).map(|(setting, _)| setting);
    if let Some(setting) = first_set {
        if matches!(settings.address, Address::Unix(_)) {
            return Err(InvalidSetting::new(setting, Problem::NotForUnixSockets));
        }
        let missing = set.into_iter().take(2).find(|(_, path)| path.is_none()).map(|(setting, _)| setting);
        if let Some(missing) = missing {
            return Err(InvalidSetting::new(setting, Problem::Needs(missing)));
        }
    }
    check_protection(settings, &settings.address)
}

/// Refuses an `address` that other hosts can reach, unless the settings protect it or allow it.
fn check_protection(settings: &ListenerSettings, address: &Address) -> Result<(), InvalidSetting> {
    if address.is_loopback() || settings.is_protected() || settings.insecure {
        return Ok(());
    }
    Err(InvalidSetting::new(Setting::Listen, Problem::Unprotected(address.clone())))
}

/// As [`TcpListener::bind`], which lets only 128 connections wait.
async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn tls_source(settings: &ListenerSettings) -> Option<TlsSource> {
    let tls = &settings.tls;
    let (cert, key) = (tls.cert.clone()?, tls.key.clone()?);
    Some(TlsSource { cert, key, client_ca: tls.client_ca.clone(), protocols: settings.protocols })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn judges_localhost_by_its_ip_address() {
        let mut settings = ListenerSettings::new("localhost:50051".parse().unwrap());
        let [loopback, beyond] = ["127.0.0.1:50051", "10.0.0.7:50051"].map(|text| text.parse().unwrap());
        check(&settings).unwrap();
        check_protection(&settings, &loopback).unwrap();
        let refused = check_protection(&settings, &beyond).unwrap_err().to_string();
        assert!(refused.starts_with("LISTEN: 10.0.0.7:50051 can be reached from other hosts"), "{refused}");
        settings.insecure = true;
        check_protection(&settings, &beyond).unwrap();
    }
}
