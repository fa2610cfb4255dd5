use std::time::Duration;

use proptest::prelude::*;

use crate::locator::gateway::store::Saved;
use crate::name::{JournalId, ServiceName};
use crate::routing::{Cohort, FailureKind, Route, Sessions, Share, Watermark};

use super::*;

const IDLE: Duration = Duration::from_secs(5);
const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const FAILED: Blame<'static> = Blame { slow: false, path: "/shop/7", status: Some(500) };

fn journal() -> JournalId {
    JournalId::new("0123456789abcdef").expect("valid")
}

fn shop() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

fn id(n: usize) -> InstanceId {
    InstanceId::of(&journal(), &shop(), n as u64)
}

/// Everything is written down, as the gateway does before it answers.
fn write_down(routing: &mut ServiceRouting) -> Saved {
    let saved = routing.to_save(shop(), routing.newest(), routing.table());
    routing.now_on_disk(&saved);
    saved
}

fn number(revision: u64) -> FencingToken {
    FencingToken { epoch: 1, revision }
}

fn table(revision: u64, shares: &[(usize, u32)]) -> RoutingTable {
    let address = |n: usize| SocketAddr::from(([127, 0, 0, 1], 8000 + u16::try_from(n).expect("small")));
    let route = |n: usize, share| Route::new(address(n), Share::percent(share));
    RoutingTable {
        service: ServiceName::new("shop").expect("valid"),
        number: number(revision),
        session: SessionPolicy { idle: IDLE, ignore: vec!["/health".to_owned()], ..SessionPolicy::default() },
        routes: shares.iter().map(|(n, share)| (id(*n), route(*n, *share))).collect(),
        watermark: None,
    }
}

fn routing() -> ServiceRouting {
    ServiceRouting::new(1, START, Before::Listed, 1000, 42)
}

fn live(routing: &mut ServiceRouting, n: usize, now: Timestamp) -> Count {
    while !routing.sweep(now, 10) {}
    routing.report(now).instances.get(&id(n)).map_or(Count::Exact(0), |figures| figures.live)
}

/// A client: sends a request with its cookie, and keeps the cookie of the answer.
#[derive(Debug, Clone, Default)]
struct Client {
    cookie: Option<(u64, Timestamp, InstanceId)>,
}

impl Client {
    fn begin(&self, routing: &mut ServiceRouting, now: Timestamp) -> Option<Placement> {
        let claim = self.cookie.as_ref().map(|(session, stamp, id)| Claim {
            session: *session,
            stamp: *stamp,
            instance: id.as_str(),
        });
        routing.place(claim, "/", &[], now)
    }

    fn head(&mut self, routing: &mut ServiceRouting, placement: &mut Placement, now: Timestamp) {
        if let Some(Restamp { instance: id, stamp, .. }) = routing.restamp(placement, now) {
            self.cookie = Some((placement.session.expect("a session").id, stamp, id));
        }
    }

    fn request(&mut self, routing: &mut ServiceRouting, now: Timestamp) -> Option<usize> {
        let mut placement = self.begin(routing, now)?;
        self.head(routing, &mut placement, now);
        routing.finish(&placement, Outcome::Sent, now);
        let number = routing.instances[placement.instance as usize].id.number(&journal())?;
        usize::try_from(number).ok()
    }
}

#[test]
fn a_session_stays_at_share_zero_and_new_ones_go_elsewhere() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut client = Client::default();
    assert_eq!(client.request(&mut routing, START), Some(0));
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    assert_eq!(client.request(&mut routing, START), Some(0));
    assert_eq!(Client::default().request(&mut routing, START), Some(1));
}

#[test]
fn without_a_table_or_a_share_there_is_nowhere_to_go() {
    let mut routing = routing();
    assert!(Client::default().begin(&mut routing, START).is_none());
    routing.apply(&table(1, &[(0, 0)]), START);
    assert!(Client::default().begin(&mut routing, START).is_none());
}

