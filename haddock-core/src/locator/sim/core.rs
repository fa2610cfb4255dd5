//! The locator as data.

use std::collections::BTreeMap;

use super::service::{Opened, SimService};
use super::session::{Cookie, LocatorRules, SessionId, Ticket};
use crate::error::Result;
use crate::name::{InstanceId, ServiceName};
use crate::routing::{CloseAnswer, FencingToken, LocatorReport, RoutingTable};
use crate::time::Timestamp;

/// A locator without I/O. Methods whose result depends on time take it as an argument. Time must not run backwards.
#[derive(Debug, Clone)]
pub struct SimLocatorCore {
    rules: LocatorRules,
    id: u16,
    incarnation: u64,
    counting_since: Timestamp,
    opened: u64,
    services: BTreeMap<ServiceName, SimService>,
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

    /// Its incarnation: one more after each restart.
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
    pub fn newest(&self, service: &ServiceName) -> FencingToken {
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
            newest: site.newest,
            table: site.table.as_ref().map(|table| table.number),
            instances: site.figures(&self.rules, anew_since, now),
            counted: site.counted(),
            ..LocatorReport::new(self.incarnation, self.counting_since)
        }
    }

    /// Begins a request. One with a cookie goes to the instance in the cookie, if that is listed and not closed and the
    /// session has not expired. Any other opens a session at an instance with a share; the client of the cookie may decide at
    /// which, as [`SessionBy::Client`](crate::routing::SessionBy) says. `None`: no instance has one, so
    /// the answer is 503.
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
            let address = site.begin(session, &instance, Opened::Before, upgraded, now)?;
            let (client, incarnation) = (cookie.client, self.incarnation);
            return Some(Ticket { session, instance, address, client, opened: false, upgraded, incarnation });
        }
        let session = self.next_session();
        let client = cookie.map_or(session.0, |cookie| cookie.client);
        let instance = self.services.get_mut(service)?.next(client)?;
        self.open(service, session, client, instance, Opened::ByChance, upgraded, now)
    }

    /// Whether a request with this cookie waits for a moment before it can [begin](Self::begin), because its instance is
    /// [closing](crate::routing::Route::closing). The caller decides for how long.
    #[must_use]
    pub fn waits(&mut self, service: &ServiceName, cookie: &Cookie, now: Timestamp) -> bool {
        let Some(site) = self.services.get_mut(service) else { return false };
        site.expire(now);
        site.waits(&self.rules, cookie)
    }

    /// Begins a request that has a cookie of the application with this name, and none of ours. Perhaps its client has a
    /// session from before an instance was adopted. If there is such an instance, the request opens a session there.
    /// Otherwise it is served as by [`begin`](Self::begin).
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
            Some(instance) => {
                let session = self.next_session();
                self.open(service, session, session.0, instance, Opened::ByCookie, upgraded, now)
            }
            None => self.begin(service, None, upgraded, now),
        }
    }

    fn next_session(&mut self) -> SessionId {
        self.opened += 1;
        SessionId((u64::from(self.id) << 48) | (self.incarnation << 32) | self.opened)
    }

    #[expect(clippy::too_many_arguments, reason = "a session is all of this")]
    fn open(
        &mut self,
        service: &ServiceName,
        session: SessionId,
        client: u64,
        instance: InstanceId,
        opened: Opened,
        upgraded: bool,
        now: Timestamp,
    ) -> Option<Ticket> {
        let address = self.services.get_mut(service)?.begin(session, &instance, opened, upgraded, now)?;
        Some(Ticket { session, instance, address, client, opened: true, upgraded, incarnation: self.incarnation })
    }

    /// Ends a request. The session's idle time counts from here. Returns the cookie that the client keeps, or `None` if
    /// a restart of the locator cut the connection, or an eviction ended the session.
    pub fn finish(&mut self, service: &ServiceName, ticket: &Ticket, failed: bool, now: Timestamp) -> Option<Cookie> {
        if ticket.incarnation != self.incarnation {
            return None;
        }
        let site = self.services.get_mut(service)?;
        site.finish(ticket, failed, now).then(|| Cookie {
            session: ticket.session,
            instance: ticket.instance.clone(),
            last_use: now,
            client: ticket.client,
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
        number: FencingToken,
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
        number: FencingToken,
        now: Timestamp,
    ) -> Result<()> {
        let site = self.services.entry(service.clone()).or_default();
        site.take_number(&self.rules, number)?;
        site.expire(now);
        site.evict(instance);
        Ok(())
    }

    /// The process ends and is started again. Connections are cut, and what it counted is forgotten. The newest number,
    /// the table and the closed marks were on disk.
    pub fn restart(&mut self, now: Timestamp) {
        self.incarnation += 1;
        self.counting_since = now;
        for site in self.services.values_mut() {
            site.restart(self.rules.persist);
        }
    }
}
