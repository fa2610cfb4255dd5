//! The locator as data.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::site::Site;
use crate::error::Result;
use crate::name::{InstanceId, ServiceName};
use crate::routing::{CloseAnswer, LocatorReport, Number, RoutingTable};
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
}

/// A request on its way. Give it back with [`SimLocatorCore::finish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The session that it belongs to.
    pub session: SessionId,
    /// Where it went.
    pub instance: InstanceId,
    /// The address that the table gave.
    pub address: SocketAddr,
    /// Whether it opened the session.
    pub opened: bool,
    /// Whether it is an upgraded connection.
    pub upgraded: bool,
    pub(super) incarnation: u64,
}

/// Which rules of a locator are kept: all, outside the tests that prove that each is needed.
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
    /// After a restart, what lives is not known for one idle period.
    pub unknown_after_restart: bool,
    /// A request with a cookie of the application's alone goes to the instance that was adopted.
    pub follow_foreign: bool,
    /// Until the sessions from before its adoption have come or expired, what lives on it is not known.
    pub unknown_while_adopted: bool,
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
    };
}

/// A locator without I/O. Methods that change or read what depends on time take it as an argument; it must not run
/// backwards.
#[derive(Debug, Clone)]
pub struct SimLocatorCore {
    rules: LocatorRules,
    id: u16,
    incarnation: u64,
    counting_since: Timestamp,
    opened: u64,
    services: BTreeMap<ServiceName, Site>,
}

impl SimLocatorCore {
    /// An empty locator. `id` keeps its sessions apart from those of other locators.
    #[must_use]
    pub fn new(id: u16, now: Timestamp) -> Self {
        Self::by_rules(LocatorRules::ALL, id, now)
    }

    /// A locator with some rules switched off.
    #[must_use]
    pub fn by_rules(rules: LocatorRules, id: u16, now: Timestamp) -> Self {
        Self { rules, id, incarnation: 1, counting_since: now, opened: 0, services: BTreeMap::new() }
    }

    /// Its life: one more after each restart.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The table in force for a service.
    #[must_use]
    pub fn table(&self, service: &ServiceName) -> Option<&RoutingTable> {
        self.services.get(service)?.table.as_ref()
    }

    /// The newest number seen for a service.
    #[must_use]
    pub fn newest(&self, service: &ServiceName) -> Number {
        self.services.get(service).map(|site| site.newest).unwrap_or_default()
    }

    /// Whether the instance is closed.
    #[must_use]
    pub fn is_closed(&self, service: &ServiceName, instance: &InstanceId) -> bool {
        self.services.get(service).is_some_and(|site| site.closed.contains(instance))
    }

    /// Its figures for a service.
    #[must_use]
    pub fn report(&mut self, service: &ServiceName, now: Timestamp) -> LocatorReport {
        let restarted = self.incarnation > 1 && self.rules.unknown_after_restart;
        let anew_since = restarted.then_some(self.counting_since);
        let site = self.services.entry(service.clone()).or_default();
        site.expire(now);
        LocatorReport {
            incarnation: self.incarnation,
            counting_since: self.counting_since,
            newest: site.newest,
            table: site.table.as_ref().map(|table| table.number),
            instances: site.figures(&self.rules, anew_since, now),
            hosts: Vec::new(),
            unsaved: None,
        }
    }

    /// Begins a request: a sticky one goes where its cookie says, if that is listed, not closed, and the session has
    /// not expired; any other opens a session at an instance with a share. `None`: nothing has one, the answer is 503.
    pub fn begin(
        &mut self,
        service: &ServiceName,
        cookie: Option<&Cookie>,
        upgraded: bool,
        now: Timestamp,
    ) -> Option<Ticket> {
        let site = self.services.get_mut(service)?;
        site.expire(now);
        let sticky = cookie.filter(|cookie| site.follows(&self.rules, cookie, now));
        if let Some(cookie) = sticky {
            let (session, instance) = (cookie.session, cookie.instance.clone());
            let address = site.begin(session, &instance, false, upgraded, now)?;
            return Some(Ticket { session, instance, address, opened: false, upgraded, incarnation: self.incarnation });
        }
        let instance = site.next()?;
        self.open(service, instance, upgraded, now)
    }

