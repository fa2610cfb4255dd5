//! The cases. The name of each says what it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::{join, join_all};

use crate::error::ErrorKind;
use crate::locator::SessionCount;
use crate::routing::{CloseAnswer, Count, FencingToken, RoutingTable};

use super::kit::{Kit, LONG, MOMENT, id, known_by, number_of, watermark};
use super::{Ask, Cookies, Harness};

/// A call whose number is older than the newest that was seen is refused, whatever it asks for, and changes nothing.
pub async fn an_older_number_is_refused_and_changes_nothing(harness: impl Harness) {
    let kit = Kit::new(harness);
    let old = kit.next();
    let in_force = kit.apply(&[(1, 100), (2, 0)]).await;
    let (locator, service) = (kit.harness.locator(), kit.harness.service());
    let before = kit.report().await;
    assert_eq!((before.newest, before.table), (in_force, Some(in_force)));
    let stale = kit.table(old, &[(1, 0), (2, 100)]).await;
    let epoch_before = FencingToken { epoch: 2, revision: 1_000 };
    let refused = [
        locator.apply(&stale).await.expect_err("old"),
        locator.close(&service, &id(2), old).await.expect_err("old"),
        locator.evict(&service, &id(1), old).await.expect_err("old"),
        locator.evict(&service, &id(1), epoch_before).await.expect_err("of an older epoch"),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::StaleNumber, "{error}");
    }
    assert_eq!(kit.report().await, before);
    kit.settled_on(1).await;
}

/// An equal number is the same call again; a close with a newer one makes older ones stale, as a table does.
pub async fn an_equal_number_is_the_same_call_again(harness: impl Harness) {
    let kit = Kit::new(harness);
    let (locator, service) = (kit.harness.locator(), kit.harness.service());
    let number = kit.next();
    let table = kit.table(number, &[(1, 0), (2, 100)]).await;
    locator.apply(&table).await.expect("new");
    locator.apply(&table).await.expect("the same again");
    assert_eq!(locator.close(&service, &id(1), number).await.expect("of the same decision"), CloseAnswer::Closed);
    assert_eq!(locator.close(&service, &id(1), number).await.expect("again"), CloseAnswer::Closed);
    locator.apply(&table).await.expect("once more, after the close");
    assert!(kit.figures(1).await.closed);
    kit.settled_on(2).await;
    let newer = kit.next();
    assert!(matches!(locator.close(&service, &id(2), newer).await.expect("new"), CloseAnswer::Busy(_)));
    assert_eq!(kit.report().await.newest, newer);
    assert_eq!(locator.apply(&table).await.expect_err("old by now").kind(), ErrorKind::StaleNumber);
}

/// Figures of a service without a table are empty, at number 0.0.
pub async fn a_service_never_heard_of_has_empty_figures(harness: impl Harness) {
    let kit = Kit::new(harness);
    let report = kit.report().await;
    assert_eq!((report.newest, report.table), (FencingToken::default(), None));
    assert!(report.instances.is_empty());
}

/// No guessing: with no table, or no share in it, a new session is not served.
pub async fn without_a_share_nobody_gets_a_new_session(harness: impl Harness) {
    let kit = Kit::new(harness);
    assert_eq!(kit.ask(&mut Cookies::new()).await, None);
    kit.apply(&[(1, 0), (2, 0)]).await;
    assert_eq!(kit.ask(&mut Cookies::new()).await, None);
}

/// New sessions go to the instances in proportion to the shares, which are weights.
pub async fn new_sessions_are_in_proportion_to_the_shares(harness: impl Harness) {
    let kit = Kit::new(harness);
    for shares in [[25, 75, 0], [10, 10, 20]] {
        kit.apply(&[(1, shares[0]), (2, shares[1]), (3, shares[2])]).await;
        let mut got = [0_u32; 3];
        for _ in 0..400 {
            got[kit.ask(&mut Cookies::new()).await.expect("a share") - 1] += 1;
        }
        let total: u32 = shares.iter().sum();
        for (got, share) in got.into_iter().zip(shares) {
            let due = 400 * share / total;
            // Tolerance for a locator that chooses at random: more than four standard deviations.
            assert!(got.abs_diff(due) <= if share == 0 { 0 } else { 45 }, "{got} of 400 at {share} of {total}");
        }
    }
}

