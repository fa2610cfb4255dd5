use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Before, Blame, Outcome};
use super::*;
use crate::locator::gateway::tick::TICK;
use crate::name::ServiceName;
use crate::routing::{
    Adopted, ApplicationCookie, CloseAnswer, Cohort, Count, FencingToken, InstanceFigures, Route, RoutingTable,
    SessionPolicy, Sessions, Share,
};

const IDLE: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const FAILED: Blame<'static> = Blame { slow: false, path: "/shop", status: Some(500) };

fn id(n: usize) -> InstanceId {
    InstanceId::new(format!("shop-{n}")).expect("valid")
}

fn number(revision: u64) -> FencingToken {
    FencingToken { epoch: 1, revision }
}

fn table(revision: u64, shares: &[(usize, u32)]) -> RoutingTable {
    let address = SocketAddr::from(([127, 0, 0, 1], 8000));
    let application = Some(ApplicationCookie::new("JSESSIONID"));
    let ignore = vec!["/health".to_owned()];
    RoutingTable {
        service: ServiceName::new("shop").expect("valid"),
        number: number(revision),
        session: SessionPolicy { idle: IDLE, ignore, application, ..SessionPolicy::default() },
        routes: shares.iter().map(|(n, share)| (id(*n), Route::new(address, Share::percent(*share)))).collect(),
        watermark: None,
    }
}

fn routing(shares: &[(usize, u32)]) -> ServiceRouting {
    let mut routing = ServiceRouting::new(1, START, Before::Listed, 1000, 42);
    routing.apply(&table(1, shares), START);
    routing
}

const NO_COOKIES: Option<fn(Option<&str>) -> bool> = None;

/// A request with such cookies: each with its id, and the number of the instance in its prefix.
fn place(routing: &mut ServiceRouting, cookies: &[(u64, Option<usize>)], now: Timestamp) -> Option<Placement> {
    let names: Vec<_> = cookies.iter().map(|(session, n)| (*session, n.map(id))).collect();
    let sought = names.iter().map(|(id, n)| Sought { id: *id, instance: n.as_ref().map(InstanceId::as_str) }).collect();
    let by = Recognised { sought, by_application: true, ..Recognised::default() };
    routing.place_recognised(&by, NO_COOKIES, "/", now)
}

/// A client whose request is answered with this session.
fn begin(routing: &mut ServiceRouting, session: u64, now: Timestamp) -> u32 {
    let mut placement = place(routing, &[], now).expect("a share");
    assert!(routing.bind(&mut placement, session, now).is_some());
    routing.finish(&placement, Outcome::Sent, now);
    placement.instance
}

fn figures(routing: &mut ServiceRouting, n: usize, now: Timestamp) -> InstanceFigures {
    while !routing.sweep(now, 10) {}
    routing.report(now).instances.remove(&id(n)).unwrap_or_default()
}

fn cohort(revision: u64, begun: u64, failed: u64) -> Cohort {
    Cohort { table: number(revision), sessions: Sessions::new(begun, failed).expect("valid"), slow: 0 }
}

#[test]
fn a_session_begins_with_the_answer_and_counts_where_its_request_was_placed() {
    let mut routing = routing(&[(0, 100)]);
    let anonymous = place(&mut routing, &[], START).expect("a share");
    let mut first = place(&mut routing, &[], START).expect("a share");
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.live, seen.sessions_begun, seen.requests_begun), (Count::Exact(0), 0, 2));
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    assert_eq!(routing.bind(&mut first, 7, START), Some(id(0)));
    routing.finish(&first, Outcome::Sent, START);
    routing.finish(&anonymous, Outcome::Sent, START);
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.live, seen.sessions_begun, seen.in_flight), (Count::Exact(1), 1, 0));
    assert_eq!(seen.cohorts, [cohort(1, 1, 0)], "and not under the table in force now");
    let again = place(&mut routing, &[(7, None)], START).expect("there");
    assert!(again.instance == 0 && again.is_sticky());
    routing.finish(&again, Outcome::Sent, START);
    assert_eq!(place(&mut routing, &[(8, None)], START).expect("a share").instance, 1, "a stranger");
    assert_eq!(figures(&mut routing, 0, START + IDLE + TICK).live, Count::Exact(0));
}

