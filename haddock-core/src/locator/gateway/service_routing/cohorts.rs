//! Sessions by the table under which they began.

use std::collections::VecDeque;

use super::super::sessions::{Begun, COHORTS, News};
use crate::routing::{Cohort, FencingToken, Sessions};

/// The newest tables by which sessions are counted: more than a release needs.
const MAX_TABLES: usize = 32;

/// The tables by which sessions are counted. Each has an ordinal: one more than the table before.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Their numbers, oldest first.
    tables: VecDeque<FencingToken>,
    /// The ordinal of the oldest.
    first: u64,
}

impl Counted {
    /// From now on, sessions begin under this table.
    pub(super) fn begin(&mut self, table: FencingToken) {
        if self.tables.back() == Some(&table) {
            return;
        }
        self.tables.push_back(table);
        if self.tables.len() > MAX_TABLES {
            self.tables.pop_front();
            self.first += 1;
        }
    }

    pub(super) fn numbers(&self) -> Vec<FencingToken> {
        self.tables.iter().copied().collect()
    }

    /// The ordinal of the table in force.
    fn newest(&self) -> u64 {
        (self.first + self.tables.len() as u64).saturating_sub(1)
    }

    /// What a session that begins now remembers of the table in force.
    #[allow(clippy::cast_possible_truncation, reason = "a remainder of a small number")]
    pub(super) fn now(&self) -> Begun {
        Begun::In((self.newest() % u64::from(COHORTS)) as u32)
    }

    /// The ordinal of the table that a session remembers: the newest that it can be.
    fn ordinal(&self, cohort: u32) -> Option<u64> {
        let (newest, cycle) = (self.newest(), u64::from(COHORTS));
        let behind = (newest % cycle + cycle - u64::from(cohort)) % cycle;
        newest.checked_sub(behind).filter(|ordinal| *ordinal >= self.first)
    }
}

/// The sessions of one instance, by the ordinal of the table under which they began, oldest first.
#[derive(Debug, Default)]
pub(super) struct Cohorts(VecDeque<(u64, Sessions, u64)>);

impl Cohorts {
    /// A session began under the table in force.
    pub(super) fn begin(&mut self, counted: &Counted) {
        self.begin_in(counted.now(), counted);
    }

    /// A session began that was placed under this table. It counts nowhere if that is no longer counted.
    pub(super) fn begin_in(&mut self, begun: Begun, counted: &Counted) {
        let Begun::In(cohort) = begun else { return };
        let Some(ordinal) = counted.ordinal(cohort) else { return };
        let mut at = self.0.partition_point(|(of, ..)| *of < ordinal);
        if self.0.get(at).is_none_or(|(of, ..)| *of != ordinal) {
            while self.0.front().is_some_and(|(of, ..)| *of < counted.first) {
                self.0.pop_front();
                at -= 1;
            }
            self.0.insert(at, (ordinal, Sessions::NONE, 0));
        }
        self.0[at].1.count_begun();
    }

    /// A request of a session has ended.
    pub(super) fn note(&mut self, news: News, counted: &Counted) {
        let Begun::In(cohort) = news.begun else { return };
        if !news.failed && !news.slow {
            return;
        }
        let Some(ordinal) = counted.ordinal(cohort) else { return };
        if let Some((_, sessions, slow)) = self.0.iter_mut().rev().find(|(of, ..)| *of == ordinal) {
            if news.failed {
                sessions.count_failed();
            }
            *slow += u64::from(news.slow);
        }
    }

    /// Those of the tables that are still counted.
    pub(super) fn of(&self, counted: &Counted) -> Vec<Cohort> {
        let known = self.0.iter().filter_map(|(ordinal, sessions, slow)| {
            let at = usize::try_from(ordinal.checked_sub(counted.first)?).ok()?;
            Some(Cohort { table: *counted.tables.get(at)?, sessions: *sessions, slow: *slow })
        });
        known.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(revision: u64) -> FencingToken {
        FencingToken { epoch: 1, revision }
    }

    #[test]
    fn a_session_fails_in_the_cohort_in_which_it_began() {
        let (mut counted, mut cohorts) = (Counted::default(), Cohorts::default());
        counted.begin(table(1));
        cohorts.begin(&counted);
        let early = counted.now();
        counted.begin(table(2));
        counted.begin(table(2));
        cohorts.begin(&counted);
        cohorts.note(News { begun: early, failed: true, slow: true }, &counted);
        let one = Sessions::new(1, 1).unwrap();
        let other = Sessions::new(1, 0).unwrap();
        let expected =
            [Cohort { table: table(1), sessions: one, slow: 1 }, Cohort { table: table(2), sessions: other, slow: 0 }];
        assert_eq!(cohorts.of(&counted), expected);
        assert_eq!(counted.numbers(), [table(1), table(2)]);
    }

    #[test]
    fn a_session_that_began_late_counts_where_it_was_placed() {
        let (mut counted, mut cohorts) = (Counted::default(), Cohorts::default());
        counted.begin(table(1));
        let early = counted.now();
        counted.begin(table(2));
        cohorts.begin(&counted);
        cohorts.begin_in(early, &counted);
        cohorts.begin_in(early, &counted);
        cohorts.begin_in(Begun::Apart, &counted);
        let begun: Vec<_> = cohorts.of(&counted).iter().map(|it| (it.table, it.sessions.begun())).collect();
        assert_eq!(begun, [(table(1), 2), (table(2), 1)]);
        (3..=100).for_each(|revision| counted.begin(table(revision)));
        cohorts.begin_in(early, &counted);
        cohorts.begin(&counted);
        assert_eq!(cohorts.of(&counted).len(), 1, "the first is no longer counted");
    }

    #[test]
    fn a_session_of_a_forgotten_table_counts_nowhere() {
        let (mut counted, mut cohorts) = (Counted::default(), Cohorts::default());
        counted.begin(table(1));
        cohorts.begin(&counted);
        let old = counted.now();
        for revision in 2..=3000 {
            counted.begin(table(revision));
            cohorts.begin(&counted);
            let behind = usize::try_from(revision - 1).unwrap();
            if (MAX_TABLES..COHORTS as usize).contains(&behind) {
                cohorts.note(News { begun: old, failed: true, slow: false }, &counted);
            }
        }
        let known = cohorts.of(&counted);
        assert_eq!(known.len(), MAX_TABLES);
        assert_eq!(cohorts.0.len(), MAX_TABLES);
        assert!(known.iter().all(|cohort| cohort.sessions.failed() == 0), "{known:?}");
    }
}
