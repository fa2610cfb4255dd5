//! Whatever happens, and whenever the gateway is killed: the next one takes no session for ended that lives, and none for
//! alive much longer than it lives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::cookie::Claim;
use super::super::service_routing::{Before, Outcome, Placement, Restamp};
use super::super::session_log::{Boot, read};
use super::*;
use crate::name::{InstanceId, ServiceName};
use crate::routing::{Count, FencingToken, Route, RoutingTable, SessionPolicy, Share};

const IDLE: Duration = Duration::from_secs(1800);
const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const INSTANCES: usize = 3;

fn service() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

fn id(n: usize) -> InstanceId {
    InstanceId::new(format!("shop-{n}")).expect("valid")
}

fn table(revision: u64, idle: Duration) -> RoutingTable {
    let route = Route::new(([127, 0, 0, 1], 8080).into(), Share::percent(30));
    RoutingTable {
        service: service(),
        number: FencingToken { epoch: 1, revision },
        session: SessionPolicy { idle, ..SessionPolicy::default() },
        routes: (0..INSTANCES).map(|n| (id(n), route.clone())).collect(),
        watermark: None,
    }
}

/// A gateway's part of it: the routing, its log and its table on disk.
struct House {
    store: Store,
    logged: LoggedRouting,
    table: RoutingTable,
}

impl House {
    fn open(dir: &Path, table: &RoutingTable, capacity: u32, now: Timestamp) -> Self {
        let (store, _) = Store::open(dir).expect("ours");
        let mut routing = ServiceRouting::new(1, now, Before::Listed, capacity, now.as_millis());
        let path = store.sessions_file(&service());
        let kept = routing.to_save(service(), table.number, Some(table));
        routing.restore(&kept);
        let boot = Boot::present();
        if let Some(logged) = read(&path, "shop", boot.as_ref()) {
            routing.take_over(&logged, now);
        }
        let log = SessionLog::new(path, "shop", boot);
        let logged = LoggedRouting::begin(routing, log, store.clone(), service(), now);
        Self { store, logged, table: table.clone() }
    }

    /// Does something under the lock.
    fn with<T>(&mut self, now: Timestamp, act: impl FnOnce(&mut ServiceRouting) -> T) -> T {
        let done = act(&mut self.logged.routing);
        self.logged.flush(now);
        done
    }

    fn kill(self) -> RoutingTable {
        self.store.give_back();
        self.table
    }
}

/// A client with the gateway's own cookie.
#[derive(Debug, Default, Clone)]
struct Client {
    cookie: Option<(u64, Timestamp, InstanceId)>,
    placement: Option<Placement>,
    /// The last use, or the last stamp.
    until: Option<Timestamp>,
}

/// Numbers by chance, the same for each seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }
}

/// What the next gateway knows: each session's instance, and until when it counts as used.
fn known(house: &House) -> BTreeMap<u64, Timestamp> {
    let logged = read(&house.store.sessions_file(&service()), "shop", Boot::present().as_ref()).expect("a log");
    assert!(logged.numbers.contains(&Some(house.table.number)), "{:?}", logged.numbers);
    logged.sessions.into_iter().map(|(id, (_, until))| (id, until)).collect()
}

