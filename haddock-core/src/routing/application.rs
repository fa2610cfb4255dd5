//! Sessions that are known by a cookie of the application.

use serde::{Deserialize, Serialize};

/// The cookie by which an application knows its sessions, such as Tomcat's `JSESSIONID`. A locator that can read it
/// needs no cookie of its own. One that cannot goes on with its own.
///
/// A session begins when an answer sets the cookie, and not with a client's first request. It ends when an answer deletes
/// the cookie, or when it has been idle for too long.
///
/// ```
/// use haddock_core::routing::{ApplicationCookie, CookieMode, SessionPolicy};
///
/// let cookie = ApplicationCookie::new("JSESSIONID");
/// assert_eq!(cookie.mode, CookieMode::Prefix);
/// let policy = SessionPolicy { application: Some(cookie), ..SessionPolicy::default() };
/// # let _ = policy;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct ApplicationCookie {
    /// Its name. Upper and lower case differ.
    pub name: String,
    /// Where it is kept which instance has the session.
    #[serde(default)]
    pub mode: CookieMode,
}

impl ApplicationCookie {
    /// The cookie of that name, whose values get a prefix.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), mode: CookieMode::default() }
    }
}

/// Where a locator keeps which instance has a session that is known by the application's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CookieMode {
    /// In the cookie: clients get the value with a signed prefix that names the instance. The instance sees its own value.
    /// So each locator with the same key finds the instance, also after a restart. The prefix does not say when the
    /// session was last used. So a session that has expired comes back to its instance, and counts as live again, for as
    /// long as the instance is listed and not closed.
    #[default]
    Prefix,
    /// In the locator's memory only: the cookie is not changed. A locator that was restarted, and each other locator, does
    /// not know the session. The client then begins a new one.
    Learn,
}
