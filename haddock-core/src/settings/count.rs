//! What an application is asked for its own number of sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::routing::millis;

/// What an application is asked for its own number of sessions, while one of its instances drains.
///
/// ```
/// use haddock_core::environment::CountSettings;
///
/// let count = CountSettings { pointer: Some("/active".to_owned()), ..CountSettings::new("/sessions") };
/// assert_eq!(count.every.as_secs(), 10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountSettings {
    /// The path that is asked for, at the entry's port. The answer has to be 2xx within 2 s, with a body of at most
    /// 64 KiB that is the number, or JSON that has it.
    pub http: String,
    /// Where the number is within the JSON (RFC 6901); `None`: the whole body is the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// How long after an answer, or none, it is asked again.
    #[serde(with = "millis")]
    pub every: Duration,
}

impl CountSettings {
    /// How often an instance is asked by default.
    pub const DEFAULT_EVERY: Duration = Duration::from_secs(10);

    /// This path, whose answer is the number, every 10 s.
    #[must_use]
    pub fn new(http: impl Into<String>) -> Self {
        Self { http: http.into(), pointer: None, every: Self::DEFAULT_EVERY }
    }
}
