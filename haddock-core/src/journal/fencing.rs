//! What every journal checks so that one controller acts for a service at a time. An implementor of
//! [`Journal`](super::Journal) calls these, so that all journals refuse the same, in the same words.

use super::{Commit, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::routing::FencingToken;

/// The error of [`acquire`](super::Journal::acquire) while another holds the lease: [`Busy`](ErrorKind::Busy).
#[must_use]
pub fn busy(held: &Lease) -> Error {
    let message = format!("service `{}` is being acted on by `{}` until {}", held.service, held.holder, held.until);
    Error::new(ErrorKind::Busy, message).with_hint("submit a request to it, or wait until it has ended")
}

/// The error of a holder whose lease was taken over under the epoch `newest`: [`Fenced`](ErrorKind::Fenced).
#[must_use]
pub fn fenced(lease: &Lease, newest: u64) -> Error {
    let message = format!(
        "`{}` acted on service `{}` under epoch {}, but epoch {newest} has begun",
        lease.holder, lease.service, lease.epoch
    );
    Error::new(ErrorKind::Fenced, message)
}

/// Checks a commit before it is written. `epoch` is the newest that was given out for the service, and `last` the token of
/// its last commit.
///
/// # Errors
/// [`Fenced`](ErrorKind::Fenced) if the lease is of another epoch, or the commit is not newer than the last.
pub fn check_commit(lease: &Lease, epoch: u64, last: Option<FencingToken>, commit: &Commit) -> Result<()> {
    let number = commit.state.number;
    if lease.epoch != epoch || number.epoch != epoch {
        return Err(fenced(lease, epoch));
    }
    if last.is_some_and(|last| number <= last) {
        let last = last.unwrap_or_default();
        let message = format!("commit {number} of service `{}` is not newer than {last}", lease.service);
        return Err(Error::new(ErrorKind::Fenced, message));
    }
    Ok(())
}
