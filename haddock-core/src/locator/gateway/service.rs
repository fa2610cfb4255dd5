//! A service of a gateway: the locator's verbs, what is kept of it, and what is due.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{
    CloseAnswer, EndedSession, EndedSessions, FencingToken, LocatorReport, RemainingSessions, RoutingTable,
    TrafficRecord,
};
use crate::time::{Clock, Timestamp};

use super::application::SessionCookies;
use super::client_cookie::ClientSealer;
use super::cookie::{self, Sealer};
use super::events::{Events, Happened};
use super::host::host_name;
use super::key::Keys;
use super::logged_routing::{LoggedRouting, RoutingGuard};
use super::recognised::Recognised;
use super::route::RouteSealer;
use super::service_routing::{Before, ServiceRouting, Timings};
use super::session_log::{self, Boot, Record, SessionLog};
use super::store::{Saved, Store};
use super::succession::{Heir, Left};
use super::traffic::Traffic;

/// Sessions that are looked at before the lock is let go, so that requests wait for about 100 µs at most.
const SWEEP_BATCH: u32 = 1024;
/// Entries that are looked at under one lock: some 100 µs.
const SURVEY_BATCH: u32 = 64 * 1024;
/// The same, of which each may be written down.
const LOG_BATCH: u32 = 4 * 1024;

/// The longest hold, however long it is asked for: clients do not wait for ever.
const MAX_HOLD: Duration = Duration::from_secs(300);

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: ServiceName,
    /// The hosts under which clients ask for it, without ports. If empty, it takes all hosts that no other service has.
    pub(super) hosts: Vec<String>,
    /// The name of its cookie.
    pub(super) cookie: Box<[u8]>,
    pub(super) sealer: Sealer,
    pub(super) routes: RouteSealer,
    pub(super) clients: ClientSealer,
    /// Whether requests are read for cookies of the application: most services have none, and pay one look at a flag.
    has_cookies: AtomicBool,
    /// Whether clients are known over their sessions.
    is_by_client: AtomicBool,
    routing: Mutex<LoggedRouting>,
    /// What is on disk. It is locked during a verb, so verbs run one at a time.
    saved: Mutex<Option<Saved>>,
    store: Store,
    clock: Arc<dyn Clock>,
    /// Grows each time that waiting requests may go on.
    resumed: watch::Sender<u64>,
    /// Requests that wait.
    waiting: AtomicUsize,
    /// Why the last change could not be written to disk.
    unsaved: Mutex<Option<String>>,
    traffic: Mutex<Traffic>,
    events: Arc<Events>,
    /// When to record traffic again, in milliseconds since the Unix epoch.
    traffic_due: AtomicU64,
    /// When to look after the log of sessions again.
    log_due: AtomicU64,
}

