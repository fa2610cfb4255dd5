//! The sessions of a simulated locator, and the rules by which it treats them.

use std::net::SocketAddr;

use crate::name::InstanceId;
use crate::time::Timestamp;

/// A session, unique over all locators of a simulation and all their lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What a client keeps: which session, where, and when it was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// The session.
    pub session: SessionId,
    /// Its instance.
    pub instance: InstanceId,
    /// When its last response ended.
    pub last_use: Timestamp,
    /// Who the client is: the number of its first session. It outlives its sessions.
    pub client: u64,
}

/// A request on its way. Give it back with [`SimLocatorCore::finish`](super::SimLocatorCore::finish).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The session that it belongs to.
    pub session: SessionId,
    /// Where it went.
    pub instance: InstanceId,
    /// The address that the table gave.
    pub address: SocketAddr,
    /// Who sent it: the number of its client's first session.
    pub client: u64,
    /// Whether it opened the session.
    pub opened: bool,
    /// Whether it is an upgraded connection.
    pub upgraded: bool,
    pub(super) incarnation: u64,
}

/// Which rules of a locator are kept. All of them are, except in the tests that prove that each is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocatorRules {
    /// A call with a number older than the newest is refused.
    pub refuse_older: bool,
    /// A cookie of a session that this locator has never seen is followed.
    pub follow_unseen: bool,
    /// A cookie older than the idle time opens a new session.
    pub expire_cookies: bool,
    /// A close is refused while there is a share, or something live, in flight or upgraded.
    pub refuse_busy: bool,
    /// Newest number, table and closed marks outlive a restart.
    pub persist: bool,
    /// For one idle time after a restart, the number of live sessions is unknown.
    pub unknown_after_restart: bool,
    /// A request that has only a cookie of the application goes to the instance that was adopted.
    pub follow_foreign: bool,
    /// Until the sessions from before its adoption have come or expired, the number of live sessions on it is unknown.
    pub unknown_while_adopted: bool,
    /// No session comes back to an instance that is [closing](crate::routing::Route::closing).
    pub keep_out_while_closing: bool,
}

impl LocatorRules {
    /// All rules.
    pub const ALL: Self = Self {
        refuse_older: true,
        follow_unseen: true,
        expire_cookies: true,
        refuse_busy: true,
        persist: true,
        unknown_after_restart: true,
        follow_foreign: true,
        unknown_while_adopted: true,
        keep_out_while_closing: true,
    };
}