#[test]
fn a_session_expires_idle_time_after_its_last_stamp_in_figures_and_cookie_alike() {
    let mut known = routing();
    known.apply(&table(1, &[(0, 100), (1, 0)]), START);
    let mut client = Client::default();
    client.request(&mut known, START);
    let last = START + STAMP_AHEAD + IDLE;
    let before = Timestamp::from_millis(last.as_millis() - 1);
    for now in [START, START + IDLE, before] {
        // Wherever the cookie would still be followed, the session counts as live.
        let mut unseen = routing();
        unseen.apply(&table(1, &[(0, 0), (1, 100)]), START);
        assert_eq!(client.clone().request(&mut unseen, now), Some(0));
        assert_eq!(live(&mut known, 0, now), Count::Exact(1));
    }
    let mut unseen = routing();
    unseen.apply(&table(1, &[(0, 0), (1, 100)]), START);
    assert_eq!(client.clone().request(&mut unseen, last), Some(1));
    assert_eq!(live(&mut known, 0, last + TICK), Count::Exact(0));
}

#[test]
fn a_long_response_keeps_its_session_and_idle_counts_from_its_end() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut client = Client::default();
    let mut placement = client.begin(&mut routing, START).expect("a share");
    client.head(&mut routing, &mut placement, START);
    let end = START + IDLE * 10;
    assert_eq!(live(&mut routing, 0, end), Count::Exact(1));
    routing.finish(&placement, Outcome::Sent, end);
    let before = Timestamp::from_millis((end + IDLE).as_millis() - 1);
    assert_eq!(live(&mut routing, 0, before), Count::Exact(1));
    // The cookie is long out of date, but the table knows better.
    routing.apply(&table(2, &[(0, 0), (1, 100)]), before);
    assert_eq!(client.request(&mut routing, before), Some(0));
    assert_eq!(live(&mut routing, 0, before + STAMP_AHEAD + IDLE + TICK), Count::Exact(0));
}

#[test]
fn close_wants_no_share_nothing_live_and_nothing_in_flight() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100), (1, 0)]), START);
    assert!(matches!(routing.close(&id(0), number(1), START), CloseAnswer::Busy(_)), "it has a share");
    let mut client = Client::default();
    let mut placement = client.begin(&mut routing, START).expect("a share");
    client.head(&mut routing, &mut placement, START);
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    let CloseAnswer::Busy(figures) = routing.close(&id(0), number(3), START) else { panic!("one is in flight") };
    assert_eq!((figures.in_flight, figures.live), (1, Count::Exact(1)));
    routing.finish(&placement, Outcome::Sent, START);
    assert!(matches!(routing.close(&id(0), number(4), START), CloseAnswer::Busy(_)), "one is live");
    let later = START + IDLE + STAMP_AHEAD + TICK;
    while !routing.sweep(later, 10) {}
    assert_eq!(routing.close(&id(0), number(5), later), CloseAnswer::Closed);
    assert_eq!(routing.close(&id(0), number(5), later), CloseAnswer::Closed);
    routing.apply(&table(6, &[(0, 100), (1, 0)]), later);
    assert!(client.begin(&mut routing, later).is_none(), "closed is for ever");
    assert_eq!(routing.newest(), number(6));
}

#[test]
fn evicted_sessions_are_counted_and_go_elsewhere() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut clients = vec![Client::default(); 10];
    for client in &mut clients {
        client.request(&mut routing, START);
    }
    let in_flight = clients[0].begin(&mut routing, START).expect("there");
    routing.apply(&table(2, &[(0, 50), (1, 50)]), START);
    routing.evict(&id(0), number(3));
    write_down(&mut routing);
    let figures = &routing.report(START).instances[&id(0)];
    assert_eq!((figures.sessions_evicted, figures.live, figures.in_flight), (10, Count::Exact(0), 1));
    assert!(figures.closed);
    routing.finish(&in_flight, Outcome::Sent, START);
    for client in &mut clients {
        assert_eq!(client.request(&mut routing, START), Some(1));
    }
    let later = START + IDLE * 3;
    while !routing.sweep(later, 3) {}
    assert_eq!(routing.report(later).instances[&id(0)].live, Count::Exact(0));
}

