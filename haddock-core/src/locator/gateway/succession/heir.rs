//! How a gateway that was replaced tells the new one what becomes of the requests that it still has.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::message::{FromNew, FromOld, Left};
use super::wire::Wire;
use crate::locator::gateway::session_log::Record;
use crate::name::ServiceName;

/// The gateway that has taken over.
#[derive(Debug)]
pub(in crate::locator::gateway) struct Heir(Mutex<Option<Wire>>);

impl Heir {
    pub(super) fn new(wire: Wire) -> Self {
        Self(Mutex::new(Some(wire)))
    }

    /// Tells it what has become of sessions of a service, and what is in flight. When this returns, it knows, or is gone.
    pub(in crate::locator::gateway) fn tell(&self, service: &ServiceName, records: &[Record], left: &[Left]) {
        let mut wire = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = wire.as_mut() else { return };
        let told = FromOld::Told { service: service.clone(), records: records.to_vec(), left: left.to_vec() };
        let heard = open.send(&told, &[]).and_then(|()| match open.receive()? {
            (FromNew::Heard, _) => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        });
        if let Err(error) = heard {
            tracing::warn!(%error, "the gateway that has taken over hears nothing more of the requests that are left here");
            *wire = None;
        }
    }
}