#[test]
fn requests_without_a_session_go_by_the_shares_whatever_their_order() {
    let mut routing = routing(&[(0, 50), (1, 50)]);
    // Each client asks twice before it has a session, as browsers do before some requests to other sites.
    let mut on_the_first = 0;
    for session in 0..400 {
        let before = place(&mut routing, &[], START).expect("a share");
        routing.finish(&before, Outcome::Sent, START);
        on_the_first += u32::from(begin(&mut routing, session, START) == 0);
    }
    assert!((150..=250).contains(&on_the_first), "{on_the_first} of 400");
}

#[test]
fn a_new_value_moves_the_session_with_its_requests_and_its_failure() {
    let mut routing = routing(&[(0, 100), (1, 0)]);
    begin(&mut routing, 1, START);
    let mut other = place(&mut routing, &[(1, None)], START).expect("there");
    let mut login = place(&mut routing, &[(1, None)], START).expect("there");
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    assert_eq!(routing.bind(&mut login, 2, START), Some(id(0)));
    routing.finish(&login, Outcome::Sent, START);
    // Sent before the client had the answer.
    let late = place(&mut routing, &[(1, None)], START).expect("there");
    assert_eq!((late.instance, late.session.expect("one").id), (0, 2));
    routing.finish(&late, Outcome::Sent, START);
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.live, seen.sessions_begun, seen.in_flight), (Count::Exact(1), 1, 1));
    // The request that came under the first value fails.
    routing.blame(&mut other, FAILED);
    assert_eq!(figures(&mut routing, 0, START + IDLE * 5).live, Count::Exact(1), "and it is in flight until it ends");
    routing.finish(&other, Outcome::Sent, START + IDLE * 5);
    let mut again = place(&mut routing, &[(2, None)], START + IDLE * 5).expect("there");
    routing.blame(&mut again, FAILED);
    routing.finish(&again, Outcome::Sent, START + IDLE * 5);
    let seen = figures(&mut routing, 0, START + IDLE * 5);
    assert_eq!((seen.sessions_failed, seen.requests_failed), (1, 2));
    assert_eq!(seen.cohorts, [cohort(1, 1, 1)]);
    // After a while, nobody has the first value any more.
    assert_eq!(place(&mut routing, &[(1, None)], START + IDLE * 5).expect("a share").instance, 1);
    assert_eq!(figures(&mut routing, 0, START + IDLE * 7).live, Count::Exact(0));
}

#[test]
fn a_deletion_ends_the_session_at_once_and_its_other_requests_stay_in_flight() {
    let mut routing = routing(&[(0, 100), (1, 0)]);
    begin(&mut routing, 1, START);
    let other = place(&mut routing, &[(1, Some(0))], START).expect("there");
    let logout = place(&mut routing, &[(1, Some(0))], START).expect("there");
    routing.end_session(&logout, START);
    routing.end_session(&logout, START);
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    routing.finish(&logout, Outcome::Sent, START);
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.live, seen.in_flight), (Count::Exact(0), 1));
    // Sent before the client had the answer: it goes where it belongs, and keeps nothing alive.
    let late = place(&mut routing, &[(1, Some(0))], START).expect("there");
    assert_eq!((late.instance, late.session.is_none()), (0, true));
    routing.finish(&late, Outcome::Sent, START);
    routing.finish(&other, Outcome::Sent, START);
    assert_eq!(figures(&mut routing, 0, START).live, Count::Exact(0));
    assert_eq!(routing.close(&id(0), number(3), START), CloseAnswer::Closed);
    assert_eq!(routing.sessions.instance(1), None);
}

/// Two gateways, each with a session of these ids on the instance 0, used at the start.
fn two_with(ids: &[u64]) -> [ServiceRouting; 2] {
    [0, 1].map(|_| {
        let mut routing = routing(&[(0, 100)]);
        for id in ids {
            begin(&mut routing, *id, START);
        }
        routing.apply(&table(2, &[(0, 0)]), START);
        routing
    })
}

fn live(routing: &mut ServiceRouting, now: Timestamp) -> Count {
    figures(routing, 0, now).live
}

