//! Peers that vanish without a word: a laptop that sleeps, a phone without a network, a host without power.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How often a silent peer is asked, one after the other, before it counts as gone.
const PROBES: u32 = 4;

/// Lets a connection end whose other end has vanished.
///
/// A silent one is asked after `keepalive`, and then four times as often: it ends after twice that time. That covers nothing
/// that waits to be acknowledged, since the kernel then sends again instead of asking, for a quarter of an hour by default. So
/// what was sent has to be acknowledged within the same time (`TCP_USER_TIMEOUT`, RFC 5482), or within `patience` if that is
/// longer: it runs as well while the other end is there and takes nothing.
///
/// What a listener accepts inherits all of it.
pub(super) fn watch(socket: &SockRef<'_>, keepalive: Option<Duration>, patience: Duration) -> io::Result<()> {
    let Some(keepalive) = keepalive else { return Ok(()) };
    // The kernel counts whole seconds.
    let keepalive = Duration::from_secs(keepalive.as_secs().max(1));
    let interval = (keepalive / PROBES).max(Duration::from_secs(1));
    let probes = TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some((keepalive + interval * PROBES).max(patience)))
}
