//! What the cases are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::{InstanceId, JournalId, ServiceName};
use crate::routing::{
    Adopted, Count, FencingToken, InstanceFigures, LocatorReport, Route, RoutingTable, SessionPolicy, Share, Watermark,
};

use super::{Ask, Cookies, Harness, IGNORED};

/// A harness, with the words of the cases.
pub(super) struct Kit<H> {
    pub(super) harness: H,
    revision: std::sync::atomic::AtomicU64,
}

fn journal() -> JournalId {
    JournalId::new("suitesuite").expect("a plain name")
}

/// The `n`-th instance that one journal gave out.
pub(super) fn id(n: usize) -> InstanceId {
    let service = ServiceName::new("suite").expect("a plain name");
    InstanceId::of(&journal(), &service, u64::try_from(n).expect("small"))
}

/// The watermark of a table that no longer names instances before the `n`-th.
pub(super) fn watermark(n: usize) -> Watermark {
    Watermark { journal: journal(), oldest: u64::try_from(n).expect("small") }
}

impl<H: Harness> Kit<H> {
    pub(super) fn new(harness: H) -> Self {
        Self { harness, revision: std::sync::atomic::AtomicU64::new(0) }
    }

    /// The number of the next decision.
    pub(super) fn next(&self) -> FencingToken {
        let revision = self.revision.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        FencingToken { epoch: 3, revision }
    }

    pub(super) async fn table(&self, number: FencingToken, shares: &[(usize, u32)]) -> RoutingTable {
        let mut routes = BTreeMap::new();
        for (n, share) in shares {
            let address = self.harness.start(&id(*n)).await;
            routes.insert(id(*n), Route::new(address, Share::percent(*share)));
        }
        let ignore = vec![IGNORED.to_owned()];
        let application = self.harness.application();
        let session = SessionPolicy { idle: self.harness.idle(), ignore, application, ..SessionPolicy::default() };
        RoutingTable { service: self.harness.service(), number, session, routes, watermark: None }
    }

    /// Puts a table with these shares into force, as the next decision.
    pub(super) async fn apply(&self, shares: &[(usize, u32)]) -> FencingToken {
        let number = self.next();
        self.harness.locator().apply(&self.table(number, shares).await).await.expect("the newest number");
        number
    }

    /// As [`apply`](Self::apply), but the instance `n` is adopted. Its sessions from before come within one idle time.
    pub(super) async fn apply_adopted(&self, shares: &[(usize, u32)], n: usize, cookie: Option<&str>) {
        let number = self.next();
        let mut table = self.table(number, shares).await;
        let until = self.harness.now() + self.harness.idle();
        let adopted = Adopted { until, cookie: cookie.map(str::to_owned) };
        table.routes.get_mut(&id(n)).expect("it has a line").adopted = Some(adopted);
        self.harness.locator().apply(&table).await.expect("the newest number");
    }

    pub(super) async fn report(&self) -> LocatorReport {
        self.harness.locator().observe(&self.harness.service()).await.expect("an answer")
    }

    pub(super) async fn figures(&self, n: usize) -> InstanceFigures {
        self.report().await.instances.remove(&id(n)).unwrap_or_default()
    }

    /// Sends one request. Returns the number of the instance that served it.
    pub(super) async fn ask(&self, cookies: &mut Cookies) -> Option<usize> {
        self.ask_for(cookies, Ask::Page).await
    }

    pub(super) async fn ask_for(&self, cookies: &mut Cookies, ask: Ask) -> Option<usize> {
        number_of(&self.harness.ask(cookies, ask).await?)
    }

    /// A new client with a session on this instance, which is the only one with a share.
    pub(super) async fn settled_on(&self, n: usize) -> Cookies {
        let mut cookies = Cookies::new();
        assert_eq!(self.ask(&mut cookies).await, Some(n));
        cookies
    }

    pub(super) async fn close(&self, n: usize) -> crate::routing::CloseAnswer {
        let number = self.next();
        self.harness.locator().close(&self.harness.service(), &id(n), number).await.expect("the newest number")
    }

    pub(super) async fn evict(&self, n: usize) {
        let number = self.next();
        self.harness.locator().evict(&self.harness.service(), &id(n), number).await.expect("the newest number");
    }

    /// Lets time pass until every session that was used before has surely expired.
    pub(super) async fn expire(&self) {
        self.harness.pass(self.harness.idle() + self.harness.late()).await;
    }

    /// Restarts the locator. If it cannot be restarted there is nothing to test, and this is printed.
    pub(super) async fn restart(&self) -> bool {
        let restarted = self.harness.restart().await;
        if !restarted {
            eprintln!("LEFT OUT: what comes after a restart, as this harness cannot restart its locator");
        }
        restarted
    }

    /// Asserts a count, as exactly as the locator can count.
    pub(super) async fn assert_live(&self, n: usize, expected: u64) {
        use crate::locator::SessionCount;
        let live = self.figures(n).await.live;
        match self.harness.locator().capabilities().session_count {
            SessionCount::Exact => assert_eq!(live, Count::Exact(expected), "sessions on {n}"),
            SessionCount::UpperBound => match live {
                Count::Exact(most) | Count::AtMost(most) => assert!(most >= expected, "{most} on {n}, not {expected}"),
                Count::Unknown => {}
            },
            SessionCount::None => assert_eq!(live, Count::Unknown, "one that cannot count says so"),
        }
    }
}

pub(super) fn number_of(instance: &InstanceId) -> Option<usize> {
    usize::try_from(instance.number(&journal())?).ok()
}

/// A client that has only this cookie, which the application has set.
pub(super) fn known_by(cookie: &str) -> Cookies {
    Cookies::from([(cookie.to_owned(), "5A3C".to_owned())])
}

/// Longer than any case.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// A short time, for being just before a limit.
pub(super) const MOMENT: Duration = Duration::from_millis(10);
