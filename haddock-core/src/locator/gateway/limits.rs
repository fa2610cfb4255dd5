//! The limits of a gateway for clients and instances.

use std::time::Duration;

/// Header lines that a request may have, unless limits say otherwise: what the HTTP library takes by default.
pub(super) const DEFAULT_HEADER_LINES: usize = 100;

/// The limits of a gateway for clients and instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a request's head may have, at least 8192; a longer one is answered with 431.
    pub header_bytes: usize,
    /// Header lines that a request may have; more are answered with 431.
    pub headers: usize,
    /// How long a client may take for a request's head, from its first byte.
    pub head_within: Duration,
    /// How long a kept-alive connection of a client may be idle.
    pub keep_alive: Duration,
    /// How long a client may neither send the body that it announced nor take the response.
    pub stalled: Duration,
    /// Connections of clients at once, upgraded ones among them; more wait to be accepted.
    pub connections: usize,
    /// How long connecting to an instance may take.
    pub connect_within: Duration,
    /// How long a request of a session is tried on its instance when that refuses connections.
    pub retry_within: Duration,
    /// How long the connection to an instance may be silent, both ways, before its response begins. Then the client
    /// gets 504. An upload that flows has no limit, and time spent waiting for a client does not count.
    pub answer_within: Duration,
    /// How long a connection to a client or an instance may be silent before the other end is asked whether it is still
    /// there (TCP keepalive); at least a second. A connection whose other end has vanished, such as with a lost
    /// network, ends after about twice this time. So does one that acknowledges nothing. `None`: nobody is asked, and
    /// such a connection may count for ever.
    pub tcp_keepalive: Option<Duration>,
    /// How long an upgraded connection (a WebSocket) may be silent before it is ended. `None`: as long as both ends are
    /// there.
    pub tunnel_idle: Option<Duration>,
    /// How long an idle connection to an instance is kept.
    pub pool_idle: Duration,
    /// Requests of each service that may wait at once while an instance is held; more are answered with 503.
    pub held: usize,
    /// Sessions of each service that can be counted, 32 bytes each. With more, the counts are unknown.
    pub sessions: u32,
}

impl Default for Limits {
    /// 16 KiB and 100 lines of head within 10 s; 75 s kept alive; 60 s stalled; 10 000 connections; 2 s to connect and
    /// to retry; 5 min to answer; asked after 60 s of silence whether it is there; no limit on idle upgraded connections; 15 s
    /// in the pool; 10 000 that wait; a million sessions.
    fn default() -> Self {
        Self {
            header_bytes: 16 * 1024,
            headers: DEFAULT_HEADER_LINES,
            head_within: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            stalled: Duration::from_secs(60),
            connections: 10_000,
            connect_within: Duration::from_secs(2),
            retry_within: Duration::from_secs(2),
            answer_within: Duration::from_secs(300),
            tcp_keepalive: Some(Duration::from_secs(60)),
            tunnel_idle: None,
            pool_idle: Duration::from_secs(15),
            held: 10_000,
            sessions: 1_000_000,
        }
    }
}