impl Service {
    /// The routing, locked. What has to be in the log of sessions is there before the lock is let go.
    #[inline]
    pub(super) fn routing(&self) -> RoutingGuard<'_> {
        RoutingGuard::new(self.logged(), &*self.clock)
    }

    fn logged(&self) -> MutexGuard<'_, LoggedRouting> {
        // After a panic the state is still good enough for later callers.
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The cookies of the application by which sessions are known, if they are.
    #[inline]
    pub(super) fn cookies(&self) -> Option<Arc<SessionCookies>> {
        if self.has_cookies.load(Ordering::Acquire) { self.routing().cookies() } else { None }
    }

    /// Whether a new session's client decides where it goes.
    #[inline]
    pub(super) fn is_by_client(&self) -> bool {
        self.is_by_client.load(Ordering::Acquire)
    }

    pub(super) fn apply(&self, table: &RoutingTable) -> Result<()> {
        let mut saved = self.turn()?;
        self.check(table.number)?;
        // First to disk: a table that cannot be written is not put into force.
        let new = self.routing().to_save(self.name.clone(), table.number, Some(table));
        self.keep(&mut saved, new)?;
        let before: BTreeSet<InstanceId> =
            self.routing().table().into_iter().flat_map(|it| it.routes.keys().cloned()).collect();
        let mut routing = self.routing();
        routing.apply(table, self.clock.now());
        self.has_cookies.store(routing.cookies().is_some(), Ordering::Release);
        self.is_by_client.store(routing.is_by_client(), Ordering::Release);
        drop(routing);
        self.wake();
        self.tell_of_table(&before, table);
        Ok(())
    }

    /// Lets the requests that wait find out whether they still have to.
    fn wake(&self) {
        self.resumed.send_modify(|resumed| *resumed += 1);
    }

    pub(super) fn close(&self, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        let mut saved = self.turn()?;
        self.check(number)?;
        self.sweep();
        // First into force, so that no request slips in after the look. If it cannot be written to disk, it stays in
        // force but is not reported, because the instance would be open again after a restart.
        let was_closed = self.routing().is_closed(instance);
        let answer = self.routing().close(instance, number, self.clock.now());
        self.keep_as_it_is(&mut saved)?;
        self.wake();
        if !was_closed && answer == CloseAnswer::Closed {
            self.tell(|service| Happened::InstanceClosed { service, instance: instance.clone() });
        }
        Ok(answer)
    }

    pub(super) fn evict(&self, instance: &InstanceId, number: FencingToken) -> Result<()> {
        let mut saved = self.turn()?;
        self.check(number)?;
        self.sweep();
        let was_evicted = self.routing().is_evicted(instance);
        self.routing().evict(instance, number);
        self.wake();
        self.keep_as_it_is(&mut saved)?;
        if !was_evicted {
            self.tell(|service| Happened::InstanceEvicted { service, instance: instance.clone() });
        }
        Ok(())
    }

    /// Lets requests for the instance wait for this time.
    pub(super) fn hold(&self, instance: &InstanceId, within: Duration) -> Result<()> {
        let within = within.min(MAX_HOLD);
        if self.routing().hold(instance, Some(self.clock.now() + within)) {
            self.tell(|service| Happened::Held { service, instance: instance.clone(), within });
            return Ok(());
        }
        self.routing().hold(instance, None);
        Err(Error::new(ErrorKind::NotFound, format!("`{instance}` of `{}` is not listed, so nothing waits", self.name)))
    }

    /// Lets them go on.
    pub(super) fn resume(&self, instance: &InstanceId) {
        if self.routing().hold(instance, None) {
            self.tell(|service| Happened::Resumed { service, instance: instance.clone() });
        }
        self.wake();
    }

    fn tell(&self, happened: impl FnOnce(ServiceName) -> Happened) {
        self.events.note(self.clock.now(), happened(self.name.clone()));
    }

    fn tell_of_table(&self, before: &BTreeSet<InstanceId>, table: &RoutingTable) {
        let shares = table.routes.iter().map(|(instance, route)| (instance.clone(), route.share)).collect();
        self.tell(|service| Happened::TableApplied { service, number: table.number, shares });
        for (instance, route) in table.routes.iter().filter(|(instance, _)| !before.contains(*instance)) {
            let (instance, address) = (instance.clone(), route.address);
            self.tell(|service| Happened::InstanceAdded { service, instance, address });
        }
        for instance in before.iter().filter(|instance| !table.routes.contains_key(*instance)) {
            self.tell(|service| Happened::InstanceRemoved { service, instance: instance.clone() });
        }
    }

    /// Waits as long as a request that brings this has to. Answers `false` if `most` requests wait already.
    pub(super) async fn wait(&self, by: &Recognised<'_>, most: usize) -> bool {
        let mut resumed = self.resumed.subscribe();
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let _leave = Leave(&self.waiting);
        loop {
            let now = self.clock.now();
            let until = {
                let routing = self.routing();
                if routing.is_given() { None } else { routing.held(by, now) }
            };
            let Some(until) = until else { return true };
            let _ = tokio::time::timeout(until - now, resumed.changed()).await;
        }
    }

    pub(super) fn report(&self) -> LocatorReport {
        self.sweep();
        let report = self.routing().report(self.clock.now());
        LocatorReport { hosts: self.hosts.clone(), unsaved: self.unsaved().clone(), ..report }
    }

    /// How long the requests of each instance took.
    pub(super) fn timings(&self) -> Vec<(InstanceId, Timings)> {
        self.routing().timings()
    }

    /// What is left on an instance. The table is looked at in parts, between which requests go on, so a session that moves
    /// within it meanwhile may be missed or count twice.
    pub(super) fn remaining(&self, instance: &InstanceId) -> RemainingSessions {
        self.sweep();
        let now = self.clock.now();
        let mut seen = RemainingSessions::none();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.routing().survey(instance, from, SURVEY_BATCH, now, &mut seen);
        }
        seen
    }

    /// The sessions that the application has ended here, from this number on.
    pub(super) fn ended_sessions(&self, from: u64) -> EndedSessions {
        self.routing().ended_sessions(from, self.clock.now())
    }

    /// Ends sessions that have ended at another locator.
    pub(super) fn end_sessions(&self, ended: &[EndedSession]) {
        self.routing().end_sessions(ended, self.clock.now());
    }

    /// Ends the log of sessions: they are as the next gateway has to know them. This one serves no more.
    pub(super) fn end_log(&self) {
        self.sweep();
        if let Err(error) = self.logged().end_log(self.clock.now()) {
            tracing::warn!(service = %self.name, %error, "sessions are not handed on, so the next gateway does not know them");
        }
    }

    /// Whether the log of sessions has to be [kept](Self::keep_log). Says so once.
    pub(super) fn is_log_due(&self, now: Timestamp) -> bool {
        let due = self.log_due.load(Ordering::Relaxed);
        now.as_millis() >= due && self.log_due.swap(u64::MAX, Ordering::Relaxed) == due
    }

    /// Logs which sessions are busy, and writes the log anew if it has grown. It waits for the disk.
    pub(super) fn keep_log(&self) {
        let now = self.clock.now();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.routing().log_busy(from, LOG_BATCH, now);
        }
        let due = now + self.routing().busy_due();
        if self.logged().wants_new_log() {
            self.write_new_log();
        }
        self.log_due.store(due.as_millis(), Ordering::Relaxed);
    }

    /// Gives the service to another gateway, and answers what is in flight. From now on nothing is placed here.
    pub(super) fn give(&self) -> Result<Vec<Left>> {
        // What is being changed is changed before.
        let _saved = self.saved();
        self.note_traffic(true);
        self.logged().give(self.clock.now())
    }

    /// The other gateway did not take it.
    pub(super) fn take_back(&self) {
        self.logged().take_back(self.clock.now());
    }

    /// The other gateway has taken it.
    pub(super) fn has_heir(&self, heir: &Arc<Heir>) {
        self.logged().has_heir(Arc::clone(heir), self.clock.now());
        // Requests that wait go on there.
        self.wake();
    }

    /// Takes up what becomes of the requests that the gateway before still has.
    pub(super) fn hear(&self, records: &[Record], left: &[Left]) {
        self.routing().hear(records, left, self.clock.now());
    }

    fn write_new_log(&self) {
        let which = match self.logged().begin_new_log(self.clock.now()) {
            Ok(which) => which,
            Err(error) => return tracing::debug!(service = %self.name, %error, "sessions are still not logged"),
        };
        let mut next = Some(0);
        while let Some(from) = next {
            let part = self.logged().write_part(which, from, LOG_BATCH, self.clock.now());
            let Some(part) = part else { return };
            next = part;
        }
        self.logged().finish_new_log(which);
    }

    /// Removes the sessions that have expired.
    pub(super) fn sweep(&self) {
        let now = self.clock.now();
        while !self.routing().sweep(now, SWEEP_BATCH) {}
        self.routing().note_endings(now);
    }

    /// Whether a minute is over of which nothing is recorded yet. Says so once.
    pub(super) fn is_traffic_due(&self, now: Timestamp) -> bool {
        let due = self.traffic_due.load(Ordering::Relaxed);
        now.as_millis() >= due && self.traffic_due.swap(u64::MAX, Ordering::Relaxed) == due
    }

    /// Records the traffic up to now. It waits for the disk. `last`: the gateway ends.
    pub(super) fn note_traffic(&self, last: bool) {
        self.sweep();
        let mut traffic = self.traffic();
        let now = self.clock.now();
        let totals = self.routing().totals(now);
        traffic.note(totals, now, last);
        self.traffic_due.store(traffic.due().as_millis(), Ordering::Relaxed);
    }

    /// The recorded traffic. It waits for the disk. It may answer for less than asked.
    pub(super) fn read_traffic(&self, from: Timestamp, until: Timestamp) -> TrafficRecord {
        self.sweep();
        let traffic = self.traffic();
        let now = self.clock.now();
        let totals: Vec<_> = self.routing().totals_so_far(now).collect();
        traffic.read(totals.into_iter(), from, until, now)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn to change something. No more can be changed where another gateway has taken over.
    fn turn(&self) -> Result<MutexGuard<'_, Option<Saved>>> {
        let saved = self.saved();
        if self.routing().is_given() { Err(is_replaced()) } else { Ok(saved) }
    }

    fn saved(&self) -> MutexGuard<'_, Option<Saved>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, number: FencingToken) -> Result<()> {
        let newest = self.routing().newest();
        if number < newest {
            let message = format!("number {number} for `{}` is older than {newest}, which was seen", self.name);
            return Err(Error::new(ErrorKind::StaleNumber, message));
        }
        Ok(())
    }

    fn keep_as_it_is(&self, saved: &mut Option<Saved>) -> Result<()> {
        let new = {
            let routing = self.routing();
            routing.to_save(self.name.clone(), routing.newest(), routing.table())
        };
        self.keep(saved, new)
    }

    fn keep(&self, saved: &mut Option<Saved>, new: Saved) -> Result<()> {
        if saved.as_ref() != Some(&new) {
            // First to the log: it may be one number ahead of the state, but not behind it.
            self.routing().expect_number(new.newest);
            let kept = self.store.save(&new);
            let why = kept.as_ref().err().map(|error| error.message().to_owned());
            *self.unsaved() = why;
            kept?;
        }
        self.routing().now_on_disk(&new);
        *saved = Some(new);
        Ok(())
    }

    /// Why the last change could not be kept.
    fn unsaved(&self) -> MutexGuard<'_, Option<String>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a waiting request until it is dropped, answered or not.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer to whoever asks a gateway that was replaced.