/// S6: a session's requests go to one instance, with any share that it has, and with none.
pub async fn a_session_stays_whatever_the_shares_are(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 50), (2, 50)]).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut cookies = Cookies::new();
        let home = kit.ask(&mut cookies).await.expect("a share");
        clients.push((cookies, home));
    }
    assert!(clients.iter().any(|(_, home)| *home == 1) && clients.iter().any(|(_, home)| *home == 2));
    for shares in [[(1, 50), (2, 50), (3, 0)], [(1, 0), (2, 1), (3, 99)], [(1, 0), (2, 0), (3, 100)]] {
        kit.apply(&shares).await;
        kit.harness.pass(kit.harness.idle() / 2).await;
        for (cookies, home) in &mut clients {
            assert_eq!(kit.ask(cookies).await, Some(*home));
        }
    }
    kit.apply(&[(1, 100), (2, 0), (3, 0)]).await;
    for (cookies, home) in &mut clients {
        assert_eq!(kit.ask(cookies).await, Some(*home), "nobody comes back uncalled");
    }
}

/// Only a listed instance gets requests.
pub async fn a_session_of_an_unlisted_instance_begins_anew(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.apply(&[(2, 100)]).await;
    assert_eq!(kit.ask(&mut cookies).await, Some(2));
    kit.apply(&[(1, 100), (2, 0)]).await;
    assert_eq!(kit.ask(&mut cookies).await, Some(2), "the new session stays, too");
}

/// A probe without a cookie is answered and opens no session; one with a cookie goes to its session's instance.
pub async fn an_ignored_path_opens_no_session(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    for _ in 0..3 {
        assert_eq!(kit.ask_for(&mut Cookies::new(), Ask::Probe).await, Some(1));
    }
    kit.assert_live(1, 0).await;
    assert_eq!(kit.figures(1).await.sessions_begun, 0);
    let mut cookies = kit.settled_on(1).await;
    kit.apply(&[(1, 0), (2, 100)]).await;
    assert_eq!(kit.ask_for(&mut cookies, Ask::Probe).await, Some(1));
    assert_eq!(kit.ask_for(&mut Cookies::new(), Ask::Probe).await, Some(2));
}

/// Sessions and requests that begin are counted. Those that have ended are no longer counted as live or in flight.
pub async fn sessions_and_requests_are_counted(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.settled_on(1).await;
    assert_eq!(kit.ask(&mut cookies).await, Some(1));
    kit.assert_live(1, 2).await;
    let figures = kit.figures(1).await;
    assert_eq!((figures.sessions_begun, figures.requests_begun), (2, 3));
    assert_eq!((figures.sessions_failed, figures.requests_failed, figures.in_flight), (0, 0, 0));
    assert!(figures.last_seen.is_some());
    let request = kit.harness.begin(&mut cookies).await.expect("served");
    assert_eq!(number_of(&request.instance()), Some(1));
    assert_eq!(kit.figures(1).await.in_flight, 1);
    request.finish().await;
    let figures = kit.figures(1).await;
    assert_eq!((figures.in_flight, figures.requests_begun), (0, 4));
}

/// Each failed request is counted. A session with failed requests is counted once.
pub async fn a_session_fails_once(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100)]).await;
    let mut cookies = kit.settled_on(1).await;
    for _ in 0..3 {
        kit.ask_for(&mut cookies, Ask::Failure).await;
    }
    kit.settled_on(1).await;
    let figures = kit.figures(1).await;
    assert_eq!((figures.sessions_begun, figures.sessions_failed, figures.requests_failed), (2, 1, 3));
}

