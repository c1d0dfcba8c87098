//! A socket that listens.

use std::io;

use tokio::net::{TcpListener, UnixListener};

use crate::connection::Stream;
use crate::peer::PeerAddress;
use crate::unix::SocketFile;

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Socket {
    pub(crate) async fn accept(&self) -> io::Result<(Stream, PeerAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), PeerAddress::Tcp(address)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?;
                Ok((Stream::Unix(stream), PeerAddress::Unix { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() }))
            }
        }
    }
}
