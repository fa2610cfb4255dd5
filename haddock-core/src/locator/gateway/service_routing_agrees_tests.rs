//! The gateway and the simulated locator count the same on the same run.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::locator::sim::{Cookie, SimLocatorCore, Ticket};
use crate::name::ServiceName;
use crate::routing::{Cohort, Route, Share};

/// Long, so that the two need not agree to the millisecond on when a session expires.
const IDLE: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const CLIENTS: usize = 5;
const INSTANCES: usize = 3;

#[derive(Debug, Clone)]
enum Op {
    /// A table that gives one instance all new sessions. It may have another that was adopted.
    Apply {
        full: usize,
        adopted: Option<usize>,
    },
    /// The same table again.
    ApplyAgain,
    /// A client's request. A stranger has the application's cookie, and none of ours.
    Begin {
        client: usize,
        stranger: bool,
    },
    End {
        client: usize,
        failed: bool,
    },
    Pass {
        long: bool,
    },
    Evict(usize),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..INSTANCES, prop::option::weighted(0.2, 0..INSTANCES)).prop_map(|(full, adopted)| Op::Apply { full, adopted }),
        1 => Just(Op::ApplyAgain),
        9 => (0..CLIENTS, prop::bool::weighted(0.1)).prop_map(|(client, stranger)| Op::Begin { client, stranger }),
        9 => (0..CLIENTS, prop::bool::weighted(0.4)).prop_map(|(client, failed)| Op::End { client, failed }),
        4 => prop::bool::weighted(0.2).prop_map(|long| Op::Pass { long }),
        1 => (0..INSTANCES).prop_map(Op::Evict),
        1 => Just(Op::Restart),
    ]
}

fn service() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

fn id(n: usize) -> InstanceId {
    InstanceId::new(format!("shop-{n}")).expect("valid")
}

fn gateway(incarnation: u64, started: Timestamp) -> ServiceRouting {
    ServiceRouting::new(incarnation, started, Before::Listed, 1000, incarnation)
}

fn table(revision: u64, full: usize, adopted: Option<usize>) -> RoutingTable {
    let route = |n: usize| {
        let share = if n == full { Share::FULL } else { Share::ZERO };
        let until = START + Duration::from_secs(365 * 24 * 3600);
        let adopted = (adopted == Some(n)).then_some(Adopted { until, cookie: None });
        Route { adopted, ..Route::new(([127, 0, 0, 1], 8080).into(), share) }
    };
    RoutingTable {
        service: service(),
        number: FencingToken { epoch: 1, revision },
        session: SessionPolicy { idle: IDLE, ..SessionPolicy::default() },
        routes: (0..INSTANCES).map(|n| (id(n), route(n))).collect(),
        watermark: None,
    }
}

type OurCookie = Option<(u64, Timestamp, InstanceId)>;

/// What a client keeps of each of both.
#[derive(Debug, Default)]
struct Client {
    ours: OurCookie,
    theirs: Option<Cookie>,
    /// With the cookie of ours that comes with the answer.
    in_flight: Option<(Placement, Ticket, OurCookie)>,
}

/// What is counted of one instance. The order of cohorts without sessions does not matter.
fn counts(report: &LocatorReport, n: usize) -> (Vec<Cohort>, [u64; 6]) {
    let figures = report.instances.get(&id(n)).cloned().unwrap_or_default();
    let mut cohorts = figures.cohorts;
    cohorts.retain(|cohort| cohort.sessions.begun() > 0);
    cohorts.sort_by_key(|cohort| cohort.table);
    let numbers = [
        figures.in_flight,
        figures.sessions_begun,
        figures.requests_begun,
        figures.sessions_failed,
        figures.requests_failed,
        figures.sessions_evicted,
    ];
    (cohorts, numbers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_gateway_counts_as_the_simulated_locator_does(ops in prop::collection::vec(op(), 1..400)) {
        let (mut now, mut revision, mut incarnation) = (START, 0, 1);
        let (mut real, mut sim) = (gateway(1, START), SimLocatorCore::new(1, START));
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::default()).collect();
        let mut last: Option<RoutingTable> = None;
        for op in ops {
            match op {
                Op::Apply { full, adopted } => {
                    revision += 1;
                    let table = table(revision, full, adopted);
                    real.apply(&table, now);
                    sim.apply(&table).expect("the newest number");
                    last = Some(table);
                }
                Op::ApplyAgain => if let Some(table) = last.as_ref().filter(|table| table.number.revision == revision) {
                    real.apply(table, now);
                    sim.apply(table).expect("the newest number");
                },
                Op::Begin { client, stranger } => {
                    let Client { ours, theirs, in_flight } = &mut clients[client];
                    if in_flight.is_some() || last.is_none() {
                        continue;
                    }
                    if stranger {
                        (*ours, *theirs) = (None, None);
                    }
                    let claim = ours.as_ref().map(|(session, stamp, id)| Claim { session: *session, stamp: *stamp, instance: id.as_str() });
                    let foreign = if stranger { real.place_foreign(|_| true, "/", now) } else { None };
                    let placement = foreign.or_else(|| real.place(claim, "/", &[], now));
                    let ticket = match stranger {
                        true => sim.begin_foreign(&service(), "JSESSIONID", false, now),
                        false => sim.begin(&service(), theirs.as_ref(), false, now),
                    };
                    prop_assert_eq!(placement.is_some(), ticket.is_some());
                    if let (Some(mut placement), Some(ticket)) = (placement, ticket) {
                        prop_assert_eq!(&real.instances[placement.instance as usize].id, &ticket.instance);
                        let restamp = real.restamp(&mut placement, now);
                        let session = placement.session.expect("one").id;
                        let cookie = restamp.map(|it| (session, it.stamp, it.instance)).or_else(|| ours.clone());
                        *in_flight = Some((placement, ticket, cookie));
                    }
                }
                Op::End { client, failed } => {
                    let Client { ours, theirs, in_flight } = &mut clients[client];
                    let Some((mut placement, ticket, cookie)) = in_flight.take() else { continue };
                    if failed {
                        real.blame(&mut placement, Blame { slow: false, path: "/", status: Some(500) });
                    }
                    real.finish(&placement, Outcome::Sent, now);
                    *theirs = sim.finish(&service(), &ticket, failed, now);
                    *ours = theirs.as_ref().and(cookie);
                }
                // The two date their cookies at the head and at the end of an answer. This matters only for one that takes longer
                // than a session may be idle.
                Op::Pass { long } if long && clients.iter().any(|client| client.in_flight.is_some()) => {}
                Op::Pass { long } => now = now + if long { IDLE * 3 } else { Duration::from_millis(1) },
                Op::Evict(n) => {
                    revision += 1;
                    let number = FencingToken { epoch: 1, revision };
                    real.evict(&id(n), number);
                    sim.evict(&service(), &id(n), number, now).expect("the newest number");
                }
                Op::Restart => {
                    let saved = real.to_save(service(), real.newest(), real.table());
                    incarnation += 1;
                    real = gateway(incarnation, now);
                    real.restore(&saved);
                    sim.restart(now);
                    // Connections are cut, and what was on its way is not answered.
                    clients.iter_mut().for_each(|client| client.in_flight = None);
                }
            }
            while !real.sweep(now, 64) {}
            let (ours, theirs) = (real.report(now), sim.report(&service(), now));
            prop_assert_eq!(&ours.counted, &theirs.counted);
            for n in 0..INSTANCES {
                prop_assert_eq!(counts(&ours, n), counts(&theirs, n), "shop-{}", n);
            }
        }
    }
}