#[test]
fn what_has_ended_at_one_gateway_ends_at_the_other_unless_it_was_used_there_since_then() {
    let [mut here, mut there] = two_with(&[1, 2, 3]);
    let now = START + Duration::from_secs(10);
    for id in [1, 2] {
        let placement = place(&mut here, &[(id, Some(0))], now).expect("there");
        here.end_session(&placement, now);
        here.finish(&placement, Outcome::Sent, now);
    }
    // The client of the second begins the same session again, at the other gateway.
    let later = now + Duration::from_secs(1);
    let again = place(&mut there, &[(2, Some(0))], later).expect("there");
    there.finish(&again, Outcome::Sent, later);
    let heard = later + Duration::from_secs(1);
    let told = here.ended_sessions(0, heard);
    assert_eq!(told.sessions.len(), 2);
    there.end_sessions(&told.sessions, heard);
    there.end_sessions(&told.sessions, heard);
    assert_eq!(live(&mut there, heard), Count::Exact(2));
    assert_eq!(there.sessions.instance(1), None);
    // A request that was sent before the client had the answer keeps nothing alive.
    let late = place(&mut there, &[(1, Some(0))], heard).expect("there");
    assert!(late.session.is_none());
    there.finish(&late, Outcome::Sent, heard);
    assert_eq!(live(&mut there, heard), Count::Exact(2));
    // The other way round, there is nothing to tell.
    assert!(there.ended_sessions(0, heard).sessions.is_empty());
    assert!(here.ended_sessions(told.next, heard).sessions.is_empty());
}

#[test]
fn one_with_a_request_in_flight_goes_on_and_a_former_id_does_not() {
    let [mut here, mut there] = two_with(&[1, 2]);
    let busy = place(&mut there, &[(1, Some(0))], START).expect("there");
    let now = START + Duration::from_secs(10);
    let logout = place(&mut here, &[(1, Some(0))], now).expect("there");
    here.end_session(&logout, now);
    here.finish(&logout, Outcome::Sent, now);
    let mut login = place(&mut here, &[(2, Some(0))], now).expect("there");
    here.bind(&mut login, 5, now);
    here.finish(&login, Outcome::Sent, now);
    there.end_sessions(&here.ended_sessions(0, now).sessions, now);
    assert_eq!(live(&mut there, now), Count::Exact(1), "the first, with its request");
    assert_eq!(live(&mut here, now), Count::Exact(1), "the second, by its new id");
    there.finish(&busy, Outcome::Sent, now);
    assert_eq!(live(&mut there, now), Count::Exact(1));
    assert_eq!(live(&mut there, now + IDLE + TICK), Count::Exact(0));
}

#[test]
fn a_session_after_a_deletion_is_another_one_and_belongs_to_no_cohort() {
    let mut routing = routing(&[(0, 100)]);
    begin(&mut routing, 1, START);
    let mut placement = place(&mut routing, &[(1, None)], START).expect("there");
    routing.end_session(&placement, START);
    assert_eq!(routing.bind(&mut placement, 2, START), Some(id(0)));
    routing.finish(&placement, Outcome::Sent, START);
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.live, seen.sessions_begun), (Count::Exact(1), 2));
    assert_eq!(seen.cohorts, [cohort(1, 1, 0)]);
    assert_eq!(figures(&mut routing, 0, START + IDLE + TICK).live, Count::Exact(0));
}

#[test]
fn a_prefix_is_followed_without_an_entry_unless_its_instance_takes_nothing() {
    let mut routing = routing(&[(0, 0), (1, 100), (2, 0)]);
    for n in [0, 2] {
        let placement = place(&mut routing, &[(n as u64 + 10, Some(n))], START).expect("listed");
        assert_eq!(placement.instance as usize, n);
        routing.finish(&placement, Outcome::Sent, START);
        let seen = figures(&mut routing, n, START);
        assert_eq!((seen.live, seen.sessions_begun), (Count::Exact(1), 0), "it began elsewhere");
    }
    // Without an entry it comes back after any time, and counts as live again: the close finds it.
    let later = START + IDLE * 3;
    assert_eq!(figures(&mut routing, 0, later).live, Count::Exact(0));
    let back = place(&mut routing, &[(10, Some(0))], later).expect("listed");
    assert_eq!(back.instance, 0);
    assert!(matches!(routing.close(&id(0), number(2), later), CloseAnswer::Busy(_)));
    routing.finish(&back, Outcome::Sent, later);
    routing.evict(&id(0), number(3));
    assert_eq!(routing.close(&id(2), number(4), later), CloseAnswer::Closed);
    for n in [0, 2, 9] {
        assert_eq!(place(&mut routing, &[(n as u64 + 10, Some(n))], later).expect("a share").instance, 1, "{n}");
    }
}

