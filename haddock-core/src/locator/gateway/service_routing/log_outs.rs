//! The sessions that the application has ended, for other locators of the same service: what a session is called is the same
//! for all gateways with one key, and each of them would otherwise wait until it has expired there.

use std::collections::VecDeque;

use crate::routing::{EndedSession, EndedSessions, SessionKey};
use crate::time::Timestamp;

/// How many are kept: 1 MiB. Older ones expire at the others by themselves.
const MAX_KEPT: usize = 65_536;
/// The most in one answer: some 200 KB of JSON.
const MAX_TOLD: usize = 4096;

/// A list whose places are numbered.
#[derive(Debug)]
pub(super) struct LogOuts {
    /// The number of the first that is kept.
    first: u64,
    kept: VecDeque<(u64, Timestamp)>,
}

impl LogOuts {
    /// Numbers begin with the time, so that those of a gateway that was restarted are higher than before.
    pub(super) fn new(started: Timestamp) -> Self {
        Self { first: started.as_millis().saturating_mul(1024), kept: VecDeque::new() }
    }

    pub(super) fn note(&mut self, id: u64, now: Timestamp) {
        if self.kept.len() >= MAX_KEPT {
            self.kept.pop_front();
            self.first += 1;
        }
        self.kept.push_back((id, now));
    }

    /// Those from this number on, or a part of them.
    pub(super) fn from(&self, number: u64, now: Timestamp) -> EndedSessions {
        let end = self.first + self.kept.len() as u64;
        // A number that was never reached is that of another gateway.
        let from = if number > end { self.first } else { number.max(self.first) };
        let skipped = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let told = self.kept.iter().skip(skipped).take(MAX_TOLD);
        let sessions: Vec<_> =
            told.map(|(id, at)| EndedSession { key: SessionKey(*id), ago: now.since(*at) }).collect();
        EndedSessions { next: from + sessions.len() as u64, sessions }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn keys(told: &EndedSessions) -> Vec<u64> {
        told.sessions.iter().map(|session| session.key.0).collect()
    }

    #[test]
    fn each_is_told_once_to_one_who_asks_on_from_the_last_answer() {
        let mut log_outs = LogOuts::new(START);
        log_outs.note(7, START);
        let now = START + Duration::from_secs(3);
        let told = log_outs.from(0, now);
        assert_eq!(told.sessions, [EndedSession { key: SessionKey(7), ago: Duration::from_secs(3) }]);
        assert!(keys(&log_outs.from(told.next, now)).is_empty());
        log_outs.note(8, now);
        assert_eq!(keys(&log_outs.from(told.next, now)), [8]);
        // The next gateway, asked on from there, or one whose clock was set back.
        for started in [now, START.before(Duration::from_secs(3600))] {
            let mut next = LogOuts::new(started);
            next.note(9, now);
            assert_eq!(keys(&next.from(told.next, now)), [9]);
        }
    }

    #[test]
    fn only_the_newest_are_kept_and_an_answer_has_a_part() {
        let mut log_outs = LogOuts::new(START);
        let all = MAX_KEPT as u64 + 10;
        (0..all).for_each(|id| log_outs.note(id, START));
        let (mut next, mut told) = (0, Vec::new());
        loop {
            let part = log_outs.from(next, START);
            assert!(part.sessions.len() <= MAX_TOLD);
            if part.sessions.is_empty() {
                break;
            }
            told.extend(keys(&part));
            next = part.next;
        }
        assert_eq!(told, (10..all).collect::<Vec<_>>());
    }
}