#[test]
fn a_restarted_one_does_not_know_for_one_idle_time() {
    let mut first = routing();
    first.apply(&table(1, &[(0, 100)]), START);
    let mut client = Client::default();
    client.request(&mut first, START);
    let begin = START + Duration::from_secs(1);
    let mut second = ServiceRouting::new(2, begin, Before::Listed, 1000, 43);
    let (before, closed) = (table(1, &[(0, 0)]), [id(9)].into());
    second.restore(&Saved::new(shop(), number(4), Some(before), closed, Watermarks::default()));
    assert_eq!(second.newest(), number(4));
    assert_eq!(live(&mut second, 0, begin), Count::Unknown);
    assert!(matches!(second.close(&id(0), number(5), begin), CloseAnswer::Busy(_)));
    assert_eq!(client.request(&mut second, begin), Some(0), "a cookie of before is followed");
    // One that was first listed after the start cannot have sessions of before it.
    second.apply(&table(6, &[(0, 0), (1, 100), (9, 100)]), begin);
    assert_eq!(live(&mut second, 1, begin), Count::Exact(0));
    assert_eq!(live(&mut second, 0, begin + IDLE), Count::Exact(1));
    assert!(second.report(begin).instances[&id(9)].closed);
    for _ in 0..4 {
        assert_eq!(Client::default().request(&mut second, begin), Some(1));
    }
}

#[test]
fn a_full_table_evicts_nobody_and_says_that_it_does_not_know() {
    let mut routing = ServiceRouting::new(1, START, Before::Listed, 2, 42);
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut clients = vec![Client::default(); 3];
    for client in &mut clients {
        client.request(&mut routing, START);
    }
    assert_eq!(live(&mut routing, 0, START), Count::Unknown);
    routing.apply(&table(2, &[(0, 0), (1, 100)]), START);
    for client in &mut clients {
        assert_eq!(client.request(&mut routing, START), Some(0));
    }
    let later = START + IDLE + STAMP_AHEAD;
    assert_eq!(live(&mut routing, 0, Timestamp::from_millis(later.as_millis() - 1)), Count::Unknown);
    assert_eq!(live(&mut routing, 0, later + TICK), Count::Exact(0));
}

#[test]
fn a_new_session_whose_instance_cannot_be_reached_goes_on_and_counts_as_failed_there() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 50), (1, 50)]), START);
    let mut first = routing.place(None, "/", &[], START).expect("a share");
    routing.blame(&mut first, Blame { status: None, ..FAILED });
    routing.move_on(&first, START);
    let second = routing.place(None, "/", &[first.instance], START).expect("another");
    assert_ne!(first.instance, second.instance);
    assert!(routing.place(None, "/", &[0, 1], START).is_none());
    let report = routing.report(START);
    let figures = &report.instances[&id(first.instance as usize)];
    assert_eq!((figures.live, figures.in_flight), (Count::Exact(0), 0));
    assert_eq!((figures.sessions_begun, figures.sessions_failed, figures.requests_failed), (1, 1, 1));
    assert_eq!(figures.last_seen, None);
}

#[test]
fn a_session_fails_once_however_many_requests_do() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut client = Client::default();
    let slow = Blame { slow: true, path: "/till", ..FAILED };
    for blame in [None, Some(FAILED), Some(slow), None, Some(Blame { status: None, ..FAILED }), Some(slow)] {
        let mut placement = client.begin(&mut routing, START).expect("there");
        client.head(&mut routing, &mut placement, START);
        blame.into_iter().for_each(|blame| routing.blame(&mut placement, blame));
        routing.finish(&placement, Outcome::Sent, START);
    }
    let figures = &routing.report(START).instances[&id(0)];
    assert_eq!((figures.sessions_begun, figures.requests_begun), (1, 6));
    assert_eq!((figures.sessions_failed, figures.requests_failed), (1, 2));
    let cohort = Cohort { table: number(1), sessions: Sessions::new(1, 1).expect("valid"), slow: 1 };
    assert_eq!(figures.cohorts, [cohort]);
    let kind = |path: &str, slow| FailureKind { path: path.to_owned(), status: Some(500), slow, sessions: 1 };
    assert_eq!(figures.failures, [kind("/shop", false), kind("/till", true)], "the first of each");
}

