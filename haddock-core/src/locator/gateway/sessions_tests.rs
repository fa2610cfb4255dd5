use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const IDLE: Duration = Duration::from_secs(5);
const IDLE_TICKS: u32 = 100;

fn id(n: u64) -> u64 {
    // Any bijection that spreads; the table is given such ids.
    let mut id = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    id = (id ^ (id >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    id ^ (id >> 29)
}

/// Two ids of three have their home in the same few slots, so that clusters form and wrap around.
fn crowded(n: u64) -> u64 {
    if n.is_multiple_of(3) { id(n) } else { (id(n) & 0xffff_ffff) | (0xffff_fff0 << 32) }
}

#[test]
fn a_million_sessions_take_at_most_32_bytes_each() {
    let mut table = SessionTable::new(1_000_000, IDLE, Tick(0));
    for n in 0..1_000_000 {
        assert!(table.insert(id(n), 0, Tick(0), Begun::In(0)).is_some());
    }
    assert!(table.insert(id(1_000_000), 0, Tick(0), Begun::In(0)).is_none(), "full");
    let each = table.bytes() as f64 / 1e6;
    assert!(each <= 32.0, "{each} bytes");
    for n in 0..1_000_000 {
        assert!(matches!(table.find(id(n), Tick(0), Tick(0)), Found::Live(_, 0)));
    }
}

#[test]
fn a_session_with_a_request_in_flight_does_not_expire() {
    let mut table = SessionTable::new(10, IDLE, Tick(0));
    let slot = table.insert(1, 7, Tick(0), Begun::In(0)).expect("room");
    let mut expired = Vec::new();
    for now in (0..20_000).step_by(37) {
        assert!(table.sweep(Tick(now), 100, |instance| expired.push(instance)));
        assert_eq!(table.find(1, Tick(0), Tick(now)), Found::Live(slot, 7));
    }
    table.end_request(slot, Tick(20_000));
    table.sweep(Tick(20_000 + IDLE_TICKS - 1), 100, |instance| expired.push(instance));
    assert!(expired.is_empty());
    table.sweep(Tick(20_000 + IDLE_TICKS), 100, |instance| expired.push(instance));
    assert_eq!(expired, [7]);
}

#[test]
fn a_full_table_has_room_again_when_sessions_have_expired() {
    let mut table = SessionTable::new(100, IDLE, Tick(0));
    for n in 0..100 {
        let slot = table.insert(id(n), 0, Tick(0), Begun::In(0)).expect("room");
        table.end_request(slot, Tick(0));
    }
    assert!(table.insert(id(100), 0, Tick(0), Begun::In(0)).is_none());
    let mut expired = 0;
    while !table.sweep(Tick(IDLE_TICKS), 7, |_| expired += 1) {}
    assert_eq!(expired, 100);
    for n in 100..200 {
        assert!(table.insert(id(n), 0, Tick(IDLE_TICKS), Begun::In(0)).is_some());
    }
}

#[test]
fn a_shorter_idle_time_holds_at_once() {
    let mut table = SessionTable::new(10, Duration::from_secs(3600), Tick(0));
    let slot = table.insert(1, 0, Tick(0), Begun::In(0)).expect("room");
    table.end_request(slot, Tick(0));
    table.set_idle(IDLE, Tick(10));
    let mut expired = 0;
    table.sweep(Tick(IDLE_TICKS - 1), 100, |_| expired += 1);
    assert_eq!(expired, 0);
    table.sweep(Tick(IDLE_TICKS), 100, |_| expired += 1);
    assert_eq!(expired, 1);
}

#[test]
fn a_session_that_comes_from_elsewhere_expires_when_it_would_have_there() {
    let mut table = SessionTable::new(10, IDLE, Tick(0));
    let mut expired = 0;
    table.sweep(Tick(60), 100, |_| expired += 1);
    let slot = table.insert(1, 0, Tick(5), Begun::Elsewhere).expect("room");
    table.end_request(slot, Tick(5));
    table.sweep(Tick(5 + IDLE_TICKS - 1), 100, |_| expired += 1);
    assert_eq!(expired, 0);
    table.sweep(Tick(5 + IDLE_TICKS), 100, |_| expired += 1);
    assert_eq!(expired, 1);
}

#[test]
fn ticks_may_wrap() {
    let start = u32::MAX - 50;
    let mut table = SessionTable::new(10, IDLE, Tick(start));
    let slot = table.insert(1, 0, Tick(start), Begun::In(0)).expect("room");
    table.end_request(slot, Tick(start));
    let mut expired = 0;
    table.sweep(Tick(start.wrapping_add(IDLE_TICKS - 1)), 100, |_| expired += 1);
    assert_eq!(expired, 0);
    table.sweep(Tick(start.wrapping_add(IDLE_TICKS)), 100, |_| expired += 1);
    assert_eq!(expired, 1);
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u64),
    /// One that was used so many ticks ago, elsewhere.
    Bring(u64, u32),
    Hold(u64),
    Release(u64),
    Remove(u64),
    Rename(u64, u64),
    Pass(u32),
    Sweep(u32),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0_u64..40).prop_map(Op::Insert),
        2 => (0_u64..40, 0_u32..IDLE_TICKS).prop_map(|(n, ago)| Op::Bring(n, ago)),
        3 => (0_u64..40).prop_map(Op::Hold),
        5 => (0_u64..40).prop_map(Op::Release),
        1 => (0_u64..40).prop_map(Op::Remove),
        1 => (0_u64..40, 0_u64..40).prop_map(|(n, to)| Op::Rename(n, to)),
        3 => prop_oneof![0_u32..30, 0_u32..300, 0_u32..10_000].prop_map(Op::Pass),
        2 => prop_oneof![Just(2_u32), Just(1000)].prop_map(Op::Sweep),
    ];
    prop::collection::vec(op, 1..200)
}

