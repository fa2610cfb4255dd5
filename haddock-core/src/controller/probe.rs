//! How an instance is asked whether it is ready.

use std::net::SocketAddr;

use crate::environment::Readiness;
use crate::runtime::probe::Probe;

/// The readiness probe of an instance. `host` is the host name that clients use for the service.
pub(crate) fn probe_of(ready: &Readiness, address: SocketAddr, host: Option<&str>) -> Probe {
    let host = ready.host.as_deref().or(host).map(str::to_owned);
    Probe { address, http: ready.http.clone(), host }
}
