//! The sockets on which a gateway listens.

use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::SockRef;

use super::config::GatewayBuilder;
use super::reach::Reach;
use super::succession::Heritage;
use crate::error::{Error, ErrorKind, Result};

/// What a gateway listens on.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) clients: TcpListener,
    pub(super) redirect: Option<TcpListener>,
    pub(super) admin: Option<TcpListener>,
}

impl Listeners {
    /// Those of the gateway before, as far as they have the addresses that are wanted, and its own for the rest.
    pub(super) fn open(builder: &GatewayBuilder, heritage: Option<&mut Heritage>) -> Result<Self> {
        let mut heritage = heritage;
        let mut open = |address: SocketAddr, which: fn(&mut Heritage, SocketAddr) -> Option<TcpListener>| match heritage
            .as_mut()
            .and_then(|heritage| which(heritage, address))
        {
            Some(listener) => prepare(&listener).map_err(|error| failed(address, &error)),
            None => listen(address),
        };
        let clients = match &builder.listener {
            Some(handed) => prepare(handed).map_err(|error| failed(builder.listen, &error))?,
            None => open(builder.listen, Heritage::clients)?,
        };
        let redirect = builder.redirect.map(|address| open(address, Heritage::redirect)).transpose()?;
        let admin = builder.admin.map(|address| open(address, Heritage::admin)).transpose()?;
        Ok(Self { clients, redirect, admin })
    }

    /// The same sockets once more.
    pub(super) fn again(&self) -> Result<Self> {
        let again = |listener: &TcpListener| {
            listener.try_clone().map_err(|error| Error::new(ErrorKind::Io, format!("cannot listen twice: {error}")))
        };
        Ok(Self {
            clients: again(&self.clients)?,
            redirect: self.redirect.as_ref().map(again).transpose()?,
            admin: self.admin.as_ref().map(again).transpose()?,
        })
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        // As many as Linux allows by default.
        socket.listen(4096)?.into_std()
    };
    bind().map_err(|error| failed(address, &error))
}

/// Prepares a socket that somebody else has made, as [`listen`] prepares its own.
fn prepare(listener: &TcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    SockRef::from(listener).set_tcp_nodelay(true)?;
    listener.try_clone()
}

pub(super) fn failed(address: SocketAddr, error: &std::io::Error) -> Error {
    let kind = if error.kind() == IoErrorKind::AddrInUse { ErrorKind::PortTaken } else { ErrorKind::Io };
    Error::new(kind, format!("cannot listen on `{address}`: {error}"))
}

/// Where the gateway before passes requests on.
#[derive(Debug)]
pub(super) struct Relay(UnixListener);

impl Relay {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bind = || {
            let listener = UnixListener::bind(Reach::of(path)?.path())?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(Self(listener))
        };
        bind().map_err(|error: std::io::Error| {
            Error::new(ErrorKind::Io, format!("cannot listen on `{}`: {error}", path.display()))
                .with_hint("the state directory has to be on a file system that has sockets")
        })
    }

    pub(super) fn again(&self) -> Result<UnixListener> {
        self.0.try_clone().map_err(|error| Error::new(ErrorKind::Io, format!("cannot listen twice: {error}")))
    }
}