#[test]
fn an_ignored_path_opens_no_session() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut placement = routing.place(None, "/health", &[], START).expect("a share");
    assert!(routing.restamp(&mut placement, START).is_none());
    assert_eq!(routing.report(START).instances[&id(0)].in_flight, 1);
    routing.finish(&placement, Outcome::Sent, START);
    assert_eq!(live(&mut routing, 0, START), Count::Exact(0));
    let mut client = Client::default();
    client.request(&mut routing, START);
    assert_eq!(live(&mut routing, 0, START), Count::Exact(1));
}

#[test]
fn an_upgraded_connection_keeps_its_session() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100)]), START);
    let mut client = Client::default();
    let mut placement = client.begin(&mut routing, START).expect("there");
    client.head(&mut routing, &mut placement, START);
    routing.upgrade(&placement);
    let later = START + IDLE * 100;
    assert_eq!(live(&mut routing, 0, later), Count::Exact(1));
    let figures = &routing.report(later).instances[&id(0)];
    assert_eq!((figures.in_flight, figures.upgraded), (0, 1));
    routing.finish_upgraded(&placement, later);
    assert_eq!(live(&mut routing, 0, later), Count::Exact(1));
    assert_eq!(live(&mut routing, 0, later + IDLE + TICK), Count::Exact(0));
}

#[test]
fn that_it_is_closed_is_said_once_it_is_on_disk_and_nothing_slips_in_before() {
    let mut routing = routing();
    routing.apply(&table(1, &[(0, 100), (1, 0)]), START);
    write_down(&mut routing);
    for close in [false, true] {
        let n = usize::from(close);
        let mut client = Client::default();
        routing.apply(&table(2, &[(n, 100)]), START);
        assert_eq!(client.request(&mut routing, START), Some(n));
        routing.apply(&table(3, &[(n, 0), (2, 100)]), START);
        write_down(&mut routing);
        let now = if close { START + IDLE * 2 } else { START };
        if close {
            while !routing.sweep(now, 10) {}
            assert_eq!(routing.close(&id(n), number(4), now), CloseAnswer::Closed);
        } else {
            routing.evict(&id(n), number(4));
        }
        let report = routing.report(now);
        assert_eq!((report.newest, report.instances[&id(n)].closed), (number(3), false), "a restart would forget it");
        assert_eq!(client.request(&mut routing, now), Some(2));
        write_down(&mut routing);
        let report = routing.report(now);
        assert_eq!((report.newest, report.instances[&id(n)].closed), (number(4), true));
        routing.newest = number(1);
    }
}

