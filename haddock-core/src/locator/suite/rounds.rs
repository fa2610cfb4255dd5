//! Cases of an instance that is about to be closed on every locator of a group.

use futures_util::future::join;

use super::Harness;
use super::kit::{Kit, MOMENT, id};
use crate::routing::CloseAnswer;

impl<H: Harness> Kit<H> {
    /// As [`apply`](Self::apply), but the instance `n` is closing.
    async fn apply_closing(&self, shares: &[(usize, u32)], n: usize) {
        let number = self.next();
        let mut table = self.table(number, shares).await;
        table.routes.get_mut(&id(n)).expect("it has a line").closing = true;
        self.harness.locator().apply(&table).await.expect("the newest number");
    }
}

/// A session that has expired does not come back to an instance that is closing: its request waits until that is taken back, or
/// until the instance is closed.
pub async fn what_would_come_back_waits_until_it_is_known_whether_the_instance_is_closed(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let (mut first, mut second) = (kit.settled_on(1).await, kit.settled_on(1).await);
    kit.apply(&[(1, 0), (2, 100)]).await;
    kit.expire().await;
    kit.apply_closing(&[(1, 0), (2, 100)], 1).await;
    let taken_back = async {
        kit.harness.pass(MOMENT).await;
        assert!(kit.figures(1).await.is_empty(), "its request waits");
        kit.apply(&[(1, 0), (2, 100)]).await;
    };
    let (served, ()) = join(kit.ask(&mut first), taken_back).await;
    assert_eq!(served, Some(1), "it was not closed, and the session goes on");
    kit.expire().await;
    kit.apply_closing(&[(1, 0), (2, 100)], 1).await;
    let closed = async {
        kit.harness.pass(MOMENT).await;
        kit.close(1).await
    };
    let (served, answer) = join(kit.ask(&mut second), closed).await;
    assert_eq!(answer, CloseAnswer::Closed, "nothing has come back");
    assert_eq!(served, Some(2), "it is closed, so it begins anew");
}

/// What lives on an instance goes on there, although that is closing: then the close is refused.
pub async fn what_lives_on_a_closing_instance_goes_on_there(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut lives = kit.settled_on(1).await;
    kit.apply_closing(&[(1, 0), (2, 100)], 1).await;
    assert!(matches!(kit.close(1).await, CloseAnswer::Busy(_)), "a session lives there");
    let taken_back = async {
        kit.harness.pass(MOMENT).await;
        kit.apply(&[(1, 0), (2, 100)]).await;
    };
    let (served, ()) = join(kit.ask(&mut lives), taken_back).await;
    assert_eq!(served, Some(1));
}