#[derive(Debug)]
struct Known {
    slot: Slot,
    flights: u32,
    until: u32,
}

proptest! {
    /// Against a map of sessions: the same ones live, and each that expires is reported once, and not before its time.
    #[test]
    fn it_does_what_a_plain_map_does(ops in ops()) {
        let mut table = SessionTable::new(24, IDLE, Tick(0));
        let mut model: BTreeMap<u64, Known> = BTreeMap::new();
        let mut now = 0;
        let (mut gone, mut due) = (0_u32, 0_u32);
        let mut leaving: Vec<Known> = Vec::new();
        for op in ops {
            match op {
                Op::Insert(n) => {
                    if let std::collections::btree_map::Entry::Vacant(vacant) = model.entry(n)
                        && let Some(slot) = table.insert(crowded(n), 3, Tick(now), Begun::In(0))
                    {
                        vacant.insert(Known { slot, flights: 1, until: now });
                    }
                }
                Op::Bring(n, ago) => {
                    let until = now.saturating_sub(ago);
                    if let std::collections::btree_map::Entry::Vacant(vacant) = model.entry(n)
                        && let Some(slot) = table.insert(crowded(n), 3, Tick(until), Begun::Elsewhere)
                    {
                        table.end_request(slot, Tick(until));
                        vacant.insert(Known { slot, flights: 0, until });
                    }
                }
                Op::Hold(n) => {
                    let found = table.find(crowded(n), Tick(now.saturating_sub(1000)), Tick(now));
                    if found == Found::Expired(3) {
                        gone += 1;
                    }
                    match model.get_mut(&n) {
                        Some(known) if known.flights > 0 || now < known.until + IDLE_TICKS => {
                            prop_assert_eq!(found, Found::Live(known.slot, 3));
                            table.begin_request(known.slot, Tick(now));
                            known.flights += 1;
                        }
                        Some(_) => {
                            // Expired: the table may have reported it already.
                            prop_assert!(!matches!(found, Found::Live(..)));
                            model.remove(&n);
                            due += 1;
                        }
                        None => prop_assert_eq!(found, Found::Missing),
                    }
                }
                Op::Release(n) => {
                    if let Some(known) = model.get_mut(&n).filter(|known| known.flights > 0) {
                        table.end_request(known.slot, Tick(now));
                        known.flights -= 1;
                        known.until = now;
                    } else if let Some(mut known) = leaving.pop() {
                        prop_assert!(!table.is_live(known.slot), "nobody else gets its entry");
                        table.end_request(known.slot, Tick(now));
                        known.flights -= 1;
                        leaving.extend((known.flights > 0).then_some(known));
                    }
                }
                Op::Remove(n) => {
                    let found = table.find(crowded(n), Tick(0), Tick(now));
                    gone += u32::from(matches!(found, Found::Expired(_)));
                    if let Found::Live(slot, _) = found {
                        table.remove(slot);
                        let known = model.remove(&n);
                        prop_assert!(known.is_some());
                        prop_assert!(!table.is_live(slot));
                        // What was in flight ends sooner or later.
                        leaving.extend(known.filter(|known| known.flights > 0));
                    } else if let Some(known) = model.remove(&n) {
                        prop_assert!(known.flights == 0 && now >= known.until + IDLE_TICKS);
                        due += 1;
                    }
                }
                Op::Rename(n, to) => {
                    let live = model.get(&n).is_some_and(|known| known.flights > 0 || now < known.until + IDLE_TICKS);
                    if live && !model.contains_key(&to) {
                        let known = model.remove(&n).expect("it lives");
                        table.rename(known.slot, crowded(to));
                        prop_assert_eq!(table.id(known.slot), crowded(to));
                        model.insert(to, known);
                    }
                }
                Op::Pass(ticks) => now += ticks,
                Op::Sweep(budget) => {
                    table.sweep(Tick(now), budget, |_| gone += 1);
                }
            }
        }
        while !table.sweep(Tick(now), 3, |_| gone += 1) {}
        for (n, known) in &model {
            let found = table.find(crowded(*n), Tick(now.saturating_sub(1000)), Tick(now));
            let live = known.flights > 0 || now < known.until + IDLE_TICKS;
            prop_assert_eq!(matches!(found, Found::Live(..)), live, "{}: {:?}", n, known);
            prop_assert!(!matches!(found, Found::Expired(_)), "{}: {:?} was not swept in time", n, known);
            due += u32::from(!live);
        }
        prop_assert_eq!(gone, due, "each is reported once");
    }
}
