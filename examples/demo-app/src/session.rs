//! The sessions, in memory and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The cookie that names the session.
pub const COOKIE: &str = "DEMOSESSION";

/// What an answer says of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) session: String,
    pub(crate) count: u64,
    pub(crate) user: Option<String>,
}

#[derive(Debug)]
struct Session {
    count: u64,
    user: Option<String>,
    /// Requests and WebSockets that have not ended: one that is in use does not expire.
    in_use: u32,
    last_used: Instant,
}

/// All sessions of this instance.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    idle: Duration,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<String, Session>,
    /// When those that have expired are next cleared away. Until then they are not counted and not given out.
    sweep_at: Option<Instant>,
}

impl Sessions {
    pub(crate) fn new(idle: Duration) -> Self {
        Self { idle, inner: Arc::default() }
    }

    /// Counts a request of the session, or begins a new one at 1 if it is not known. The session is in use until the
    /// answer has been dropped.
    pub(crate) fn request(&self, id: Option<&str>, now: Instant) -> (Use, Snapshot) {
        let mut inner = self.inner();
        if inner.sweep_at.is_none_or(|at| at <= now) {
            inner.by_id.retain(|_, session| !session.has_expired(self.idle, now));
            inner.sweep_at = Some(now + self.idle / 8);
        }
        let sessions = &mut inner.by_id;
        let lives = |id: &str| sessions.get(id).is_some_and(|session| !session.has_expired(self.idle, now));
        let id = match id {
            Some(id) if lives(id) => id.to_owned(),
            _ => format!("{:016x}", rand::random::<u64>()),
        };
        let session = sessions.entry(id.clone()).or_insert(Session { count: 0, user: None, in_use: 0, last_used: now });
        session.count += 1;
        session.in_use += 1;
        let snapshot = Snapshot { session: id.clone(), count: session.count, user: session.user.clone() };
        (Use { sessions: self.clone(), id }, snapshot)
    }

    /// The session as it is; `None` once it has ended.
    pub(crate) fn get(&self, id: &str) -> Option<Snapshot> {
        let inner = self.inner();
        let session = inner.by_id.get(id)?;
        Some(Snapshot { session: id.to_owned(), count: session.count, user: session.user.clone() })
    }

    pub(crate) fn login(&self, id: &str, user: String) {
        if let Some(session) = self.inner().by_id.get_mut(id) {
            session.user = Some(user);
        }
    }

    pub(crate) fn end(&self, id: &str) {
        self.inner().by_id.remove(id);
    }

    /// How many sessions live.
    pub(crate) fn live(&self, now: Instant) -> usize {
        self.inner().by_id.values().filter(|session| !session.has_expired(self.idle, now)).count()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn has_expired(&self, idle: Duration, now: Instant) -> bool {
        self.in_use == 0 && now.saturating_duration_since(self.last_used) >= idle
    }
}

/// Keeps a session from expiring while a request or a WebSocket uses it.
#[derive(Debug)]
pub(crate) struct Use {
    sessions: Sessions,
    id: String,
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.inner().by_id.get_mut(&self.id) {
            session.in_use -= 1;
            session.last_used = now();
        }
    }
}

/// The application's clock: it is a program of its own and knows nothing of Haddock's.
#[allow(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[test]
    fn a_session_counts_and_an_unknown_one_begins_anew() {
        let sessions = Sessions::new(IDLE);
        let (_, first) = sessions.request(None, now());
        let (_, second) = sessions.request(Some(&first.session), now());
        assert_eq!((first.count, second.count), (1, 2));
        let (_, other) = sessions.request(Some("unknown"), now());
        assert_eq!(other.count, 1);
        assert_ne!(other.session, "unknown", "nobody picks the id of a session");
    }

    #[test]
    fn an_idle_session_expires_but_not_one_in_use() {
        let sessions = Sessions::new(IDLE);
        let (kept, first) = sessions.request(None, now());
        assert_eq!(sessions.live(now() + 2 * IDLE), 1);
        drop(kept);
        assert_eq!(sessions.live(now() + IDLE / 2), 1);
        assert_eq!(sessions.live(now() + IDLE), 0);
        let (_, again) = sessions.request(Some(&first.session), now() + IDLE);
        assert_eq!(again.count, 1);
        assert_ne!(again.session, first.session);
    }

    #[test]
    fn a_session_that_ends_while_it_is_used_is_gone() {
        let sessions = Sessions::new(IDLE);
        let (used, first) = sessions.request(None, now());
        sessions.end(&first.session);
        drop(used);
        assert_eq!(sessions.get(&first.session), None);
    }
}
