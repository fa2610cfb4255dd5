//! What has become of sessions whose cookie the application has replaced or deleted. A client may have sent requests with
//! the former cookie before it got the answer. They come within moments.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::time::Timestamp;

/// How long it is kept: longer than requests of one page are apart.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// How many are kept: some hundred log-ins and log-outs a second.
const MAX_KEPT: usize = 4096;
/// Replacements that are followed one after another.
const MAX_STEPS: usize = 8;

/// What has become of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on under this id.
    Renamed(u64),
    /// It has ended, on this instance.
    Ended(u32),
}

#[derive(Debug, Default)]
pub(super) struct Successors {
    of: HashMap<u64, (Fate, Timestamp)>,
    /// Oldest first.
    order: VecDeque<(u64, Timestamp)>,
}

impl Successors {
    pub(super) fn note(&mut self, id: u64, fate: Fate, now: Timestamp) {
        while let Some((oldest, at)) = self.order.front().copied()
            && (now.since(at) > KEPT_FOR || self.order.len() >= MAX_KEPT)
        {
            self.order.pop_front();
            if self.of.get(&oldest).is_some_and(|(_, noted)| *noted == at) {
                self.of.remove(&oldest);
            }
        }
        if let Fate::Renamed(new) = fate {
            self.forget(new);
        }
        self.of.insert(id, (fate, now));
        self.order.push_back((id, now));
    }

    /// A session has this id now.
    pub(super) fn forget(&mut self, id: u64) {
        self.of.remove(&id);
    }

    /// What has become of the session that a client still knows by this id.
    pub(super) fn fate(&self, id: u64, now: Timestamp) -> Fate {
        let mut id = id;
        for _ in 0..MAX_STEPS {
            match self.of.get(&id).filter(|(_, at)| now.since(*at) <= KEPT_FOR) {
                Some((Fate::Renamed(new), _)) => id = *new,
                Some((ended, _)) => return *ended,
                None => break,
            }
        }
        Fate::Renamed(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn it_is_known_for_a_while_however_often_it_changed() {
        let mut successors = Successors::default();
        successors.note(1, Fate::Renamed(2), NOW);
        successors.note(2, Fate::Renamed(3), NOW);
        assert_eq!(successors.fate(1, NOW), Fate::Renamed(3));
        successors.note(3, Fate::Ended(7), NOW);
        assert_eq!(successors.fate(1, NOW + KEPT_FOR), Fate::Ended(7));
        let later = NOW + KEPT_FOR + Duration::from_millis(1);
        assert_eq!(successors.fate(1, later), Fate::Renamed(1));
        successors.note(9, Fate::Ended(0), later);
        assert_eq!((successors.of.len(), successors.order.len()), (1, 1));
    }

    #[test]
    fn an_id_that_comes_back_is_no_former_one_and_their_number_is_bounded() {
        let mut successors = Successors::default();
        successors.note(1, Fate::Renamed(2), NOW);
        successors.note(2, Fate::Renamed(1), NOW);
        assert_eq!(successors.fate(1, NOW), Fate::Renamed(1));
        assert_eq!(successors.fate(2, NOW), Fate::Renamed(1));
        for id in 0..10_000 {
            successors.note(id, Fate::Ended(0), NOW);
        }
        assert!(successors.of.len() <= MAX_KEPT && successors.order.len() <= MAX_KEPT);
        assert_eq!(successors.fate(9_999, NOW), Fate::Ended(0));
    }
}
