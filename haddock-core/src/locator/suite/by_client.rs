//! Cases of clients that decide to which version their new sessions go.

use super::kit::{Kit, id};
use super::{Cookies, Harness};
use crate::routing::SessionBy;

/// An odd number: by turns, a crowd comes to other instances the second time.
const CROWD: usize = 41;

impl<H: Harness> Kit<H> {
    /// Puts a table with these shares into force, as the next decision. Each instance is of a version of its own, with the same
    /// number.
    async fn apply_by_client(&self, shares: &[(usize, u32)]) {
        let mut table = self.table(self.next(), shares).await;
        table.session.by = SessionBy::Client;
        for (n, _) in shares {
            table.routes.get_mut(&id(*n)).expect("it has a line").version = u64::try_from(*n).ok();
        }
        self.harness.locator().apply(&table).await.expect("the newest number");
    }

    /// New sessions of these clients: the instances that they come to.
    async fn come(&self, clients: &mut [Cookies]) -> Vec<usize> {
        self.expire().await;
        let mut at = Vec::new();
        for cookies in clients {
            at.push(self.ask(cookies).await.expect("a share"));
        }
        at
    }
}

fn crowd() -> Vec<Cookies> {
    vec![Cookies::new(); CROWD]
}

/// A client that comes again has a new session, and it is on the version of the one before.
pub async fn a_client_keeps_to_its_version_over_its_sessions(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply_by_client(&[(1, 60), (2, 40)]).await;
    let mut clients = crowd();
    let first = kit.come(&mut clients).await;
    assert!(first.contains(&1) && first.contains(&2), "both get their share: {first:?}");
    for _ in 0..2 {
        assert_eq!(kit.come(&mut clients).await, first);
    }
    if kit.restart().await {
        assert_eq!(kit.come(&mut clients).await, first, "after a restart");
    }
}

/// As the share of a newer version grows, clients come to it, and none leaves it. If it loses its share, they all do.
pub async fn a_client_goes_over_to_newer_versions_only(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply_by_client(&[(1, 70), (2, 30)]).await;
    let mut clients = crowd();
    let mut before = kit.come(&mut clients).await;
    let mut came = 0;
    for share in [60, 60, 100] {
        kit.apply_by_client(&[(1, 100 - share), (2, share)]).await;
        let now = kit.come(&mut clients).await;
        assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?}, then {now:?} at {share}%");
        came += before.iter().zip(&now).filter(|(before, now)| before < now).count();
        before = now;
    }
    assert!(came > 0 && before == [2; CROWD], "{before:?}");
    kit.apply_by_client(&[(1, 100), (2, 0)]).await;
    assert_eq!(kit.come(&mut clients).await, [1; CROWD]);
}
