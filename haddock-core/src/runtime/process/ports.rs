//! Loopback ports that stand for exposed ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::error::{Error, ErrorKind, Result};

/// The range is below that of Linux's outgoing connections (32768 and up). So a busy client cannot take a port between
/// its choice and the listening on it.
const LOOPBACK_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The loopback address with this port.
pub(super) fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Whether somebody listens on the port.
pub(super) fn is_taken(port: u16) -> bool {
    TcpListener::bind(at(port)).is_err()
}

/// A port that is none of `used` and that nobody listens on.
pub(super) fn free(used: &[u16]) -> Result<u16> {
    let mut random = [0_u8; 2];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    let length = LOOPBACK_PORTS.end - LOOPBACK_PORTS.start;
    let first = u16::from_ne_bytes(random) % length;
    (0..length)
        .map(|step| LOOPBACK_PORTS.start + (first + step) % length)
        .find(|port| !used.contains(port) && !is_taken(*port))
        .ok_or_else(|| Error::new(ErrorKind::RuntimeRefused, "every loopback port from 20000 to 31999 is in use"))
}