#[test]
fn of_several_cookies_the_one_that_the_table_knows_counts() {
    let mut routing = routing(&[(0, 100)]);
    begin(&mut routing, 1, START);
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    let placement = place(&mut routing, &[(5, Some(1)), (1, Some(0))], START).expect("there");
    assert_eq!((placement.instance, placement.session.expect("one").id), (0, 1));
    let placement = place(&mut routing, &[(5, None), (6, Some(1))], START).expect("there");
    assert_eq!(placement.session.expect("one").id, 6);
}

#[test]
fn a_failure_without_a_session_is_a_session_that_began_and_failed() {
    let mut routing = routing(&[(0, 100)]);
    let mut placement = place(&mut routing, &[], START).expect("a share");
    let slow = Blame { slow: true, ..FAILED };
    routing.blame(&mut placement, slow);
    routing.blame(&mut placement, FAILED);
    routing.blame(&mut placement, FAILED);
    routing.finish(&placement, Outcome::Sent, START);
    let probe = Recognised { by_application: true, ..Recognised::default() };
    let mut probe = routing.place_recognised(&probe, NO_COOKIES, "/health", START).expect("a share");
    routing.blame(&mut probe, FAILED);
    assert!(routing.bind(&mut probe, 3, START).is_some());
    routing.finish(&probe, Outcome::Sent, START);
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.sessions_begun, seen.sessions_failed, seen.live), (1, 1, Count::Exact(0)));
    assert_eq!(seen.cohorts, [cohort(1, 1, 1)]);
    assert_eq!(seen.failures.len(), 1);
    let totals = routing.totals(START);
    assert_eq!((totals[0].begun, totals[0].ended, totals[0].failed), (1, 1, 1));
}

#[test]
fn sessions_of_our_own_cookie_go_on_when_the_settings_change_and_back() {
    let own = |revision, shares: &[_]| {
        let with = table(revision, shares);
        RoutingTable { session: SessionPolicy { application: None, ..with.session }, ..with }
    };
    let mut routing = ServiceRouting::new(1, START, Before::Listed, 1000, 42);
    routing.apply(&own(1, &[(0, 100)]), START);
    let mut first = routing.place(None, "/", &[], START).expect("a share");
    let stamp = routing.restamp(&mut first, START).expect("new").stamp;
    routing.finish(&first, Outcome::Sent, START);
    let session = first.session.expect("one").id;
    let claim = Claim { session, stamp, instance: "shop-0" };
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    let ask = |routing: &mut ServiceRouting, own, cookies: &[u64], by_application| {
        let sought = cookies.iter().map(|id| Sought { id: *id, instance: None }).collect();
        let placement = routing.place_recognised(
            &Recognised { own, sought, by_application, ..Recognised::default() },
            NO_COOKIES,
            "/",
            START,
        );
        let placement = placement.expect("a share");
        routing.finish(&placement, Outcome::Sent, START);
        (placement.instance, placement.session.map(|session| session.id))
    };
    assert_eq!(ask(&mut routing, Some(claim), &[], true), (0, Some(session)));
    assert_eq!(ask(&mut routing, Some(claim), &[99], true), (0, Some(99)), "it is known by the other cookie now");
    assert_eq!(ask(&mut routing, None, &[99], true), (0, Some(99)));
    assert_eq!(figures(&mut routing, 0, START).live, Count::Exact(1));
    routing.apply(&own(3, &[(0, 0), (1, 100)]), START);
    assert_eq!(routing.former, ["JSESSIONID"]);
    assert_eq!(ask(&mut routing, None, &[99], false), (0, Some(99)), "and gets our own cookie again");
    assert_eq!(figures(&mut routing, 0, START).live, Count::Exact(1));
    let saved = routing.to_save(ServiceName::new("shop").expect("valid"), number(3), routing.table());
    let text = serde_json::to_string(&saved).expect("plain");
    let mut second = ServiceRouting::new(2, START, Before::Listed, 1000, 43);
    second.restore(&serde_json::from_str(&text).expect("its own"));
    assert_eq!((second.former.clone(), second.cookies().is_some()), (vec!["JSESSIONID".to_owned()], true));
}

