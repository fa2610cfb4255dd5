//! Cases of what a locator counts by the table under which a session began.

use super::kit::{Kit, id, known_by};
use super::{Ask, Cookies, Harness};
use crate::routing::{Cohort, FencingToken, Sessions};

/// Sessions that began under this table, and those of them that failed.
fn cohort(table: FencingToken, begun: u64, failed: u64) -> Cohort {
    Cohort { table, sessions: Sessions::new(begun, failed).expect("fewer failed than began"), slow: 0 }
}

impl<H: Harness> Kit<H> {
    /// The cohorts of an instance, oldest table first.
    async fn cohorts(&self, n: usize) -> Vec<Cohort> {
        let mut cohorts = self.figures(n).await.cohorts;
        cohorts.retain(|cohort| cohort.sessions.begun() > 0);
        cohorts.sort_by_key(|cohort| cohort.table);
        cohorts
    }
}

/// A session counts under the table that was in force when it began, whenever it fails. It fails once.
pub async fn a_session_counts_under_the_table_under_which_it_began(harness: impl Harness) {
    let kit = Kit::new(harness);
    let first = kit.apply(&[(1, 100), (2, 0)]).await;
    let mut early = kit.settled_on(1).await;
    kit.settled_on(1).await;
    assert_eq!(kit.cohorts(1).await, [cohort(first, 2, 0)]);
    let second = kit.apply(&[(1, 0), (2, 100)]).await;
    let mut late = kit.settled_on(2).await;
    for _ in 0..2 {
        assert_eq!(kit.ask_for(&mut early, Ask::Failure).await, Some(1));
    }
    let third = kit.apply(&[(1, 100), (2, 0)]).await;
    assert_eq!(kit.ask_for(&mut late, Ask::Failure).await, Some(2));
    kit.settled_on(1).await;
    assert_eq!(kit.cohorts(1).await, [cohort(first, 2, 1), cohort(third, 1, 0)]);
    assert_eq!(kit.cohorts(2).await, [cohort(second, 1, 1)]);
    assert_eq!(kit.report().await.counted, [first, second, third]);
}

/// A table that is applied again begins nothing new. What opens no session counts nowhere.
pub async fn a_table_that_is_applied_again_is_the_same_cohort(harness: impl Harness) {
    let kit = Kit::new(harness);
    let number = kit.apply(&[(1, 100)]).await;
    kit.settled_on(1).await;
    let table = kit.table(number, &[(1, 100)]).await;
    kit.harness.locator().apply(&table).await.expect("it is in force already");
    kit.settled_on(1).await;
    kit.ask_for(&mut Cookies::new(), Ask::Probe).await;
    assert_eq!(kit.cohorts(1).await, [cohort(number, 2, 0)]);
    assert_eq!(kit.report().await.counted, [number]);
}

/// Chance did not bring the sessions of an adopted instance there. They are counted, but under no table.
pub async fn sessions_from_before_an_adoption_count_under_no_table(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply_adopted(&[(1, 0), (2, 100)], 1, Some("JSESSIONID")).await;
    let mut cookies = known_by("JSESSIONID");
    assert_eq!(kit.ask(&mut cookies).await, Some(1));
    assert_eq!(kit.ask_for(&mut cookies, Ask::Failure).await, Some(1));
    let figures = kit.figures(1).await;
    assert_eq!((figures.sessions_begun, figures.sessions_failed), (1, 1));
    assert_eq!(kit.cohorts(1).await, []);
    kit.settled_on(2).await;
    assert_eq!(kit.cohorts(2).await.len(), 1);
}

/// After a restart, counting begins anew. No table before the one in force is named, and no session from before counts.
pub async fn after_a_restart_no_older_table_is_counted(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut early = kit.settled_on(1).await;
    let second = kit.apply(&[(1, 50), (2, 50)]).await;
    if !kit.restart().await {
        return;
    }
    assert_eq!(kit.ask_for(&mut early, Ask::Failure).await, Some(1), "it goes on");
    let counted = kit.report().await.counted;
    assert!(counted.is_empty() || counted == [second], "{counted:?}");
    assert_eq!(kit.cohorts(1).await, []);
    assert_eq!(kit.figures(1).await.sessions_failed, 0, "it began before");
    let third = kit.apply(&[(1, 0), (2, 100)]).await;
    kit.settled_on(2).await;
    assert_eq!(kit.report().await.counted.last(), Some(&third));
    assert_eq!(kit.cohorts(2).await, [cohort(third, 1, 0)]);
    assert!(kit.report().await.instances.contains_key(&id(1)));
}