/// A request in flight keeps its session. The idle time counts from the request's end. The session never lives shorter
/// than that, and only a little longer.
pub async fn a_session_expires_idle_time_after_the_end_of_its_last_response(harness: impl Harness) {
    let kit = Kit::new(harness);
    let idle = kit.harness.idle();
    kit.apply(&[(1, 100)]).await;
    let mut cookies = Cookies::new();
    let request = kit.harness.begin(&mut cookies).await.expect("served");
    kit.harness.pass(idle * 3).await;
    kit.assert_live(1, 1).await;
    request.finish().await;
    kit.harness.pass(idle - MOMENT).await;
    kit.assert_live(1, 1).await;
    kit.harness.pass(MOMENT + kit.harness.late()).await;
    kit.assert_live(1, 0).await;
    let mut cookies = kit.settled_on(1).await;
    for _ in 0..4 {
        kit.harness.pass(idle - MOMENT).await;
        assert_eq!(kit.ask(&mut cookies).await, Some(1));
        kit.assert_live(1, 1).await;
    }
    kit.expire().await;
    kit.assert_live(1, 0).await;
}

/// The cookie of a session that has expired is worth nothing.
pub async fn an_expired_session_begins_anew(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.apply(&[(1, 0), (2, 100)]).await;
    kit.expire().await;
    assert_eq!(kit.ask(&mut cookies).await, Some(2));
}

/// An instance with a share is not closed.
pub async fn close_wants_no_share(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 1), (2, 99)]).await;
    let CloseAnswer::Busy(figures) = kit.close(1).await else { panic!("it has a share") };
    assert_eq!(figures.share.map(|share| share.to_string()).as_deref(), Some("1%"));
    assert!(!kit.figures(1).await.closed, "nothing changed");
}

/// An instance with a live session is not closed, and the session goes on.
pub async fn close_wants_no_live_session(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.apply(&[(1, 0), (2, 100)]).await;
    assert!(matches!(kit.close(1).await, CloseAnswer::Busy(_)));
    assert_eq!(kit.ask(&mut cookies).await, Some(1));
    kit.expire().await;
    assert_eq!(kit.close(1).await, CloseAnswer::Closed);
    let figures = kit.figures(1).await;
    assert!(figures.closed && figures.is_empty());
    assert_eq!(kit.ask(&mut cookies).await, Some(2));
}

/// An instance with a request in flight is not closed, however long that lasts.
pub async fn close_wants_nothing_in_flight(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let request = kit.harness.begin(&mut Cookies::new()).await.expect("served");
    kit.apply(&[(1, 0), (2, 100)]).await;
    kit.harness.pass(kit.harness.idle() * 3).await;
    let CloseAnswer::Busy(figures) = kit.close(1).await else { panic!("a request is in flight") };
    assert_eq!(figures.in_flight, 1);
    request.finish().await;
    kit.expire().await;
    assert_eq!(kit.close(1).await, CloseAnswer::Closed);
}

/// Closing is idempotent, and what was never listed can be closed.
pub async fn closing_twice_and_closing_a_stranger_is_closing(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100)]).await;
    for _ in 0..2 {
        assert_eq!(kit.close(7).await, CloseAnswer::Closed);
    }
    assert!(kit.figures(7).await.closed);
    kit.apply(&[(7, 100)]).await;
    assert_eq!(kit.ask(&mut Cookies::new()).await, None, "it was closed before it was ever listed");
}

/// No later table opens a closed instance, neither for new sessions nor for old ones.
pub async fn a_closed_instance_gets_nothing_for_ever(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.evict(1).await;
    for _ in 0..2 {
        kit.apply(&[(1, 100), (2, 1)]).await;
        for _ in 0..5 {
            assert_eq!(kit.ask(&mut Cookies::new()).await, Some(2));
        }
        assert_eq!(kit.ask(&mut cookies).await, Some(2));
        assert!(kit.figures(1).await.closed);
        if !kit.harness.restart().await {
            break;
        }
    }
}

/// A table may say that no older instance will be named any more. Closed ones among these may then be missing in the
/// figures, and no later table opens them.
pub async fn what_a_watermark_covers_stays_closed(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0), (3, 0)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.evict(1).await;
    let table = kit.table(kit.next(), &[(3, 100)]).await;
    let table = RoutingTable { watermark: Some(watermark(3)), ..table };
    kit.harness.locator().apply(&table).await.expect("new");
    // No table opens them, not even one of an older journal, and no restart does.
    for _ in 0..2 {
        kit.apply(&[(1, 100), (2, 100), (3, 1)]).await;
        for _ in 0..3 {
            assert_eq!(kit.ask(&mut Cookies::new()).await.filter(|served| *served == 1), None);
        }
        assert_ne!(kit.ask(&mut cookies.clone()).await, Some(1));
        assert!(kit.figures(1).await.closed, "what is named is told of");
        assert_eq!(kit.close(1).await, CloseAnswer::Closed);
        if !kit.harness.restart().await {
            break;
        }
    }
    assert_ne!(kit.ask(&mut cookies).await, Some(1));
}