#[test]
fn sessions_from_before_an_adoption_are_found_by_the_cookie() {
    let mut routing = routing(&[(0, 0), (1, 100)]);
    let mut adopts = table(2, &[(0, 0), (1, 100)]);
    let adopted = Adopted { until: START + IDLE, cookie: Some("JSESSIONID".to_owned()) };
    adopts.routes.get_mut(&id(0)).expect("listed").adopted = Some(adopted);
    routing.apply(&adopts, START);
    let ask = |routing: &mut ServiceRouting, sought: &[u64], now| {
        let sought: Vec<_> = sought.iter().map(|id| Sought { id: *id, instance: None }).collect();
        let carries = !sought.is_empty();
        let by = Recognised { sought, by_application: true, ..Recognised::default() };
        let placement = routing.place_recognised(&by, Some(|_: Option<&str>| carries), "/", now).expect("a share");
        routing.finish(&placement, Outcome::Sent, now);
        placement.instance
    };
    assert_eq!((ask(&mut routing, &[], START), ask(&mut routing, &[4], START)), (1, 0));
    let seen = figures(&mut routing, 0, START);
    assert_eq!((seen.live, seen.sessions_begun, seen.cohorts), (Count::Unknown, 1, vec![]));
    let last = START + IDLE;
    ask(&mut routing, &[4], Timestamp::from_millis(last.as_millis() - 1));
    assert_eq!((ask(&mut routing, &[5], last), ask(&mut routing, &[4], last)), (1, 0));
    assert_eq!(figures(&mut routing, 0, last).live, Count::Exact(1));
}

