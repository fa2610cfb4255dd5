//! What two gateways say to each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::locator::gateway::session_log::Record;
use crate::name::ServiceName;

/// The version of these messages. Gateways of different ones do not understand each other. `Hello`, `Offer` and `Refused` stay as
/// they are, so that they can say so.
pub(super) const PROTOCOL: u32 = 1;

/// What the new one says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromNew {
    Hello {
        protocol: u32,
        version: String,
    },
    /// It can serve, and takes requests that are passed on at this socket.
    Ready {
        relay: PathBuf,
    },
    /// It serves.
    Serves,
    /// It knows what it was told.
    Heard,
}

/// What the old one says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromOld {
    /// With the lock of the directory, and the listeners of these addresses, as file descriptors in this order.
    Offer {
        protocol: u32,
        version: String,
        clients: SocketAddr,
        redirect: Option<SocketAddr>,
        admin: Option<SocketAddr>,
    },
    Refused {
        why: String,
    },
    /// It counts nothing more, and the logs of sessions are ended. What is in flight on each service's instances.
    Switched {
        left: Vec<(ServiceName, Vec<Left>)>,
    },
    /// What has become of sessions of a service, and what is in flight now.
    Told {
        service: ServiceName,
        records: Vec<Record>,
        left: Vec<Left>,
    },
}

/// What the old one still has on the instance with this mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::locator::gateway) struct Left {
    pub(in crate::locator::gateway) instance: u64,
    pub(in crate::locator::gateway) in_flight: u64,
    pub(in crate::locator::gateway) upgraded: u64,
}