/// Under load: once the close has been answered, the instance answers nothing more.
pub async fn a_close_is_atomic_with_routing(harness: impl Harness) {
    let kit = Arc::new(Kit::new(harness));
    kit.apply(&[(1, 100), (2, 0)]).await;
    let (closed, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (asked, rest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut cookies = kit.settled_on(1).await;
        let (kit, closed, stop) = (Arc::clone(&kit), Arc::clone(&closed), Arc::clone(&stop));
        let (asked, rest) = (Arc::clone(&asked), Arc::clone(&rest));
        clients.push(async move {
            while !stop.load(Ordering::SeqCst) {
                // Without this, a locator that answers at once would not let the closing task run.
                let_others_run().await;
                if rest.load(Ordering::SeqCst) {
                    continue;
                }
                let after = closed.load(Ordering::SeqCst);
                let served = kit.ask(&mut cookies).await;
                assert!(served != Some(1) || !after, "answered after the close");
                assert!(served.is_some(), "a client was turned away");
                asked.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let close = async {
        kit.apply(&[(1, 0), (2, 100)]).await;
        // Each round lets the sessions expire that send no request in time. In real time none may, so they rest in the
        // later rounds.
        for round in 0..20 {
            if kit.close(1).await == CloseAnswer::Closed {
                closed.store(true, Ordering::SeqCst);
                break;
            }
            rest.store(round >= 2, Ordering::SeqCst);
            kit.expire().await;
            rest.store(false, Ordering::SeqCst);
        }
        // If the instance had a request at the close, it would have been busy. None may come later.
        let at_close = kit.figures(1).await;
        assert_eq!(at_close.in_flight, 0);
        let until = asked.load(Ordering::SeqCst) + 50;
        while asked.load(Ordering::SeqCst) < until {
            let_others_run().await;
        }
        stop.store(true, Ordering::SeqCst);
        assert!(closed.load(Ordering::SeqCst), "it was never closed");
        assert_eq!(kit.figures(1).await.requests_begun, at_close.requests_begun);
    };
    join(join_all(clients), close).await;
    assert_eq!(kit.ask(&mut Cookies::new()).await, Some(2));
}

/// Lets other tasks run, on any executor.
async fn let_others_run() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Evicting closes at once, counts what it ends, and each client goes on elsewhere.
pub async fn evicted_sessions_are_counted_and_begin_elsewhere(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(kit.settled_on(1).await);
    }
    kit.apply(&[(1, 0), (2, 100)]).await;
    kit.evict(1).await;
    let figures = kit.figures(1).await;
    assert!(figures.closed && figures.is_empty());
    if kit.harness.locator().capabilities().session_count != SessionCount::None {
        assert_eq!(figures.sessions_evicted, 5);
    }
    for cookies in &mut clients {
        assert_eq!(kit.ask(cookies).await, Some(2));
    }
    kit.evict(1).await;
    assert_eq!(kit.figures(1).await.sessions_evicted, figures.sessions_evicted, "evicting again ends nothing more");
}

/// A request in flight is answered although its instance is evicted.
pub async fn an_eviction_cuts_no_request(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut cookies = Cookies::new();
    let request = kit.harness.begin(&mut cookies).await.expect("served");
    kit.apply(&[(1, 0), (2, 100)]).await;
    kit.evict(1).await;
    assert_eq!(kit.figures(1).await.in_flight, 1);
    assert_eq!(kit.ask(&mut cookies.clone()).await, Some(2));
    request.finish().await;
    assert_eq!(kit.figures(1).await.in_flight, 0);
    assert_eq!(kit.ask(&mut cookies).await, Some(2));
}

/// While its instance is held, a session's request waits. After that, the instance serves it.
pub async fn held_requests_wait_and_go_on_where_they_were(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.apply(&[(1, 0), (2, 100)]).await;
    let (locator, service) = (kit.harness.locator(), kit.harness.service());
    locator.hold(&service, &id(1), LONG).await.expect("it is listed");
    let resumed = AtomicBool::new(false);
    let waits = async {
        assert_eq!(kit.ask(&mut cookies).await, Some(1));
        assert!(resumed.load(Ordering::SeqCst), "it was served while its instance was held");
    };
    let resumes = async {
        kit.harness.pass(MOMENT * 20).await;
        assert_eq!(kit.figures(1).await.in_flight, 0, "what waits is not in flight");
        resumed.store(true, Ordering::SeqCst);
        locator.resume(&service, &id(1)).await.expect("held");
        locator.resume(&service, &id(1)).await.expect("no longer held");
    };
    join(waits, resumes).await;
    assert_eq!(locator.hold(&service, &id(9), LONG).await.expect_err("a stranger").kind(), ErrorKind::NotFound);
}

/// A hold that nobody ends ends by itself, and nothing is lost.
pub async fn a_hold_ends_by_itself(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100)]).await;
    let mut cookies = kit.settled_on(1).await;
    kit.harness.locator().hold(&kit.harness.service(), &id(1), MOMENT * 10).await.expect("it is listed");
    let (served, ()) = join(kit.ask(&mut cookies), kit.harness.pass(MOMENT * 20)).await;
    assert_eq!(served, Some(1));
    assert_eq!(kit.ask(&mut Cookies::new()).await, Some(1));
}

/// A new session does not wait for an instance that is held while another has a share.
pub async fn new_sessions_go_to_what_is_not_held(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 50), (2, 50)]).await;
    kit.harness.locator().hold(&kit.harness.service(), &id(1), LONG).await.expect("it is listed");
    for _ in 0..10 {
        assert_eq!(kit.ask(&mut Cookies::new()).await, Some(2));
    }
    kit.harness.locator().resume(&kit.harness.service(), &id(1)).await.expect("held");
}

