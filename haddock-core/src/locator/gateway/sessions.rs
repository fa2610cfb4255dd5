//! The live sessions of a service: found by id, expired by time, 31 bytes each.
//!
//! ```text
//!   index   [u32]  open addressing, 1.75 slots per session: part of the id's hash │ number of the entry + 1
//!   entries [24 B] id · instance · used until · requests in flight and flags · next in the same bucket
//!   wheel   [u32]  4096 buckets, one per tick, each the head of a list of entries to look at when their tick comes
//! ```
//!
//! A use writes one entry and nothing else. The wheel is lazy: an entry is in a bucket that is due *no later* than the
//! session's expiry. If the session was used meanwhile, the entry is then put into a later bucket. So a session costs
//! one look per turn of the wheel (204 s) or per idle time, whichever is shorter.
//!
//! The gateway makes the ids and protects them by a MAC, or they are keyed hashes. So their bits are as good as those of a
//! hash.
//!
//! A session that leaves the table while requests of it are in flight keeps its entry until they have ended. So a request
//! may use its [`Slot`] without asking whether the session is still there.

use std::time::Duration;

use super::tick::{Tick, ticks};

const WHEEL_BUCKETS: u32 = 4096;
/// No entry. Entries are counted from 0 and their capacity ends well below it.
const NO_ENTRY: u32 = u32::MAX;
/// The instance of an entry that is out of the index and waits for its bucket to be freed.
const NO_INSTANCE: u32 = u32::MAX;

/// Set in `flights`: a request of the session has failed.
const FAILED: u32 = 1 << 31;
/// Set in `flights`: a request of the session was slow.
const SLOW: u32 = 1 << 30;
/// Then come the bits of the cohort.
const COHORT_SHIFT: u32 = 20;
/// Set in `flights`: the next use is a change, whenever it comes.
const UNCHANGED: u32 = 1 << 19;
/// The rest is the number of requests in flight.
const FLIGHTS_MASK: u32 = UNCHANGED - 1;
const COHORT_MASK: u32 = 1023;
/// The cohorts that a session can tell apart: below this number.
pub(super) const COHORTS: u32 = 1022;

/// Where a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// Here, in this cohort.
    In(u32),
    /// Here, but in no cohort.
    Apart,
    /// Not here, or before counting began: nothing that it does is counted as a session's.
    Elsewhere,
}

impl Begun {
    fn bits(self) -> u32 {
        match self {
            Self::In(cohort) => cohort,
            Self::Apart => COHORTS,
            Self::Elsewhere => COHORTS + 1,
        }
    }

    fn of(bits: u32) -> Self {
        match bits {
            COHORT_MASK => Self::Elsewhere,
            COHORTS => Self::Apart,
            cohort => Self::In(cohort),
        }
    }
}

/// The most sessions that a table can be made for: the index keeps at least six bits of the id beside the entry.
pub(super) const MAX_SESSIONS: u32 = (1 << 26) - 2;

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u64,
    instance: u32,
    /// The last use, or the last stamp given to the client if that is later.
    until: Tick,
    flights: u32,
    next: u32,
}

/// What has changed so much that whoever keeps the sessions over a kill has to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A session is new, has another instance, or was used in another [grain](SessionTable::grain) than before.
    Used { id: u64, instance: u32, until: Tick },
    /// A session has ended before it expired.
    Ended { id: u64 },
}

/// What the table knows of a session as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: u64,
    pub(super) instance: u32,
    /// Its last use, or the last stamp given to the client if that is later.
    pub(super) until: Tick,
    /// Whether a request of it is in flight.
    pub(super) busy: bool,
    /// Whether its next use is a change, whenever it comes.
    pub(super) unchanged: bool,
}

/// A session's place in the table. It is valid as long as a request of the session is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// What is new about a session when something is wrong with one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News {
    pub(super) begun: Begun,
    /// Whether this is its first failed request.
    pub(super) failed: bool,
    /// Whether this is its first slow request.
    pub(super) slow: bool,
}

impl News {
    /// None.
    pub(super) const NONE: Self = Self { begun: Begun::Elsewhere, failed: false, slow: false };
}

