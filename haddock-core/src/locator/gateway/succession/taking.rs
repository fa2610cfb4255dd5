//! The gateway that takes over.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::message::{FromNew, FromOld, Left, PROTOCOL};
use super::wire::Wire;
use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::reach::Reach;
use crate::locator::gateway::services::Services;
use crate::name::ServiceName;

/// How long the old one may take for each step. It may have to write down a million sessions.
const STEP_LIMIT: Duration = Duration::from_secs(20);

/// What the old one offers.
#[derive(Debug)]
pub(in crate::locator::gateway) struct Heritage {
    wire: Wire,
    lock: Option<File>,
    clients: Listener,
    redirect: Listener,
    admin: Listener,
}

/// What it has given.
#[derive(Debug)]
pub(in crate::locator::gateway) struct Switched {
    /// The lock of the state directory.
    pub(in crate::locator::gateway) lock: File,
    /// What it has in flight on each service's instances.
    pub(in crate::locator::gateway) left: Vec<(ServiceName, Vec<Left>)>,
}

/// A listener, until it is taken.
type Listener = Option<(SocketAddr, TcpListener)>;

impl Heritage {
    /// Asks the gateway that has the state directory.
    pub(in crate::locator::gateway) fn ask(socket: &Path) -> Result<Self> {
        let stream = Reach::of(socket).and_then(|reach| UnixStream::connect(reach.path()));
        let stream = stream.map_err(|error| failed(&error))?;
        let mut wire = Wire::new(stream, STEP_LIMIT).map_err(|error| failed(&error))?;
        let hello = FromNew::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        wire.send(&hello, &[]).map_err(|error| failed(&error))?;
        let (offer, descriptors) = wire.receive().map_err(|error| failed(&error))?;
        let FromOld::Offer { clients, redirect, admin, .. } = offer else {
            let why =
                if let FromOld::Refused { why } = offer { why } else { "what it says is not understood".to_owned() };
            return Err(refused(&why));
        };
        let mut descriptors = descriptors.into_iter();
        let mut lock = descriptors.next();
        let mut listener = |address: Option<SocketAddr>| {
            address.and_then(|address| Some((address, TcpListener::from(descriptors.next()?))))
        };
        let (clients, redirect, admin) = (listener(Some(clients)), listener(redirect), listener(admin));
        Ok(Self { wire, lock: lock.take().map(File::from), clients, redirect, admin })
    }

    pub(in crate::locator::gateway) fn clients(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take(&mut self.clients, address)
    }

    pub(in crate::locator::gateway) fn redirect(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take(&mut self.redirect, address)
    }

    pub(in crate::locator::gateway) fn admin(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take(&mut self.admin, address)
    }

    /// This one is ready, and takes requests that are passed on at `relay`. When this returns, the old one decides nothing more,
    /// and all that it knows is on disk.
    pub(in crate::locator::gateway) fn switch(&mut self, relay: &Path) -> Result<Switched> {
        let lock = self.lock.take().ok_or_else(|| refused("the lock did not come with the offer"))?;
        let ready = FromNew::Ready { relay: relay.to_owned() };
        self.wire.send(&ready, &[]).map_err(|error| failed(&error))?;
        match self.wire.receive().map_err(|error| failed(&error))? {
            (FromOld::Switched { left }, _) => Ok(Switched { lock, left }),
            _ => Err(refused("what it says is not understood")),
        }
    }

    /// This one serves. From now on it hears what becomes of the requests that the old one still has.
    pub(in crate::locator::gateway) fn serve(
        mut self,
        services: Arc<Services>,
    ) -> Result<(Predecessor, JoinHandle<()>)> {
        let wire = self.wire.again().map_err(|error| failed(&error))?;
        self.wire.wait(None).map_err(|error| failed(&error))?;
        let is_there = Arc::new(AtomicBool::new(true));
        let predecessor = Predecessor { wire, is_there: Arc::clone(&is_there) };
        self.wire.send(&FromNew::Serves, &[]).map_err(|error| failed(&error))?;
        let mut wire = self.wire;
        let hear = move || {
            while let Ok((FromOld::Told { service, records, left }, _)) = wire.receive() {
                if let Some(service) = services.get(&service) {
                    service.hear(&records, &left);
                }
                if wire.send(&FromNew::Heard, &[]).is_err() {
                    break;
                }
            }
            // Whatever it still had has ended with it.
            services.directory().services().iter().for_each(|service| service.hear(&[], &[]));
            is_there.store(false, Ordering::Release);
        };
        let thread = std::thread::Builder::new()
            .name("gateway-hears".to_owned())
            .spawn(hear)
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a gateway thread: {error}")))?;
        Ok((predecessor, thread))
    }
}

/// The gateway whose place this one has taken, as long as it has something left.
#[derive(Debug)]
pub(in crate::locator::gateway) struct Predecessor {
    wire: UnixStream,
    is_there: Arc<AtomicBool>,
}

impl Predecessor {
    pub(in crate::locator::gateway) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Listens to it no longer.
    pub(in crate::locator::gateway) fn leave(&self) {
        let _ = self.wire.shutdown(Shutdown::Both);
    }
}

/// Takes a listener if it is the one that is wanted.
fn take(listener: &mut Listener, wanted: SocketAddr) -> Option<TcpListener> {
    let is_it = |address: &SocketAddr| *address == wanted || (wanted.port() == 0 && address.ip() == wanted.ip());
    listener.take_if(|(address, _)| is_it(address)).map(|(_, listener)| listener)
}

fn failed(error: &io::Error) -> Error {
    refused(&error.to_string())
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Busy, format!("the gateway that runs with this state directory gives nothing over: {why}"))
        .with_hint("it goes on. Stop it first, or give this one a directory of its own")
}
