//! By what a request is recognised as one of a session.

use super::client_cookie::Who;
use super::cookie::Claim;

/// A session that a request may belong to, as the application's cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sought<'a> {
    pub(super) id: u64,
    /// The instance that has set the cookie. `None`: only the table knows it.
    pub(super) instance: Option<&'a str>,
}

/// All that a request brings.
#[derive(Debug, Default)]
pub(super) struct Recognised<'a> {
    /// What the gateway's own cookie says.
    pub(super) own: Option<Claim<'a>>,
    /// What the application's cookies say, the best one first.
    pub(super) sought: Vec<Sought<'a>>,
    /// By what its client is known over its sessions, if that decides where a new one goes.
    pub(super) who: Option<Who<'a>>,
    /// Whether new sessions are known by the application's cookie.
    pub(super) by_application: bool,
}