#[test]
fn at_any_time_the_log_knows_what_lives_and_for_how_long() {
    let (mut rewritten, mut busy_at_the_kill, mut other_idle) = (0, 0, 0);
    for seed in 0..16 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut dice = Dice(seed);
        let (mut now, mut idle, mut revision) = (START, IDLE, 1);
        let mut house = House::open(dir.path(), &table(1, idle), 1000, now);
        let mut clients = vec![Client::default(); 12];
        let mut rewriting: Option<(u64, Option<u32>)> = None;
        let mut looked = now;
        for _ in 0..400 {
            now = now + Duration::from_millis(dice.throw(30_000));
            if now.since(looked) >= house.logged.routing.busy_due() {
                // As often as the gateway does.
                looked = now;
                house.with(now, |routing| routing.log_busy(0, u32::MAX, now));
            }
            let client = &mut clients[usize::try_from(dice.throw(12)).expect("small")];
            match dice.throw(12) {
                0..5 if client.placement.is_none() => {
                    let claim = client.cookie.clone();
                    let claim = claim.as_ref().map(|(session, stamp, instance)| Claim {
                        session: *session,
                        stamp: *stamp,
                        instance: instance.as_str(),
                    });
                    let mut placement =
                        house.with(now, |routing| routing.place(claim, "/", &[], now)).expect("a share");
                    let restamp = house.with(now, |routing| routing.restamp(&mut placement, now));
                    if let Some(Restamp { instance, stamp, .. }) = restamp {
                        client.cookie = Some((placement.session.expect("one").id, stamp, instance));
                    }
                    client.until = client.until.max(client.cookie.as_ref().map(|(_, stamp, _)| *stamp));
                    client.placement = Some(placement);
                }
                0..8 => {
                    if let Some(placement) = client.placement.take() {
                        house.with(now, |routing| routing.finish(&placement, Outcome::Sent, now));
                        client.until = client.until.max(Some(now));
                    }
                }
                8 => {
                    // The application ends the session.
                    if let Some(placement) = client.placement.take() {
                        house.with(now, |routing| {
                            routing.end_session(&placement, now);
                            routing.finish(&placement, Outcome::Sent, now);
                        });
                        *client = Client::default();
                    }
                }
                9 => {
                    rewriting = match rewriting.take() {
                        None => Some((house.logged.begin_new_log(now).expect("room"), Some(0))),
                        Some((which, Some(from))) => {
                            let next = house.logged.write_part(which, from, 3, now).expect("still wanted");
                            Some((which, next))
                        }
                        Some((which, None)) => {
                            house.logged.finish_new_log(which);
                            rewritten += 1;
                            None
                        }
                    }
                }
                10 if dice.throw(10) == 0 => {
                    revision += 1;
                    idle = [IDLE, IDLE / 7, IDLE * 3][usize::try_from(dice.throw(3)).expect("small")];
                    let table = table(revision, idle);
                    house.with(now, |routing| {
                        routing.expect_number(table.number);
                        routing.apply(&table, now);
                    });
                    house.table = table;
                    other_idle += 1;
                }
                11 if dice.throw(20) == 0 => {
                    // It is killed. What was in flight has ended.
                    busy_at_the_kill += clients.iter().filter(|client| client.placement.is_some()).count();
                    for client in clients.iter_mut().filter(|client| client.placement.is_some()) {
                        client.placement = None;
                        client.until = client.until.max(Some(now));
                    }
                    rewriting = None;
                    let table = house.kill();
                    house = House::open(dir.path(), &table, 1000, now);
                    looked = now;
                }
                _ => {}
            }
            let known = known(&house);
            for client in &mut clients {
                let (Some((session, ..)), Some(until)) = (&client.cookie, client.until) else { continue };
                let until = if client.placement.is_some() { until.max(now) } else { until };
                if now.since(until) >= idle {
                    // Whether it is still in the log does not matter, as long as that says that it has expired.
                    let late = known.get(session).is_some_and(|known| now.since(*known) + IDLE * 3 / 16 < idle);
                    assert!(!late, "seed {seed}: {client:?} is known too long");
                    // A longer idle time does not bring it back.
                    *client = Client::default();
                    continue;
                }
                let known = known.get(session).unwrap_or_else(|| panic!("seed {seed}: {client:?} is not known"));
                // A client's stamp lies ahead of the response, and the log's ticks are whole.
                assert!(now.min(*known) >= until.min(now), "seed {seed} at {now}: {client:?} until {known}");
            }
        }
    }
    assert!(rewritten > 10 && busy_at_the_kill > 10 && other_idle > 10, "the run met the cases");
}

#[test]
fn a_use_is_logged_once_for_a_while_and_ahead_by_no_more_than_a_sixteenth_of_the_idle_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut house = House::open(dir.path(), &table(1, IDLE), 1000, START);
    let mut placement = house.with(START, |routing| routing.place(None, "/", &[], START)).expect("a share");
    let instance = house.with(START, |routing| routing.restamp(&mut placement, START)).expect("new").instance;
    house.with(START, |routing| routing.finish(&placement, Outcome::Sent, START));
    let session = placement.session.expect("one").id;
    let records = |house: &House| house.logged.log.records().expect("a log");
    let before = records(&house);
    let mut now = START;
    let uses = 7200_u32;
    for _ in 0..uses {
        now = now + Duration::from_millis(500);
        let claim = Claim { session, stamp: now, instance: instance.as_str() };
        let placement = house.with(now, |routing| routing.place(Some(claim), "/", &[], now)).expect("it lives");
        house.with(now, |routing| routing.finish(&placement, Outcome::Sent, now));
        let known = known(&house)[&session];
        assert!(now <= known && known.since(now) <= IDLE / 16, "{known} at {now}");
    }
    // An hour of use in an idle time of half an hour.
    assert!(records(&house) - before <= 128, "{} records", records(&house) - before);
}