/// What the table knows of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It lives, on this instance.
    Live(Slot, u32),
    /// It has expired just now, so this instance has one live session less.
    Expired(u32),
    /// It is not there.
    Missing,
}

/// The table.
#[derive(Debug)]
pub(super) struct SessionTable {
    index: Vec<u32>,
    /// The entries that were ever used. Room for all is reserved at the start and touched when it is needed. So it
    /// never moves, and large pages can back it.
    entries: Vec<Entry>,
    /// Head of the list of entries to be used again.
    free: u32,
    capacity: u32,
    /// Bits of an index word that hold the entry.
    bits: u32,
    wheel: Box<[u32]>,
    /// All buckets up to this tick have been swept.
    swept: Tick,
    /// The rest of a bucket that a bounded sweep left.
    rest: u32,
    idle: u32,
    /// See [`grain`](Self::grain).
    grain: u32,
    changes: Vec<Change>,
}

impl SessionTable {
    pub(super) fn new(capacity: u32, idle: Duration, now: Tick) -> Self {
        let capacity = capacity.clamp(1, MAX_SESSIONS);
        let slots = (capacity as usize * 7).div_ceil(4).max(8);
        Self {
            index: vec![0; slots],
            entries: Vec::with_capacity(capacity as usize),
            free: NO_ENTRY,
            capacity,
            bits: u32::BITS - (capacity + 1).leading_zeros(),
            wheel: vec![NO_ENTRY; WHEEL_BUCKETS as usize].into(),
            swept: now,
            rest: NO_ENTRY,
            idle: ticks(idle).max(1),
            grain: Self::grain_for(idle),
            changes: Vec::new(),
        }
    }

    /// The grain that fits an idle time: between a 64th and a 32nd of it.
    pub(super) fn grain_for(idle: Duration) -> u32 {
        (ticks(idle) / 32).max(1).ilog2()
    }

    /// The power of two of ticks within which a second use of a session is no change. It is small beside the idle time, and
    /// spares most requests a note.
    pub(super) fn grain(&self) -> u32 {
        self.grain
    }

    pub(super) fn set_grain(&mut self, grain: u32) {
        self.grain = grain;
    }

