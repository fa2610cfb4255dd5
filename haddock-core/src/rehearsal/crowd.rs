//! The people: when they come, how long they stay, what they meet.
//!
//! A session is three moments at most: it begins, its first request fails, it expires. Its other requests change nothing that
//! a release looks at, so they are only counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::behaviour::Behaviour;
use super::locator::Locator;
use super::traffic::{Beginnings, Traffic};

/// What happens to a session. Of what happens in the same millisecond, the earlier line comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Fails {
        harmed: bool,
    },
    IsSlow,
    Expires {
        harmed: bool,
    },
    /// Its instance was closed, and its person comes again.
    BeginsAgain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    at: u64,
    what: What,
    /// When the last request comes.
    last: u64,
    /// By which table it is counted, and where it is.
    table: u32,
    place: u32,
}

/// What has happened to all sessions, and to those of each place.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) evicted: u64,
    pub(super) live: u64,
    pub(super) failed: u64,
    /// No instance took it.
    pub(super) turned_away: u64,
    /// By place: sessions that failed or were lost, and would not have been on the base.
    pub(super) harmed: Vec<u64>,
}

pub(super) struct Crowd<'a> {
    traffic: &'a Traffic,
    /// What they are, whatever becomes of them: the same in each rehearsal with this seed.
    people: Pcg64Mcg,
    /// What becomes of them.
    fate: Pcg64Mcg,
    beginnings: Beginnings,
    next: Option<u64>,
    end: u64,
    moments: BinaryHeap<Reverse<Moment>>,
    pub(super) tally: Tally,
}

/// Keeps what becomes of people apart from what they are.
const FATE: u64 = 0x9e37_79b9_7f4a_7c15;

impl<'a> Crowd<'a> {
    /// People who come between `from` and `end`, in milliseconds since the epoch.
    pub(super) fn new(traffic: &'a Traffic, seed: u64, from: u64, end: u64) -> Self {
        let mut people = Pcg64Mcg::seed_from_u64(seed);
        let mut beginnings = Beginnings::new(traffic, from);
        let next = beginnings.next(traffic, end, &mut people);
        Self {
            traffic,
            people,
            fate: Pcg64Mcg::seed_from_u64(seed ^ FATE),
            beginnings,
            next,
            end,
            moments: BinaryHeap::new(),
            tally: Tally::default(),
        }
    }

    /// Lets everything happen until then, or until an instance without a share has lost its last session. Returns when that
    /// is.
    pub(super) fn advance(&mut self, until: u64, locator: &mut Locator, behaviours: &[Behaviour]) -> u64 {
        loop {
            let moment = self.moments.peek().map_or(u64::MAX, |Reverse(moment)| moment.at);
            let next = self.next.unwrap_or(u64::MAX);
            if moment.min(next) > until {
                return until;
            }
            if next < moment {
                let stay = self.traffic.stay().draw(&mut self.people);
                self.arrive(next, next.saturating_add(stay), locator, behaviours);
                self.next = self.beginnings.next(self.traffic, self.end, &mut self.people);
            } else if let Some(Reverse(moment)) = self.moments.pop() {
                self.happen(moment, locator, behaviours);
                if locator.emptied {
                    return moment.at;
                }
            }
        }
    }

    fn happen(&mut self, moment: Moment, locator: &mut Locator, behaviours: &[Behaviour]) {
        let place = moment.place as usize;
        match moment.what {
            What::Fails { harmed } => {
                let requests = self.fate.random_range(1..=self.traffic.requests_of_a_session());
                locator.fail(place, moment.table, requests);
                self.tally.failed += 1;
                self.harm(place, u64::from(harmed));
            }
            What::IsSlow => locator.slow(place, moment.table),
            What::Expires { .. } => {
                locator.end(place, self.traffic.requests_of_a_session());
                self.tally.ended += 1;
                self.tally.live -= 1;
            }
            What::BeginsAgain => self.arrive(moment.at, moment.last, locator, behaviours),
        }
    }

    /// A session begins, and will last until its request at `last`.
    fn arrive(&mut self, now: u64, last: u64, locator: &mut Locator, behaviours: &[Behaviour]) {
        // The same throw whatever it meets: who fails at 1 % also fails at 2 %.
        let luck: f64 = self.people.random();
        let Some(at) = locator.next() else {
            self.tally.turned_away += 1;
            return;
        };
        let behaviour = &behaviours[at];
        let load = locator.places[at].live;
        let meets = behaviour.meets(self.traffic, luck, load, now, &mut self.fate);
        let table = locator.begin(at, now);
        self.tally.begun += 1;
        self.tally.live += 1;
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        let moment = |at, what| Reverse(Moment { at, what, last, table, place });
        let mut harmed = false;
        if let Some(since) = meets.fails_since.filter(|since| *since <= last) {
            harmed = meets.harmed;
            let from = since.max(now);
            let at = from + self.fate.random_range(0..=last - from);
            self.moments.push(moment(at, What::Fails { harmed }));
        }
        if meets.is_slow {
            let at = now + self.fate.random_range(0..=last - now);
            self.moments.push(moment(at, What::IsSlow));
        }
        // Not in the millisecond of its last request: what fails then was counted before.
        let expires = last.saturating_add(locator.idle().max(1));
        self.moments.push(moment(expires, What::Expires { harmed }));
    }

    /// The sessions of a place end. Those whose people were still there are harmed, and begin again elsewhere with their next
    /// request. `since`: when their instance ended, if it has.
    pub(super) fn evict(&mut self, at: usize, since: Option<u64>, now: u64, locator: &mut Locator) {
        let since = since.unwrap_or(now);
        let gap = (self.traffic.stay().mean() / f64::from(self.traffic.requests_of_a_session())) as u64;
        let (mut ended, mut harmed) = (0, 0);
        let mut again = Vec::new();
        self.moments.retain(|Reverse(moment)| {
            if moment.place as usize != at || moment.what == What::BeginsAgain {
                return true;
            }
            match moment.what {
                What::Expires { harmed: by_fault } => {
                    ended += 1;
                    harmed += u64::from(moment.last > since && !by_fault);
                    if moment.last > now {
                        again.push(moment.last);
                    }
                }
                // It was not counted yet.
                What::Fails { harmed: true } => harmed += 1,
                What::Fails { harmed: false } | What::IsSlow | What::BeginsAgain => {}
            }
            false
        });
        // In no order that depends on the heap.
        again.sort_unstable();
        for last in again {
            let next = now + self.fate.random_range(0..=gap.min(last - now));
            let what = What::BeginsAgain;
            self.moments.push(Reverse(Moment { at: next, what, last, table: 0, place: u32::MAX }));
        }
        locator.evict(at, ended);
        self.tally.evicted += ended;
        self.tally.live -= ended;
        self.harm(at, harmed);
    }

    fn harm(&mut self, at: usize, sessions: u64) {
        if self.tally.harmed.len() <= at {
            self.tally.harmed.resize(at + 1, 0);
        }
        self.tally.harmed[at] += sessions;
    }
}
