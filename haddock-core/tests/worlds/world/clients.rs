//! Clients: they come, send requests with the cookie they were given, and leave.

use haddock_core::InstanceId;
use haddock_core::container::Incarnation;
use haddock_core::locator::sim::{Cookie, Ticket};

use super::{Event, World};

#[derive(Debug)]
pub(crate) struct Client {
    /// What it keeps.
    pub(crate) stay: Option<Stay>,
    pub(crate) flight: Option<Flight>,
    /// When it last used its session on the server that ran before Haddock. No locator knows this session.
    pub(crate) former: Option<u64>,
    flights: u64,
    leaves_at: u64,
}

/// A session as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) cookie: Cookie,
    /// The life of the instance's entry in which the session is.
    pub(crate) life: Incarnation,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    number: u64,
    pub(crate) ticket: Ticket,
    pub(crate) locator: usize,
    /// The locator's life in which it began.
    pub(crate) through: u64,
    /// The life of the entry that it reached, if it reached one.
    pub(crate) life: Option<Incarnation>,
    failed: bool,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self { stay: None, flight: None, former: None, flights: 0, leaves_at: 0 }
    }
}

impl World {
    pub(crate) fn client_acts(&mut self, client: usize) {
        if self.clients[client].leaves_at == 0 {
            // It comes.
            let stays = if self.plan.returns { 5_000..60_000 } else { 1_000..25_000 };
            let stays = self.dice.within(stays);
            self.clients[client].leaves_at = self.now + stays;
            self.come_to_server(client);
        }
        if self.clients[client].leaves_at <= self.now {
            let one = &mut self.clients[client];
            (one.stay, one.former, one.leaves_at) = (None, None, 0);
            // In the fair time fewer and fewer clients come, so that the world comes to rest.
            if self.is_unfair() || self.dice.chance(70) {
                let after = self.dice.within(500..6_000);
                self.schedule(after, Event::Client { client });
            }
            return;
        }
        if self.goes_past_locators(client) {
            self.use_server(client);
            let after = self.pause();
            return self.schedule(after, Event::Client { client });
        }
        let locator = self.dice.index(self.posts.len());
        if self.posts[locator].dark > 0 {
            let after = self.dice.within(200..900);
            return self.schedule(after, Event::Client { client });
        }
        self.client_sends(client, locator);
    }

    /// Its request still waits at this locator, unless that has ended.
    pub(crate) fn client_waits(&mut self, client: usize, locator: usize) {
        if self.posts[locator].dark > 0 {
            return self.schedule(200, Event::Client { client });
        }
        self.client_sends(client, locator);
    }

    fn client_sends(&mut self, client: usize, locator: usize) {
        let now = self.time();
        self.refresh_truth();
        let upgraded = self.dice.chance(5);
        let stay = self.clients[client].stay.clone();
        let cookie = stay.as_ref().map(|stay| &stay.cookie);
        if let Some(cookie) = cookie
            && self.posts[locator].core.waits(&self.service, cookie, now)
        {
            self.meet("waits for a close");
            let after = self.dice.within(20..100);
            // It stays on this connection.
            return self.schedule(after, Event::ClientWaits { client, locator });
        }
        let core = &mut self.posts[locator].core;
        let ticket = match self.clients[client].former {
            Some(_) if cookie.is_none() => core.begin_foreign(&self.service, "JSESSIONID", upgraded, now),
            _ => core.begin(&self.service, cookie, upgraded, now),
        };
        self.check_s6(locator, stay.as_ref(), ticket.as_ref());
        self.check_s6_former(locator, client, ticket.as_ref());
        let Some(ticket) = ticket else {
            self.meet("no instance for a client");
            let after = self.dice.within(200..2_000);
            return self.schedule(after, Event::Client { client });
        };
        if ticket.opened {
            self.check_s2(&ticket.instance);
            let version = self.truth.instances.get(&ticket.instance).map(|truth| truth.version);
            *self.truth.opened.entry(version.unwrap_or(haddock_core::VersionId(0))).or_default() += 1;
        }
        self.note(|| format!("client {client}: {:?} {} to {}", ticket.session, how(&ticket), ticket.instance));
        // Find what listens at the address in the table.
        let found = self.engine.at(ticket.address, now);
        let life = found.and_then(|id| self.engine.inspect(&id, now).map(|container| container.incarnation()));
        let answers = life.as_ref().is_some_and(|life| self.engine.answers(&life.container, now));
        let lasts = match (answers, upgraded) {
            (false, _) => self.dice.within(1..600),
            (true, true) => self.dice.within(1_000..8_000),
            (true, false) if self.dice.chance(5) => self.dice.within(500..4_000),
            (true, false) => self.dice.within(5..300),
        };
        let through = self.posts[locator].core.incarnation();
        let one = &mut self.clients[client];
        one.flights += 1;
        let number = one.flights;
        one.flight = Some(Flight { number, ticket, locator, through, life, failed: !answers });
        self.schedule(lasts, Event::Answered { client, flight: number });
    }