/// Five thousand releases. What is gone leaves, its session and requests that end late among it, and what takes its place
/// counts its own alone.
#[test]
fn years_of_releases_leave_nothing_behind() {
    let mut routing = routing();
    let mut now = START;
    let mut late: Option<(usize, Placement)> = None;
    let (mut most, mut evicted) = (0, Vec::new());
    for n in 1..=5_000_usize {
        now = now + IDLE / 7;
        let before = [(n - 1, 0)].into_iter().filter(|(n, _)| *n > 0);
        let shares: Vec<_> = before.chain([(n, 100)]).collect();
        let oldest = shares[0].0 as u64;
        let watermark = Some(Watermark { journal: journal(), oldest });
        routing.apply(&RoutingTable { watermark, ..table(n as u64 * 2, &shares) }, now);
        let mut client = Client::default();
        assert_eq!(client.request(&mut routing, now), Some(n));
        if n % 3 == 0 && late.is_none() {
            late = client.begin(&mut routing, now).map(|placement| (n, placement));
        }
        if n > 1 {
            // Its session has not expired, and expires in the table long after it is gone.
            routing.evict(&id(n - 1), number(n as u64 * 2 + 1));
            evicted.push(n - 1);
        }
        write_down(&mut routing);
        if let Some((at, placement)) = late.filter(|(at, _)| *at + 50 < n) {
            assert_eq!(routing.report(now).instances[&id(at)].in_flight, 1, "it is not gone as long as it answers");
            routing.finish(&placement, Outcome::Sent, now);
            late = None;
        }
        while !routing.sweep(now, 100) {}
        assert_eq!(live(&mut routing, n, now), Count::Exact(1));
        let report = routing.report(now);
        most = most.max(report.instances.len());
        assert!(routing.instances.len() < 20, "{} places at release {n}", routing.instances.len());
    }
    // Those among them whose sessions have not expired in the table, for one idle time.
    assert!(most <= 10, "{most} in a report");
    assert!(routing.by_id.len() < 20);
    let saved = write_down(&mut routing);
    assert!(serde_json::to_string(&saved).expect("plain").len() < 1_000);

    // And yet closed is closed for ever, also where a journal that was recovered knows less.
    let mut second = ServiceRouting::new(2, now, Before::Listed, 1000, 43);
    second.restore(&saved);
    for routing in [&mut routing, &mut second] {
        routing.apply(&table(20_000, &[(7, 100), (5_000, 1)]), now);
        assert_eq!(Client::default().request(routing, now), Some(5_000));
        assert!(routing.report(now).instances[&id(7)].closed);
        assert_eq!(routing.close(&id(8), number(20_001), now), CloseAnswer::Closed);
        write_down(routing);
        assert!(routing.report(now).instances[&id(8)].closed);
    }
}