/// The newest number, the table and the closed marks are on disk before the answer.
pub async fn numbers_tables_and_closed_marks_outlive_a_restart(harness: impl Harness) {
    let kit = Kit::new(harness);
    let table = kit.apply(&[(1, 100), (2, 0), (3, 0)]).await;
    kit.evict(2).await;
    assert_eq!(kit.close(3).await, CloseAnswer::Closed);
    let old = kit.next();
    assert!(matches!(kit.close(1).await, CloseAnswer::Busy(_)), "a refused close has a number, too");
    let before = kit.report().await;
    if !kit.restart().await {
        return;
    }
    let after = kit.report().await;
    assert_ne!(after.incarnation, before.incarnation);
    assert_eq!((after.newest, after.table), (before.newest, Some(table)));
    assert!(after.instances[&id(2)].closed && after.instances[&id(3)].closed && !after.instances[&id(1)].closed);
    let (locator, service) = (kit.harness.locator(), kit.harness.service());
    let error = locator.evict(&service, &id(1), old).await.expect_err("older than what was seen before");
    assert_eq!(error.kind(), ErrorKind::StaleNumber);
    kit.settled_on(1).await;
}

/// S6, after a restart: a session that this locator has never seen goes where its cookie says.
pub async fn an_unseen_session_follows_its_cookie(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    let mut stays = kit.settled_on(1).await;
    let mut expires = kit.settled_on(1).await;
    kit.apply(&[(1, 0), (2, 100)]).await;
    kit.harness.pass(kit.harness.idle() / 2).await;
    assert_eq!(kit.ask(&mut stays).await, Some(1));
    if !kit.restart().await {
        return;
    }
    kit.harness.pass(kit.harness.idle() / 2 + kit.harness.idle() / 16 + kit.harness.late()).await;
    assert_eq!(kit.ask(&mut stays).await, Some(1), "it was used half an idle time ago");
    assert_eq!(kit.ask(&mut expires).await, Some(2), "it was not used for an idle time");
    assert_eq!(kit.ask(&mut Cookies::new()).await, Some(2));
}