    pub(crate) fn client_is_answered(&mut self, client: usize, flight: u64) {
        let now = self.time();
        let Some(done) = self.clients[client].flight.take_if(|present| present.number == flight) else { return };
        let alive = done.life.as_ref().is_some_and(|life| {
            let present = self.engine.inspect(&life.container, now);
            present.is_some_and(|container| container.is_running() && container.incarnation() == *life)
        });
        let failed = done.failed || !alive || self.fails(&done.ticket.instance);
        let cookie = self.posts[done.locator].core.finish(&self.service, &done.ticket, failed, now);
        let one = &mut self.clients[client];
        match (cookie, &mut one.stay) {
            (Some(cookie), Some(stay)) if stay.cookie.session == cookie.session => stay.cookie = cookie,
            (Some(cookie), stay) if alive => {
                *stay = done.life.map(|life| Stay { cookie, life });
                one.former = None;
            }
            (_, stay) if done.ticket.opened => *stay = None,
            _ => {}
        }
        let after = self.pause();
        self.schedule(after, Event::Client { client });
    }

    /// Whether the application of this instance fails the request.
    fn fails(&mut self, instance: &InstanceId) -> bool {
        let version = self.truth.instances.get(instance).map(|truth| truth.version);
        let spec = version.and_then(|version| self.journal.state.versions.get(&version)).map(|it| &it.new.spec);
        let fault = spec.and_then(|spec| self.truth.faulty.get(spec)).copied();
        fault.is_some_and(|fault| fault.from <= self.now && self.fault_dice.chance(fault.percent))
    }

    /// How long a client waits between an answer and its next request.
    fn pause(&mut self) -> u64 {
        let former = self.server.as_ref().map_or(4_000, |server| server.idle);
        let longest = self.truth.idles.last().map_or(former, |(_, idle)| *idle);
        if self.plan.returns && self.dice.chance(30) {
            // It comes back when its session has expired, and its instance may be about to be closed.
            return longest + self.dice.within(0..2_500);
        }
        match self.dice.weighted(&[(6, 0), (2, 1), (1, 3), (1, 2)]) {
            0 => self.dice.within(100..2_000),
            1 => self.dice.within(longest / 2..longest),
            // It comes back at the last moment.
            3 => longest - self.dice.within(1..100),
            _ => self.dice.within(longest..longest * 2),
        }
    }

    /// The clients that have something live on the present life of an instance through this locator: a request in
    /// flight, an upgraded connection, or a session that has surely not expired. Clients that were evicted for a reason
    /// do not count.
    pub(crate) fn live_clients(&mut self, id: &InstanceId, locator: usize) -> Vec<usize> {
        let Some(life) = self.entry(id) else { return Vec::new() };
        if self.truth.instances.get(id).is_some_and(|truth| !truth.evicted.is_empty()) {
            return Vec::new();
        }
        let through = self.posts[locator].core.incarnation();
        let live = |client: &Client| {
            let flies = client.flight.as_ref().is_some_and(|flight| {
                flight.locator == locator
                    && flight.through == through
                    && flight.ticket.instance == *id
                    && flight.life.as_ref() == Some(&life)
            });
            let stays = client.stay.as_ref().is_some_and(|stay| {
                stay.cookie.instance == *id && stay.life == life && self.surely_lives(&stay.cookie)
            });
            flies || stays || self.has_former_session(client, id)
        };
        self.clients.iter().enumerate().filter(|(_, client)| live(client)).map(|(n, _)| n).collect()
    }

    /// Whether the session has not expired by any idle time that was in force since its last use.
    pub(crate) fn surely_lives(&self, cookie: &Cookie) -> bool {
        let used = cookie.last_use.as_millis();
        self.now < used.saturating_add(self.idle_since(used).0)
    }

    /// Whether the session has expired by every idle time that was in force since its last use.
    pub(crate) fn surely_expired(&self, cookie: &Cookie) -> bool {
        let used = cookie.last_use.as_millis();
        self.now >= used.saturating_add(self.idle_since(used).1)
    }
}

fn how(ticket: &Ticket) -> &'static str {
    match (ticket.opened, ticket.upgraded) {
        (true, false) => "opens",
        (true, true) => "opens, upgraded,",
        (false, false) => "goes",
        (false, true) => "goes, upgraded,",
    }
}