#[derive(Debug, Clone)]
enum Op {
    /// A request of a client, with the session that it has, if any.
    Begin(usize),
    /// Its answer, which names a session, deletes one, both, or says nothing.
    Answer {
        client: usize,
        names: Option<u64>,
        ends: bool,
        failed: bool,
    },
    Pass(u64),
    Apply([Option<u32>; 3]),
    Close(usize),
    Evict(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let share = prop_oneof![Just(None), Just(Some(0)), (1_u32..100).prop_map(Some)];
    let answer = (0_usize..8, prop::option::of(0_u64..20), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let op = prop_oneof![
        8 => (0_usize..8).prop_map(Op::Begin),
        8 => answer.prop_map(|(client, names, ends, failed)| Op::Answer { client, names, ends, failed }),
        3 => prop_oneof![0_u64..3_000, 0_u64..90_000].prop_map(Op::Pass),
        2 => [share.clone(), share.clone(), share].prop_map(Op::Apply),
        1 => (0_usize..3).prop_map(Op::Close),
        1 => (0_usize..3).prop_map(Op::Evict),
    ];
    prop::collection::vec(op, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever answers say, and in whatever order: live sessions are those in the table, each on one instance, nothing is
    /// lost or counted twice, and all are gone an idle time after the last request.
    #[test]
    fn the_figures_are_those_of_the_table(ops in ops()) {
        let mut routing = routing(&[(0, 50), (1, 50), (2, 0)]);
        let mut now = START;
        let mut revision = 1;
        let mut known: BTreeMap<usize, u64> = BTreeMap::new();
        let mut in_flight: BTreeMap<usize, Placement> = BTreeMap::new();
        for op in ops {
            revision += 1;
            match op {
                Op::Begin(client) => {
                    let cookies: Vec<_> = known.get(&client).map(|id| (*id, None)).into_iter().collect();
                    if !in_flight.contains_key(&client) && let Some(placement) = place(&mut routing, &cookies, now) {
                        in_flight.insert(client, placement);
                    }
                }
                Op::Answer { client, names, ends, failed } => {
                    let Some(mut placement) = in_flight.remove(&client) else { continue };
                    if ends {
                        routing.end_session(&placement, now);
                        known.remove(&client);
                    }
                    if let Some(id) = names {
                        routing.bind(&mut placement, id, now);
                        known.insert(client, id);
                    }
                    if failed {
                        routing.blame(&mut placement, FAILED);
                    }
                    routing.finish(&placement, Outcome::Sent, now);
                }
                Op::Pass(millis) => now = now + Duration::from_millis(millis),
                Op::Apply(shares) => {
                    let named: Vec<_> = (0..3).filter_map(|n| Some((n, shares[n]?))).collect();
                    routing.apply(&table(revision, &named), now);
                }
                Op::Close(n) => {
                    while !routing.sweep(now, 5) {}
                    let closed = routing.close(&id(n), number(revision), now) == CloseAnswer::Closed;
                    let busy = in_flight.values().any(|placement| placement.instance as usize == n);
                    prop_assert!(!closed || !busy || routing.instances[n].evicted);
                }
                Op::Evict(n) => routing.evict(&id(n), number(revision)),
            }
            while !routing.sweep(now, 5) {}
            let live: BTreeSet<u64> = (0..20).filter(|id| routing.sessions.instance(*id).is_some()).collect();
            for n in 0..3 {
                let of = live.iter().filter(|id| routing.sessions.instance(**id) == Some(n)).count() as u64;
                let instance = &routing.instances[n as usize];
                prop_assert_eq!(instance.live + instance.left_over, of, "on {}", n);
                let flying = in_flight.values().filter(|placement| placement.instance == n).count() as u64;
                prop_assert_eq!(instance.in_flight, flying);
                let begun: u64 = instance.cohorts.of(&routing.counted).iter().map(|it| it.sessions.begun()).sum();
                prop_assert!(begun <= instance.sessions_begun && instance.sessions_failed <= instance.sessions_begun);
                prop_assert_eq!(instance.sessions_begun, instance.sessions_ended + instance.live);
            }
        }
        for placement in in_flight.values() {
            routing.finish(placement, Outcome::Sent, now);
        }
        let later = now + IDLE + TICK * 2;
        while !routing.sweep(later, 5) {}
        for n in 0..3 {
            prop_assert_eq!(routing.instances[n].live + routing.instances[n].left_over, 0, "on {}", n);
        }
        while !routing.sweep(later + IDLE * 2, 5) {}
        let (used, free) = routing.sessions.entries();
        prop_assert_eq!(used, free, "no entry is left behind");
    }
}

#[test]
fn nothing_comes_back_to_an_instance_that_is_closing() {
    let mut routing = routing(&[(0, 100), (1, 0)]);
    for session in [1, 2] {
        begin(&mut routing, session, START);
    }
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    // One has expired, and one lives.
    let later = START + IDLE + TICK;
    let lives = place(&mut routing, &[(2, Some(0))], START + IDLE / 2).expect("it lives");
    routing.finish(&lives, Outcome::Sent, START + IDLE / 2);
    let mut closing = table(3, &[(0, 0), (1, 100)]);
    closing.routes.get_mut(&id(0)).expect("listed").closing = true;
    routing.apply(&closing, later);
    let at = |session: u64| {
        let sought = vec![Sought { id: session, instance: Some("shop-0") }];
        Recognised { sought, by_application: true, ..Recognised::default() }
    };
    assert!(routing.held(&at(1), later).is_some_and(|until| until <= later + Duration::from_secs(5)));
    assert_eq!(place(&mut routing, &[(2, Some(0))], later).expect("it lives").instance, 0);
    // The same table again does not let it wait longer, and after that it goes elsewhere.
    routing.apply(&RoutingTable { number: number(4), ..closing.clone() }, later + Duration::from_secs(4));
    let much_later = later + Duration::from_secs(6);
    assert_eq!(routing.held(&at(1), much_later), None);
    assert_eq!(place(&mut routing, &[(1, Some(0))], much_later).expect("a share").instance, 1);
    // After a restart it is closing, too.
    let saved = routing.to_save(ServiceName::new("shop").expect("valid"), number(4), routing.table());
    let mut restarted = ServiceRouting::new(2, much_later, Before::Listed, 1000, 43);
    restarted.restore(&saved);
    let after = much_later + Duration::from_secs(6);
    assert_eq!(place(&mut restarted, &[(1, Some(0))], after).expect("a share").instance, 1);
    // It was taken back.
    routing.apply(&table(5, &[(0, 0), (1, 100)]), much_later);
    assert_eq!(routing.held(&at(1), much_later), None);
    assert_eq!(place(&mut routing, &[(1, Some(0))], much_later).expect("it comes back").instance, 0);
}