/// After a restart, a locator that knows which sessions live says so, and any other says that it does not know. None counts as
/// drained before the session has expired.
pub async fn after_a_restart_nothing_counts_as_drained_before_its_sessions_have_expired(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply(&[(1, 100), (2, 0)]).await;
    kit.settled_on(1).await;
    kit.apply(&[(1, 0), (2, 100)]).await;
    let before = kit.report().await.counting_since;
    kit.harness.pass(MOMENT).await;
    if !kit.restart().await {
        return;
    }
    let may_live = |live| matches!(live, Count::Unknown | Count::Exact(1) | Count::AtMost(1));
    assert!(kit.report().await.counting_since > before);
    assert!(may_live(kit.figures(1).await.live));
    assert!(matches!(kit.close(1).await, CloseAnswer::Busy(_)));
    kit.harness.pass(kit.harness.idle() - MOMENT * 2).await;
    assert!(may_live(kit.figures(1).await.live));
    kit.expire().await;
    kit.assert_live(1, 0).await;
    assert_eq!(kit.close(1).await, CloseAnswer::Closed);
}

/// A client of an adopted instance has the application's cookie and none of the locator's. It goes on where it was,
/// with any shares. From its first request on it has a session like any other.
pub async fn sessions_from_before_its_adoption_stay_on_an_instance(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply_adopted(&[(1, 0), (2, 100)], 1, None).await;
    assert_eq!(kit.ask(&mut Cookies::new()).await, Some(2), "a new client has no session from before");
    let mut one = known_by("JSESSIONID");
    let mut other = known_by("sid");
    for cookies in [&mut one, &mut other] {
        assert_eq!(kit.ask(cookies).await, Some(1));
        assert_eq!(kit.ask(cookies).await, Some(1));
    }
    assert_eq!(kit.figures(1).await.sessions_begun, 2, "each is one session, however often it asks");
    kit.restart().await;
    assert_eq!(kit.ask(&mut known_by("late")).await, Some(1), "it is in the table, which outlives a restart");
    kit.harness.pass(kit.harness.idle() / 2 + MOMENT).await;
    assert_eq!(kit.ask(&mut one).await, Some(1));
    kit.harness.pass(kit.harness.idle() / 2).await;
    assert_eq!(kit.ask(&mut known_by("JSESSIONID")).await, Some(2), "whoever had a session has come or lost it");
    assert_eq!(kit.ask(&mut one).await, Some(1), "a session that was found goes on");
}

/// If the name of the application's cookie is known, a client that has only other cookies is a new one.
pub async fn a_named_cookie_tells_sessions_from_before_from_other_clients(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply_adopted(&[(1, 0), (2, 100)], 1, Some("JSESSIONID")).await;
    assert_eq!(kit.ask(&mut known_by("visited")).await, Some(2));
    assert_eq!(kit.ask(&mut known_by("XJSESSIONID")).await, Some(2));
    assert_eq!(kit.ask(&mut known_by("JSESSIONID")).await, Some(1));
    kit.evict(1).await;
    assert_eq!(kit.ask(&mut known_by("JSESSIONID")).await, Some(2), "nothing goes to what is closed");
}

/// How many sessions an adopted instance has is unknown until the last of those from before has come or expired.
pub async fn an_adopted_instance_is_not_empty_before_its_sessions_have_come_or_expired(harness: impl Harness) {
    let kit = Kit::new(harness);
    kit.apply_adopted(&[(1, 0), (2, 100)], 1, None).await;
    kit.harness.pass(kit.harness.idle() - MOMENT).await;
    assert_eq!(kit.figures(1).await.live, Count::Unknown);
    assert!(matches!(kit.close(1).await, CloseAnswer::Busy(_)));
    let mut cookies = known_by("JSESSIONID");
    assert_eq!(kit.ask(&mut cookies).await, Some(1));
    kit.harness.pass(MOMENT).await;
    kit.assert_live(1, 1).await;
    assert!(matches!(kit.close(1).await, CloseAnswer::Busy(_)), "it lives");
    kit.expire().await;
    kit.assert_live(1, 0).await;
    assert_eq!(kit.close(1).await, CloseAnswer::Closed);
    assert_eq!(kit.ask(&mut cookies).await, Some(2));
}