#[test]
fn without_room_for_a_session_or_a_record_the_number_is_unknown_and_not_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    // No room in the table: known as unknown, for as long as it has to be.
    let mut house = House::open(dir.path(), &table(1, IDLE), 1, START);
    let placements: Vec<_> =
        (0..30).map(|_| house.with(START, |routing| routing.place(None, "/", &[], START)).expect("a share")).collect();
    placements
        .iter()
        .for_each(|placement| house.with(START, |routing| routing.finish(placement, Outcome::Sent, START)));
    let table = house.kill();
    let mut house = House::open(dir.path(), &table, 1, START);
    let live = |house: &mut House, now| {
        house.with(now, |routing| {
            while !routing.sweep(now, 100) {}
            routing.report(now).instances[&id(0)].live
        })
    };
    assert_eq!(live(&mut house, (START + IDLE).before(Duration::from_secs(1))), Count::Unknown);
    assert_eq!(live(&mut house, START + IDLE), Count::Exact(0));
    // No room for a record.
    house.logged.log.fill_up();
    house.with(START + IDLE, |routing| routing.place(None, "/", &[], START + IDLE)).expect("a share");
    assert!(house.logged.wants_new_log());
    let (now, table) = (START + IDLE, house.kill());
    let mut house = House::open(dir.path(), &table, 100, now);
    assert_eq!(live(&mut house, now), Count::Unknown);
    // Once there is room again, it is known again.
    house.logged.log.fill_up();
    house.with(now, |routing| routing.place(None, "/", &[], now)).expect("a share");
    let which = house.logged.begin_new_log(now).expect("room");
    assert_eq!(house.logged.write_part(which, 0, 100, now), Some(None));
    house.logged.finish_new_log(which);
    let now = now + IDLE + IDLE;
    house.with(now, |routing| routing.place(None, "/", &[], now)).expect("a share");
    let table = house.kill();
    let mut house = House::open(dir.path(), &table, 100, now);
    let all: u64 = (0..INSTANCES)
        .map(|n| match house.with(now, |routing| routing.report(now).instances[&id(n)].live) {
            Count::Exact(live) => live,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(all, 1);
}

#[test]
fn the_next_gateway_keeps_no_session_longer_than_this_one_would_have() {
    const STEP: Duration = Duration::from_secs(180);
    for ends_in_order in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut house = House::open(dir.path(), &table(1, IDLE), 100, START);
        let mut now = START;
        // One is used each tenth of the idle time.
        for _ in 0..9 {
            let placement = house.with(now, |routing| routing.place(None, "/", &[], now)).expect("a share");
            house.with(now, |routing| routing.finish(&placement, Outcome::Sent, now));
            now = now + STEP;
        }
        if ends_in_order {
            house.logged.end_log(now).expect("room");
        }
        let table = house.kill();
        let mut house = House::open(dir.path(), &table, 100, now);
        now = START + IDLE + if ends_in_order { Duration::from_millis(100) } else { IDLE / 16 };
        for left in (0..9).rev() {
            let live = house.with(now, |routing| {
                while !routing.sweep(now, 100) {}
                routing.live()
            });
            assert_eq!(live, left, "in order: {ends_in_order}, at {now}");
            now = now + STEP;
        }
    }
}

#[test]
fn a_log_that_ends_while_it_is_written_anew_is_the_last_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut house = House::open(dir.path(), &table(1, IDLE), 10, START);
    house.with(START, |routing| routing.place(None, "/", &[], START)).expect("a share");
    let which = house.logged.begin_new_log(START).expect("room");
    house.logged.end_log(START).expect("room");
    assert_eq!(house.logged.write_part(which, 0, 10, START), None);
    house.logged.finish_new_log(which);
    house.with(START, |routing| routing.place(None, "/", &[], START)).expect("a share");
    assert_eq!(known(&house).into_values().collect::<Vec<_>>(), [START], "exact, and without what came later");
}