#[derive(Debug, Clone)]
enum Op {
    Begin(usize),
    End(usize, bool),
    Pass(u64),
    Apply([Option<u32>; 4]),
    Close(usize),
    Evict(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let share = prop_oneof![Just(None), Just(Some(0)), (1_u32..100).prop_map(Some)];
    let op = prop_oneof![
        8 => (0_usize..12).prop_map(Op::Begin),
        8 => (0_usize..12, any::<bool>()).prop_map(|(client, failed)| Op::End(client, failed)),
        3 => prop_oneof![0_u64..300, 0_u64..6_000, 0_u64..30_000].prop_map(Op::Pass),
        2 => [share.clone(), share.clone(), share.clone(), share].prop_map(Op::Apply),
        2 => (0_usize..4).prop_map(Op::Close),
        1 => (0_usize..4).prop_map(Op::Evict),
    ];
    prop::collection::vec(op, 1..120)
}

/// What a session is in the plainest words.
#[derive(Debug, Clone)]
struct Plain {
    instance: usize,
    in_flight: u32,
    until: Timestamp,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Against a plain map of sessions: each request goes where it must, and the figures are those of the map.
    #[test]
    fn it_does_what_a_plain_model_does(ops in ops()) {
        let mut routing = ServiceRouting::new(1, START, Before::Listed, 1000, 7);
        let mut now = START;
        let mut revision = 0;
        let mut clients = vec![Client::default(); 12];
        let mut in_flight: Vec<Option<Placement>> = vec![None; 12];
        let mut sessions: BTreeMap<u64, Plain> = BTreeMap::new();
        let (mut shares, mut closed) = ([None; 4], [false; 4]);
        // So that the gateway numbers the instances as the model does.
        for n in 0..4 {
            routing.apply(&table({ revision += 1; revision }, &[(n, 0)]), now);
        }
        routing.apply(&table({ revision += 1; revision }, &[]), now);
        for op in ops {
            revision += 1;
            match op {
                Op::Pass(millis) => now = now + Duration::from_millis(millis * 50),
                Op::Apply(new) => {
                    shares = new;
                    let named: Vec<_> = (0..4).filter_map(|n| Some((n, new[n]?))).collect();
                    routing.apply(&table(revision, &named), now);
                }
                Op::Close(n) => {
                    while !routing.sweep(now, 5) {}
                    let busy = sessions.values().any(|plain| plain.instance == n && (plain.in_flight > 0 || now.since(plain.until) < IDLE))
                        || in_flight.iter().flatten().any(|placement| placement.instance as usize == n);
                    let has_share = shares[n].is_some_and(|share| share > 0);
                    let answer = routing.close(&id(n), number(revision), now);
                    prop_assert_eq!(answer == CloseAnswer::Closed, closed[n] || !(busy || has_share), "close {}", n);
                    closed[n] |= answer == CloseAnswer::Closed;
                }
                Op::Evict(n) => {
                    routing.evict(&id(n), number(revision));
                    closed[n] = true;
                    sessions.retain(|_, plain| plain.instance != n);
                }
                Op::Begin(client) => {
                    if in_flight[client].is_some() {
                        continue;
                    }
                    let cookie = clients[client].cookie.clone();
                    let takes = |n: usize| shares[n].is_some() && !closed[n];
                    let serving = (0..4).any(|n| !closed[n] && shares[n].is_some_and(|share| share > 0));
                    let stays = cookie.as_ref().and_then(|(session, stamp, _)| {
                        let plain = sessions.get(session);
                        let n = plain.map_or_else(|| (0..4).find(|n| id(*n) == cookie.as_ref().expect("one").2), |plain| Some(plain.instance))?;
                        let alive = plain.is_some_and(|plain| plain.in_flight > 0 || now.since(plain.until) < IDLE)
                            || now.since(*stamp) < IDLE;
                        (alive && takes(n)).then_some(n)
                    });
                    let mut placement = clients[client].begin(&mut routing, now);
                    match (&placement, stays) {
                        (Some(placement), Some(n)) => prop_assert_eq!(placement.instance as usize, n, "it stays"),
                        (Some(placement), None) => {
                            let n = placement.instance as usize;
                            prop_assert!(!closed[n] && shares[n].is_some_and(|share| share > 0));
                            prop_assert!(placement.session.expect("one").opened);
                        }
                        (None, stays) => prop_assert!(stays.is_none() && !serving),
                    }
                    if let Some(session) = cookie.map(|(session, ..)| session)
                        && stays.is_none()
                    {
                        sessions.remove(&session);
                    }
                    if let Some(placement) = &mut placement {
                        clients[client].head(&mut routing, placement, now);
                        let session = placement.session.expect("one").id;
                        let stamp = clients[client].cookie.as_ref().expect("stamped").1;
                        let plain = sessions.entry(session).or_insert(Plain { instance: placement.instance as usize, in_flight: 0, until: now });
                        plain.in_flight += 1;
                        plain.until = plain.until.max(stamp);
                    }
                    in_flight[client] = placement;
                }
                Op::End(client, failed) => {
                    if let Some(mut placement) = in_flight[client].take() {
                        if failed {
                            routing.blame(&mut placement, FAILED);
                        }
                        routing.finish(&placement, Outcome::Sent, now);
                        if let Some(plain) = sessions.get_mut(&placement.session.expect("one").id) {
                            plain.in_flight -= 1;
                            plain.until = plain.until.max(now);
                        }
                    }
                }
            }
            while !routing.sweep(now, 5) {}
            write_down(&mut routing);
            let report = routing.report(now);
            for (n, closed) in closed.iter().enumerate() {
                let figures = report.instances.get(&id(n)).cloned().unwrap_or_default();
                let live = sessions.values().filter(|plain| plain.instance == n && (plain.in_flight > 0 || now.since(plain.until) < IDLE)).count();
                let flying = in_flight.iter().flatten().filter(|placement| placement.instance as usize == n).count();
                prop_assert_eq!(figures.live, Count::Exact(live as u64), "live on {}", n);
                prop_assert_eq!(figures.in_flight, flying as u64);
                prop_assert_eq!(figures.closed, *closed);
            }
        }
    }
}
