//! Peers that vanish without a word: a laptop that sleeps, a phone without a network, a host without power.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How many times a silent peer is asked before it counts as gone.
const KEEPALIVE_PROBES: u32 = 4;

/// Lets a connection end whose other end has vanished.
///
/// A silent peer is asked after `keepalive`, then four times at a quarter of that interval. So the connection ends
/// after twice that time. This does not cover data that waits to be acknowledged: the kernel then sends again instead
/// of asking, for a quarter of an hour by default. So data has to be acknowledged within the same time
/// (`TCP_USER_TIMEOUT`, RFC 5482), or within `patience` if that is longer, since this clock also runs while a live peer
/// reads nothing.
///
/// Connections that a listener accepts inherit all of it.
pub(super) fn watch(socket: &SockRef<'_>, keepalive: Option<Duration>, patience: Duration) -> io::Result<()> {
    let Some(keepalive) = keepalive else { return Ok(()) };
    // The kernel counts whole seconds.
    let keepalive = Duration::from_secs(keepalive.as_secs().max(1));
    let interval = (keepalive / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    let probes = TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some((keepalive + interval * KEEPALIVE_PROBES).max(patience)))
}