pub(super) fn is_replaced() -> Error {
    Error::new(ErrorKind::LocatorUnavailable, "another gateway has taken over from this one")
        .with_hint("ask again: the other one answers at the same address")
}

/// What a new service is made with.
#[derive(Debug)]
pub(super) struct ServiceFactory {
    pub(super) keys: Keys,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) incarnation: u64,
    pub(super) started: Timestamp,
    pub(super) before: Before,
    pub(super) capacity: u32,
    pub(super) events: Arc<Events>,
}

impl ServiceFactory {
    pub(super) fn make(&self, name: &ServiceName, hosts: &[String]) -> Result<Arc<Service>> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)
            .map_err(|error| Error::new(ErrorKind::Io, format!("no random session ids: {error}")))?;
        let seed = u64::from_ne_bytes(seed);
        let mut routing = ServiceRouting::new(self.incarnation, self.started, self.before, self.capacity, seed);
        let saved = self.store.load(name)?;
        if let Some(saved) = &saved {
            routing.restore(saved);
        }
        let (path, boot) = (self.store.sessions_file(name), Boot::present());
        if let Some(logged) = session_log::read(&path, name.as_str(), boot.as_ref()) {
            routing.take_over(&logged, self.clock.now());
        }
        let (has_cookies, is_by_client) = (routing.cookies().is_some(), routing.is_by_client());
        let log = SessionLog::new(path, name.as_str(), boot);
        let routing = LoggedRouting::begin(routing, log, self.store.clone(), name.clone(), self.clock.now());
        let traffic = Traffic::new(&self.store, name, self.clock.now());
        Ok(Arc::new(Service {
            traffic_due: AtomicU64::new(traffic.due().as_millis()),
            traffic: Mutex::new(traffic),
            log_due: AtomicU64::new(0),
            name: name.clone(),
            hosts: hosts.iter().map(|host| host_name(host).to_ascii_lowercase()).collect(),
            cookie: cookie::name(name).into_bytes().into(),
            sealer: Sealer::new(&self.keys, name),
            routes: RouteSealer::new(&self.keys, name),
            clients: ClientSealer::new(&self.keys, name),
            has_cookies: AtomicBool::new(has_cookies),
            is_by_client: AtomicBool::new(is_by_client),
            routing: Mutex::new(routing),
            saved: Mutex::new(saved),
            store: self.store.clone(),
            clock: Arc::clone(&self.clock),
            resumed: watch::Sender::default(),
            waiting: AtomicUsize::new(0),
            unsaved: Mutex::new(None),
            events: Arc::clone(&self.events),
        }))
    }
}
