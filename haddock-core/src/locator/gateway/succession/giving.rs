//! The gateway that is replaced.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

use super::heir::Heir;
use super::message::{FromNew, FromOld, PROTOCOL};
use super::stage::Stage;
use super::wire::Wire;
use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::connection::Shared;
use crate::locator::gateway::listeners::Listeners;
use crate::locator::gateway::reach::Reach;

/// How long the new one may take for each step. Until it has taken the last, requests wait for at most this time.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to hear of a session. An answer waits for that.
const HEAR_LIMIT: Duration = Duration::from_secs(2);
/// How often it is looked whether the gateway ends.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for a gateway that takes over, on a thread of its own.
pub(in crate::locator::gateway) fn spawn(estate: Listeners, shared: Arc<Shared>) -> Result<JoinHandle<()>> {
    let path = shared.services.maker.store.succession_file();
    let listener = listen(&path).map_err(|error| cannot(&path, &error))?;
    std::thread::Builder::new()
        .name("gateway-heir".to_owned())
        .spawn(move || wait(&path, listener, &estate, &shared))
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a gateway thread: {error}")))
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot listen on `{}`: {error}", path.display()))
        .with_hint("the state directory has to be on a file system that has sockets")
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // What is there is of a gateway that has ended, or gives this one its place: the directory is ours.
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(Reach::of(path)?.path())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    // Also for `accept`.
    SockRef::from(&listener).set_read_timeout(Some(LOOK))?;
    Ok(listener)
}

fn wait(path: &PathBuf, mut listener: UnixListener, estate: &Listeners, shared: &Arc<Shared>) {
    let mut ours = which(path);
    while !shared.stop.is_cancelled() {
        let Ok((stream, _)) = listener.accept() else { continue };
        match give(stream, estate, shared) {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, "another gateway did not take over, and this one goes on");
                // The other one may have put its own socket in the place of ours.
                if which(path) != ours {
                    match listen(path) {
                        Ok(again) => listener = again,
                        Err(error) => tracing::warn!(%error, "no other gateway can take over from this one"),
                    }
                    ours = which(path);
                }
            }
        }
    }
    let _ = fs::remove_file(path);
}

/// Which socket is at this path.
fn which(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|file| file.ino())
}

fn give(stream: UnixStream, estate: &Listeners, shared: &Arc<Shared>) -> Result<()> {
    let failed = |error: io::Error| Error::new(ErrorKind::Io, format!("the other gateway left: {error}"));
    let wire = is_ours(&stream).and_then(|()| Wire::new(stream, STEP_LIMIT));
    let mut wire = wire.map_err(failed)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    match wire.receive().map_err(failed)? {
        (FromNew::Hello { protocol: PROTOCOL, version }, _) => {
            tracing::info!(%version, "another gateway takes over");
        }
        (FromNew::Hello { protocol, version: theirs }, _) => {
            let why = format!(
                "gateway {version} speaks version {PROTOCOL} of the hand-over, and {theirs} version {protocol}"
            );
            wire.send(&FromOld::Refused { why: why.clone() }, &[]).map_err(failed)?;
            return Err(Error::new(ErrorKind::NotSupported, why));
        }
        _ => return Err(failed(io::ErrorKind::InvalidData.into())),
    }
    let store = &shared.services.maker.store;
    let lock = store.lock_again()?;
    let address = |listener: &Option<TcpListener>| -> io::Result<Option<SocketAddr>> {
        listener.as_ref().map(TcpListener::local_addr).transpose()
    };
    let offer = FromOld::Offer {
        protocol: PROTOCOL,
        version,
        clients: estate.clients.local_addr().map_err(failed)?,
        redirect: address(&estate.redirect).map_err(failed)?,
        admin: address(&estate.admin).map_err(failed)?,
    };
    let listeners = [Some(&estate.clients), estate.redirect.as_ref(), estate.admin.as_ref()];
    let mut descriptors = vec![lock.as_fd()];
    descriptors.extend(listeners.into_iter().flatten().map(|listener| listener.as_fd()));
    wire.send(&offer, &descriptors).map_err(failed)?;
    let (FromNew::Ready { relay }, _) = wire.receive().map_err(failed)? else {
        return Err(failed(io::ErrorKind::InvalidData.into()));
    };

    shared.stage.send_replace(Stage::Passes);
    let given = switch(&mut wire, shared);
    let services = shared.services.directory();
    match given {
        Ok(()) => {
            store.give_back();
            let heir = wire.wait(Some(HEAR_LIMIT)).map(|()| Arc::new(Heir::new(wire)));
            if let Ok(heir) = heir {
                services.services().iter().for_each(|service| service.has_heir(&heir));
            }
            shared.stage.send_replace(Stage::Replaced(relay.into()));
            Ok(())
        }
        Err(error) => {
            // It may still be there. Without an answer of ours it gives up.
            drop(wire);
            shared.services.take_back();
            services.services().iter().for_each(|service| service.take_back());
            shared.stage.send_replace(Stage::Serves);
            Err(error)
        }
    }
}

/// Gives the services away, and waits until the other one serves them.
fn switch(wire: &mut Wire, shared: &Shared) -> Result<()> {
    let failed = |error: io::Error| Error::new(ErrorKind::Io, format!("the other gateway left: {error}"));
    shared.services.give();
    let services = shared.services.directory();
    let mut left = Vec::new();
    for service in services.services() {
        left.push((service.name.clone(), service.give()?));
    }
    wire.send(&FromOld::Switched { left }, &[]).map_err(failed)?;
    match wire.receive().map_err(failed)? {
        (FromNew::Serves, _) => Ok(()),
        _ => Err(failed(io::ErrorKind::InvalidData.into())),
    }
}

/// Whether who is there runs as the same user.
fn is_ours(stream: &UnixStream) -> io::Result<()> {
    let theirs = rustix::net::sockopt::socket_peercred(stream)?.uid;
    let ours = rustix::process::geteuid();
    if theirs == ours || theirs.is_root() { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}