    /// What has changed since [`take_changes`](Self::take_changes) was asked.
    #[inline]
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = Change> + '_ {
        self.changes.drain(..)
    }

    /// The session is used until then.
    #[inline]
    fn touch(&mut self, slot: u32, until: Tick) {
        let grain = self.grain;
        let entry = self.entry_mut(slot);
        let before = entry.until;
        entry.until = before.later(until);
        let is_change = (before.0 ^ entry.until.0) >> grain != 0 || entry.flights & UNCHANGED != 0;
        if is_change && entry.instance != NO_INSTANCE {
            entry.flights &= !UNCHANGED;
            let change = Change::Used { id: entry.id, instance: entry.instance, until: entry.until };
            self.changes.push(change);
        }
    }

    /// Marks the sessions as used that have a request in flight, in a part of the table. Answers where the next part begins;
    /// `None`: that was the last.
    pub(super) fn touch_busy(&mut self, from: u32, most: u32, now: Tick) -> Option<u32> {
        let next = from.saturating_add(most);
        for slot in from..next.min(self.filled()) {
            if self.entry(slot).flights & FLIGHTS_MASK > 0 {
                self.touch(slot, now);
            }
        }
        (self.filled() > next).then_some(next)
    }

    /// Entries that were ever used. It fits: the capacity does.
    #[allow(clippy::cast_possible_truncation, reason = "the capacity is a u32")]
    fn filled(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Bytes in use, expiry index included.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn bytes(&self) -> usize {
        self.index.len() * size_of::<u32>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.wheel.len() * size_of::<u32>()
    }

    /// How many entries were ever used, and how many of them can be used again.
    #[cfg(test)]
    pub(super) fn entries(&self) -> (usize, usize) {
        let (mut free, mut at) = (0, self.free);
        while at != NO_ENTRY {
            (free, at) = (free + 1, self.entry(at).next);
        }
        (self.entries.len(), free)
    }

    /// Finds a session and notes `stamp`: its last use according to the client's cookie.
    #[inline]
    pub(super) fn find(&mut self, id: u64, stamp: Tick, now: Tick) -> Found {
        let Some(slot) = self.look_up(id) else { return Found::Missing };
        self.touch(slot, stamp);
        self.judge(slot, now)
    }

    /// Finds a session whose client cannot say when it was last used.
    pub(super) fn find_unstamped(&mut self, id: u64, now: Tick) -> Found {
        self.look_up(id).map_or(Found::Missing, |slot| self.judge(slot, now))
    }

    #[inline]
    fn judge(&mut self, slot: u32, now: Tick) -> Found {
        let idle = self.idle;
        let entry = self.entry(slot);
        if entry.flights & FLIGHTS_MASK == 0 && now.since(entry.until) >= idle.cast_signed() {
            let instance = entry.instance;
            self.take_out(slot);
            return Found::Expired(instance);
        }
        Found::Live(Slot(slot), entry.instance)
    }

    /// Puts a session into the table that counts as used until then, with one request in flight. `None`: the table is full.
    pub(super) fn insert(&mut self, id: u64, instance: u32, until: Tick, begun: Begun) -> Option<Slot> {
        let flights = 1 | (begun.bits() << COHORT_SHIFT);
        let entry = Entry { id, instance, until, flights, next: NO_ENTRY };
        let slot = if self.free != NO_ENTRY {
            let slot = self.free;
            self.free = self.entry(slot).next;
            *self.entry_mut(slot) = entry;
            slot
        } else if self.entries.len() < self.capacity as usize {
            self.entries.push(entry);
            self.filled() - 1
        } else {
            return None;
        };
        self.link(id, slot);
        // The request may end without being a use, as that of a session does that comes from another gateway.
        self.put(slot, until.plus(self.idle));
        self.changes.push(Change::Used { id, instance, until });
        Some(Slot(slot))
    }

    /// One more request of the session is in flight.
    #[inline]
    pub(super) fn begin_request(&mut self, slot: Slot, now: Tick) {
        self.entry_mut(slot.0).flights += 1;
        self.touch(slot.0, now);
    }

    /// One request of the session has ended.
    #[inline]
    pub(super) fn end_request(&mut self, slot: Slot, now: Tick) {
        let entry = self.entry_mut(slot.0);
        debug_assert_ne!(entry.flights & FLIGHTS_MASK, 0, "each request ends once");
        entry.flights -= u32::from(entry.flights & FLIGHTS_MASK > 0);
        self.touch(slot.0, now);
    }

    /// What is known of the session comes from elsewhere, so its next use is a change in any case.
    pub(super) fn keep_unchanged(&mut self, slot: Slot) {
        self.entry_mut(slot.0).flights |= UNCHANGED;
    }

    /// Whether the session of a request in flight is still there.
    pub(super) fn is_live(&self, slot: Slot) -> bool {
        self.entry(slot.0).instance != NO_INSTANCE
    }

    /// The id of the session of a request in flight.
    pub(super) fn id(&self, slot: Slot) -> u64 {
        self.entry(slot.0).id
    }

    /// A session with no request in flight, and no use after this tick.
    pub(super) fn unused_since(&self, id: u64, tick: Tick) -> Option<(Slot, u32)> {
        let slot = self.look_up(id)?;
        let entry = self.entry(slot);
        let is_unused = entry.flights & FLIGHTS_MASK == 0 && entry.until.since(tick) <= 0;
        is_unused.then_some((Slot(slot), entry.instance))
    }

    /// The instance of a session, even if it has expired.
    pub(super) fn instance(&self, id: u64) -> Option<u32> {
        self.look_up(id).map(|slot| self.entry(slot).instance)
    }

    /// Gives a session another id, which no session has.
    pub(super) fn rename(&mut self, slot: Slot, id: u64) {
        debug_assert!(self.look_up(id).is_none(), "no session has the new id");
        let former = self.entry(slot.0).id;
        self.unlink(former, slot.0);
        self.entry_mut(slot.0).id = id;
        self.link(id, slot.0);
        let Entry { instance, until, .. } = *self.entry(slot.0);
        self.changes.extend([Change::Ended { id: former }, Change::Used { id, instance, until }]);
    }

    /// One request of the session has failed, or was slow. Answers what is new about the session, if it is still here.
    pub(super) fn blame(&mut self, slot: Slot, failed: bool, slow: bool) -> News {
        let entry = self.entry_mut(slot.0);
        if entry.instance == NO_INSTANCE {
            return News::NONE;
        }
        let news = News {
            begun: Begun::of((entry.flights >> COHORT_SHIFT) & COHORT_MASK),
            failed: failed && entry.flights & FAILED == 0,
            slow: slow && entry.flights & SLOW == 0,
        };
        entry.flights |= if failed { FAILED } else { 0 } | if slow { SLOW } else { 0 };
        news
    }

    /// The client was told that the session is used until `stamp`. Nothing happens if the session is gone.
    pub(super) fn stamp(&mut self, slot: Slot, stamp: Tick) {
        self.touch(slot.0, stamp);
    }

    /// Removes a session. Its entry stays until its requests have ended.
    pub(super) fn remove(&mut self, slot: Slot) {
        let id = self.take_out(slot.0);
        self.changes.push(Change::Ended { id });
    }

    /// Removes a session of whose end everybody knows that knows its last use.
    fn take_out(&mut self, slot: u32) -> u64 {
        let entry = self.entry_mut(slot);
        debug_assert_ne!(entry.instance, NO_INSTANCE, "a dead session is not in the index");
        let id = entry.id;
        entry.instance = NO_INSTANCE;
        self.unlink(id, slot);
        id
    }

    /// Tells of each session in a part of the table. Answers where the next part begins; `None`: that was the last.
    pub(super) fn survey(&self, from: u32, most: u32, mut tell: impl FnMut(Seen)) -> Option<u32> {
        let next = from.saturating_add(most);
        let entries = self.entries.iter().skip(from as usize).take(most as usize);
        for entry in entries.filter(|entry| entry.instance != NO_INSTANCE) {
            let Entry { id, instance, until, flights, .. } = *entry;
            let (busy, unchanged) = (flights & FLIGHTS_MASK > 0, flights & UNCHANGED > 0);
            tell(Seen { id, instance, until, busy, unchanged });
        }
        (self.filled() > next).then_some(next)
    }

    /// Changes the idle time.
    pub(super) fn set_idle(&mut self, idle: Duration, now: Tick) {
        let idle = ticks(idle).max(1);
        let shorter = idle < self.idle;
        self.idle = idle;
        if shorter {
            // Entries may stand in buckets that come up too late.
            let mut all = std::mem::replace(&mut self.rest, NO_ENTRY);
            for bucket in 0..WHEEL_BUCKETS {
                let mut slot = std::mem::replace(&mut self.wheel[bucket as usize], NO_ENTRY);
                while slot != NO_ENTRY {
                    let next = std::mem::replace(&mut self.entry_mut(slot).next, all);
                    all = slot;
                    slot = next;
                }
            }
            while all != NO_ENTRY {
                let next = self.entry(all).next;
                self.schedule(all, now);
                all = next;
            }
        }
    }

    /// Sweeps the buckets that are due, but no more than `budget` entries, and reports the instance of each expired
    /// session. Answers whether it reached the end.
    pub(super) fn sweep(&mut self, now: Tick, mut budget: u32, mut expired: impl FnMut(u32)) -> bool {
        loop {
            while self.rest != NO_ENTRY {
                if budget == 0 {
                    return false;
                }
                budget -= 1;
                let slot = self.rest;
                let idle = self.idle;
                let entry = self.entry_mut(slot);
                let (dead, instance) = (entry.instance == NO_INSTANCE, entry.instance);
                self.rest = entry.next;
                let entry = self.entry(slot);
                if entry.flights & FLIGHTS_MASK > 0 || (!dead && now.since(entry.until) < idle.cast_signed()) {
                    self.schedule(slot, now);
                    continue;
                }
                if !dead {
                    self.take_out(slot);
                    expired(instance);
                }
                let free = self.free;
                self.entry_mut(slot).next = free;
                self.free = slot;
            }
            let behind = now.since(self.swept);
            if behind <= 0 {
                return true;
            }
            if behind.cast_unsigned() > WHEEL_BUCKETS {
                // After a long sleep each bucket is due once, not once for each turn that was missed.
                self.swept = Tick(now.0.wrapping_sub(WHEEL_BUCKETS));
            }
            self.swept = self.swept.plus(1);
            let bucket = (self.swept.0 % WHEEL_BUCKETS) as usize;
            self.rest = std::mem::replace(&mut self.wheel[bucket], NO_ENTRY);
        }
    }

    /// Puts an entry into the bucket of its expiry as it looks now, or into the last of this turn.
    fn schedule(&mut self, slot: u32, now: Tick) {
        let entry = self.entry(slot);
        let due = if entry.flights & FLIGHTS_MASK > 0 {
            entry.until.later(now).plus(self.idle)
        } else if entry.instance == NO_INSTANCE {
            now
        } else {
            entry.until.plus(self.idle)
        };
        self.put(slot, due);
    }

    /// Puts an entry into the bucket of this tick.
    fn put(&mut self, slot: u32, due: Tick) {
        // It is at least the next tick to be swept, and at most a whole turn away.
        let ahead = due.since(self.swept).clamp(1, (WHEEL_BUCKETS - 1).cast_signed()).cast_unsigned();
        let bucket = (self.swept.plus(ahead).0 % WHEEL_BUCKETS) as usize;
        let head = std::mem::replace(&mut self.wheel[bucket], slot);
        self.entry_mut(slot).next = head;
    }

    #[inline]
    fn look_up(&self, id: u64) -> Option<u32> {
        let mut at = self.preferred_slot(id);
        let wanted = self.tag(id);
        loop {
            let word = self.index[at];
            if word == 0 {
                return None;
            }
            if word >> self.bits == wanted {
                let slot = (word & ((1 << self.bits) - 1)) - 1;
                if self.entry(slot).id == id {
                    return Some(slot);
                }
            }
            at = self.after(at);
        }
    }

    /// Puts a word into the index.
    fn link(&mut self, id: u64, slot: u32) {
        let mut at = self.preferred_slot(id);
        while self.index[at] != 0 {
            at = self.after(at);
        }
        self.index[at] = self.word(id, slot);
    }

    /// Takes a word out of the index and closes the gap, so that no probe ends too early (Knuth, TAOCP 6.4, R).
    fn unlink(&mut self, id: u64, slot: u32) {
        let word = self.word(id, slot);
        let mut gap = self.preferred_slot(id);
        while self.index[gap] != word {
            gap = self.after(gap);
        }
        let mut at = gap;
        loop {
            at = self.after(at);
            let word = self.index[at];
            if word == 0 {
                break;
            }
            let home = self.preferred_slot(self.entry((word & ((1 << self.bits) - 1)) - 1).id);
            // It may move into the gap unless its home lies cyclically behind the gap, in (gap, at].
            let stays = if gap <= at { gap < home && home <= at } else { gap < home || home <= at };
            if !stays {
                self.index[gap] = word;
                gap = at;
            }
        }
        self.index[gap] = 0;
    }

    #[inline]
    fn preferred_slot(&self, id: u64) -> usize {
        // The high half of the id, scaled to the length of the index (Lemire 2016).
        (((id >> 32) * self.index.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.index.len() { 0 } else { at + 1 }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low half of the id is what is wanted")]
    fn tag(&self, id: u64) -> u32 {
        (id as u32) >> self.bits
    }

    #[inline]
    fn word(&self, id: u64, slot: u32) -> u32 {
        (self.tag(id) << self.bits) | (slot + 1)
    }

    #[inline]
    fn entry(&self, slot: u32) -> &Entry {
        &self.entries[slot as usize]
    }

    #[inline]
    fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries[slot as usize]
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
