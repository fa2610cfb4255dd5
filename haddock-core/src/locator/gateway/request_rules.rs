//! What counts as failed and as slow, of one service, as the table in force has it.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName};

use crate::routing::{FailedPolicy, SessionPolicy};

/// The rules of a table. Each request keeps those under which it began.
#[derive(Debug)]
pub(super) struct RequestRules {
    failed: FailedPolicy,
    /// The policy's header, ready to be looked up.
    header: Option<HeaderName>,
    slow: Option<Duration>,
    /// What answers of instances that drain get.
    draining: Option<HeaderName>,
}

impl RequestRules {
    pub(super) fn of(policy: &SessionPolicy) -> Self {
        let header = policy.failed.header.as_ref();
        // No response has a header whose name is not valid.
        let header = header.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let draining = policy.draining_header.as_ref();
        let draining = draining.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        Self { failed: policy.failed.clone(), header, slow: policy.slow, draining }
    }

    /// The header that answers of instances that drain get.
    #[inline]
    pub(super) fn draining(&self) -> Option<&HeaderName> {
        self.draining.as_ref()
    }

    /// Whether an answer means that the request has failed.
    #[inline]
    pub(super) fn is_failed(&self, path: &str, status: u16, headers: &HeaderMap) -> bool {
        let has_header = |_: &str| self.header.as_ref().is_some_and(|name| headers.contains_key(name));
        self.failed.is_failed(path, Some(status), has_header)
    }

    /// Whether a request without an answer, or whose answer broke off, has failed.
    pub(super) fn is_lost(&self, path: &str) -> bool {
        self.failed.is_failed(path, None, |_| false)
    }

    /// Whether there is a limit after which a request is slow.
    #[inline]
    pub(super) fn times(&self) -> bool {
        self.slow.is_some()
    }

    /// Whether a request was slow whose answer took this long to begin.
    pub(super) fn is_slow(&self, path: &str, took: Duration) -> bool {
        self.slow.is_some_and(|limit| took > limit) && self.failed.counts(path)
    }
}