    /// Begins a request that carries a cookie of the application's of that name, and none of ours: of a client that has
    /// a session from before an instance was adopted, perhaps. It opens a session there if there is such an instance,
    /// else as [`begin`](Self::begin) does.
    pub fn begin_foreign(
        &mut self,
        service: &ServiceName,
        cookie: &str,
        upgraded: bool,
        now: Timestamp,
    ) -> Option<Ticket> {
        let site = self.services.get_mut(service)?;
        site.expire(now);
        match site.adopted(cookie, now).filter(|_| self.rules.follow_foreign) {
            Some(instance) => self.open(service, instance, upgraded, now),
            None => self.begin(service, None, upgraded, now),
        }
    }

    fn open(&mut self, service: &ServiceName, instance: InstanceId, upgraded: bool, now: Timestamp) -> Option<Ticket> {
        self.opened += 1;
        let session = SessionId((u64::from(self.id) << 48) | (self.incarnation << 32) | self.opened);
        let address = self.services.get_mut(service)?.begin(session, &instance, true, upgraded, now)?;
        Some(Ticket { session, instance, address, opened: true, upgraded, incarnation: self.incarnation })
    }

    /// Ends a request; the session's idle time counts from here. Answers with the cookie that the client keeps, or
    /// `None` if the connection was cut by a restart of the locator, or the session by an eviction.
    pub fn finish(&mut self, service: &ServiceName, ticket: &Ticket, failed: bool, now: Timestamp) -> Option<Cookie> {
        if ticket.incarnation != self.incarnation {
            return None;
        }
        let site = self.services.get_mut(service)?;
        site.finish(ticket, failed, now).then(|| Cookie {
            session: ticket.session,
            instance: ticket.instance.clone(),
            last_use: now,
        })
    }

    /// Puts a table into force.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    pub fn apply(&mut self, table: &RoutingTable) -> Result<()> {
        let site = self.services.entry(table.service.clone()).or_default();
        site.take_number(&self.rules, table.number)?;
        site.apply(table);
        Ok(())
    }

    /// Closes an instance on which nothing is left.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    pub fn close(
        &mut self,
        service: &ServiceName,
        instance: &InstanceId,
        number: Number,
        now: Timestamp,
    ) -> Result<CloseAnswer> {
        let report = self.report(service, now);
        let site = self.services.entry(service.clone()).or_default();
        site.take_number(&self.rules, number)?;
        let figures = report.instances.get(instance).cloned().unwrap_or_default();
        let has_share = figures.share.is_some_and(|share| !share.is_zero());
        let busy = !figures.closed && (has_share || !figures.is_empty());
        if busy && self.rules.refuse_busy {
            return Ok(CloseAnswer::Busy(figures));
        }
        site.closed.insert(instance.clone());
        Ok(CloseAnswer::Closed)
    }

    /// Closes an instance whatever is left on it.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    pub fn evict(
        &mut self,
        service: &ServiceName,
        instance: &InstanceId,
        number: Number,
        now: Timestamp,
    ) -> Result<()> {
        let site = self.services.entry(service.clone()).or_default();
        site.take_number(&self.rules, number)?;
        site.expire(now);
        site.evict(instance);
        Ok(())
    }

    /// The process ends and comes back: connections are cut and what it counted is forgotten; newest number, table
    /// and closed marks were on disk.
    pub fn restart(&mut self, now: Timestamp) {
        self.incarnation += 1;
        self.counting_since = now;
        for site in self.services.values_mut() {
            site.restart(self.rules.persist);
        }
    }
}
