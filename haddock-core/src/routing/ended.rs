//! Sessions that an application has ended, as one locator tells them to another.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use crate::error::{Error, ErrorKind};

/// What a session is called at all locators that share a key: a keyed hash of its cookie, of which nobody learns the cookie.
///
/// ```
/// use haddock_core::routing::SessionKey;
///
/// let key: SessionKey = "00000000000000ff".parse()?;
/// assert_eq!(key, SessionKey(255));
/// assert_eq!(key.to_string(), "00000000000000ff");
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^[0-9a-f]{16}$")))]
pub struct SessionKey(pub u64);

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SessionKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = Some(text).filter(|text| text.len() == 16).and_then(|text| u64::from_str_radix(text, 16).ok());
        number.map(Self).ok_or_else(|| Error::new(ErrorKind::InvalidValue, "a session's key has 16 hexadecimal digits"))
    }
}

impl TryFrom<String> for SessionKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<SessionKey> for String {
    fn from(key: SessionKey) -> Self {
        key.to_string()
    }
}

/// A session that an answer of the application has ended, or has given another cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct EndedSession {
    /// Which one.
    pub key: SessionKey,
    /// How long ago that was, in milliseconds. A time of day would be wrong where clocks differ.
    #[serde(with = "millis")]
    #[cfg_attr(feature = "gateway", schemars(with = "u64"))]
    pub ago: Duration,
}

/// A part of the list of sessions that have ended at a locator, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct EndedSessions {
    /// Where the next part begins.
    pub next: u64,
    /// The sessions.
    pub sessions: Vec<EndedSession>,
}
