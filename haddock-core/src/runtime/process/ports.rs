//! Loopback ports that stand for exposed ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::error::{Error, ErrorKind, Result};

/// Below the range that Linux takes the ports of outgoing connections from (32768 and up): a busy client must not get
/// in our way between the choice of a port and the listening on it.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The loopback address with this port.
pub(super) fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Whether somebody listens there.
pub(super) fn is_taken(port: u16) -> bool {
    TcpListener::bind(at(port)).is_err()
}

/// A port that is none of `used` and that nobody listens on.
pub(super) fn free(used: &[u16]) -> Result<u16> {
    let mut random = [0_u8; 2];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    let length = RANGE.end - RANGE.start;
    let first = u16::from_ne_bytes(random) % length;
    (0..length)
        .map(|step| RANGE.start + (first + step) % length)
        .find(|port| !used.contains(port) && !is_taken(*port))
        .ok_or_else(|| Error::new(ErrorKind::RuntimeRefused, "every loopback port from 20000 to 31999 is in use"))
}
