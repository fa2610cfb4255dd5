use std::fs;
use std::time::Duration;

use super::*;
use crate::name::InstanceId;
use crate::routing::{Share, TrafficGap, TrafficMinute};
use files::MOST_DAYS;

/// 24 November 2026, 10:00.
const TEN: u64 = 1_795_514_400;
const DAY: u64 = 86_400;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn shop() -> ServiceName {
    ServiceName::new("shop").unwrap()
}

fn totals(instance: &str, begun: u64, ended: u64, failed: u64) -> Totals {
    let instance = InstanceId::new(instance).unwrap();
    Totals { instance, share: Some(Share::FULL), begun, ended, failed, live: Some(begun - ended) }
}

fn row(second: u64, instance: &str, counts: [u64; 4]) -> TrafficMinute {
    let [begun, ended, failed, live] = counts;
    TrafficMinute {
        minute: at(second),
        instance: InstanceId::new(instance).unwrap(),
        share: Some(Share::FULL),
        begun,
        ended,
        failed,
        live: Some(live),
    }
}

/// A state directory, and who records there.
struct World {
    dir: tempfile::TempDir,
    traffic: Traffic,
}

impl World {
    fn new(now: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path()).unwrap();
        Self { traffic: Traffic::new(&store, &shop(), at(now)), dir }
    }

    /// Another gateway has the directory now. What the one before had in memory is lost.
    fn killed(&mut self, now: u64) {
        self.traffic.store.give_back();
        let (store, _) = Store::open(self.dir.path()).unwrap();
        self.traffic = Traffic::new(&store, &shop(), at(now));
    }

    fn note(&mut self, now: u64, all: &[Totals]) {
        self.traffic.note(all.to_vec(), at(now), false);
    }

    fn end(&mut self, now: u64, all: &[Totals]) {
        self.traffic.note(all.to_vec(), at(now), true);
    }

    fn read(&self, from: u64, until: u64) -> TrafficRecord {
        self.traffic.read(std::iter::empty(), at(from), at(until), at(until))
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.path().join("traffic")).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_minute_has_what_changed_in_it_and_quiet_minutes_have_no_row() {
    let mut world = World::new(TEN);
    world.note(TEN + 60, &[totals("a-1", 5, 0, 1)]);
    let quiet = fs::metadata(world.dir.path().join("traffic/shop.2026-11-24")).unwrap().len();
    for minute in 2..9 {
        world.note(TEN + 60 * minute, &[totals("a-1", 5, 0, 1)]);
    }
    let file = world.dir.path().join("traffic/shop.2026-11-24");
    assert_eq!(fs::metadata(&file).unwrap().len(), quiet, "nothing changed, and nothing was written");
    world.note(TEN + 600, &[totals("a-1", 7, 3, 1), totals("a-2", 1, 0, 0)]);
    let record = world.read(TEN, TEN + 600);
    let rows =
        [row(TEN, "a-1", [5, 0, 1, 5]), row(TEN + 540, "a-1", [2, 3, 0, 4]), row(TEN + 540, "a-2", [1, 0, 0, 1])];
    assert_eq!((record.minutes.as_slice(), record.gaps.as_slice()), (rows.as_slice(), [].as_slice()));
    // Who asks for less learns how it was then.
    let record = world.read(TEN + 300, TEN + 360);
    assert_eq!((record.minutes, record.gaps), (vec![row(TEN + 300, "a-1", [0, 0, 0, 5])], Vec::new()));
}

#[test]
fn what_is_not_recorded_is_a_gap_and_never_nothing() {
    let mut world = World::new(TEN + 7);
    world.note(TEN + 60, &[totals("a-1", 5, 0, 0)]);
    // It was killed at 10:02:30, and began again at 10:30:10.
    world.note(TEN + 120, &[totals("a-1", 9, 0, 0)]);
    world.killed(TEN + 1810);
    world.end(TEN + 1850, &[totals("a-1", 1, 0, 1)]);
    // It ended in peace, and the next began within the same minute.
    world.killed(TEN + 1852);
    world.end(TEN + 1859, &[totals("a-1", 2, 0, 0)]);
    let record = world.read(TEN, TEN + 1859);
    let gap = |from, to| TrafficGap { from: at(TEN + from), to: at(TEN + to) };
    assert_eq!(record.gaps, [gap(0, 7), gap(120, 1810), gap(1850, 1852)]);
    let rows =
        [row(TEN, "a-1", [5, 0, 0, 5]), row(TEN + 60, "a-1", [4, 0, 0, 9]), row(TEN + 1800, "a-1", [3, 0, 1, 2])];
    assert_eq!(record.minutes, rows, "a minute in which two were running has the sum");
    // Nobody knows how it was within the gap.
    let record = world.read(TEN + 300, TEN + 600);
    assert!(record.is_unknown() && record.minutes.is_empty(), "{record:?}");
}

#[test]
fn a_service_without_traffic_is_known_to_have_none() {
    let mut world = World::new(TEN);
    for minute in 1..=25 {
        world.note(TEN + 60 * minute, &[]);
    }
    world.killed(TEN + 25 * 60);
    let record = world.read(TEN, TEN + 25 * 60);
    assert!(record.minutes.is_empty());
    let gap = TrafficGap { from: at(TEN + 1200), to: at(TEN + 1500) };
    assert_eq!(record.gaps, [gap], "after a kill, at most ten minutes of quiet are unknown");
}

#[test]
fn a_day_can_be_read_without_the_days_before() {
    let mut world = World::new(TEN);
    world.note(TEN + 60, &[totals("a-1", 5, 0, 0), totals("a-2", 1, 1, 0)]);
    let midnight = (TEN / DAY + 1) * DAY;
    for minute in (TEN + 120..midnight + 7200).step_by(60) {
        world.note(minute, &[totals("a-1", 5, 0, 0), totals("a-2", 1, 1, 0)]);
    }
    assert_eq!(world.files(), ["shop.2026-11-24", "shop.2026-11-25"]);
    fs::remove_file(world.dir.path().join("traffic/shop.2026-11-24")).unwrap();
    let record = world.read(midnight + 3600, midnight + 7200 - 60);
    assert!(record.gaps.is_empty(), "{:?}", record.gaps);
    assert_eq!(record.minutes[0], row(midnight + 3600, "a-1", [0, 0, 0, 5]));
    assert_eq!(record.minutes.len(), 2, "a-2 has a share and no sessions");
}

#[test]
fn a_clock_that_was_set_back_loses_nothing() {
    let mut world = World::new(TEN);
    world.end(TEN + 60, &[totals("a-1", 5, 0, 0)]);
    world.killed(TEN - 3600);
    world.end(TEN - 3540, &[totals("a-1", 2, 0, 0)]);
    world.killed(TEN);
    world.end(TEN + 60, &[totals("a-1", 4, 0, 0)]);
    let record = world.read(TEN - 3600, TEN + 60);
    assert_eq!(record.minutes, [row(TEN - 3600, "a-1", [2, 0, 0, 2]), row(TEN, "a-1", [9, 0, 0, 4])]);
    assert_eq!(record.gaps, [TrafficGap { from: at(TEN - 3540), to: at(TEN) }]);
    // Years ahead for a moment, and back.
    world.killed(TEN + 3000 * DAY);
    world.end(TEN + 3000 * DAY + 60, &[totals("a-1", 1, 0, 0)]);
    assert_eq!(world.read(TEN, TEN + 60).minutes.len(), 1);
}

#[test]
fn old_days_are_forgotten_and_months_take_megabytes() {
    let mut world = World::new(TEN);
    let mut begun = 0;
    for day in 0..120 {
        for minute in 1..=60 {
            begun += 100;
            let now = TEN + day * DAY + minute * 60;
            world.note(now, &[totals("haddock-0123456789abcdef-shop-17", begun, begun - 50, begun / 20)]);
        }
    }
    assert_eq!(world.files().len(), MOST_DAYS);
    assert_eq!(world.files().last().unwrap(), "shop.2027-03-23");
    let sizes =
        world.files().into_iter().map(|file| fs::metadata(world.dir.path().join("traffic").join(file)).unwrap().len());
    let a_minute = sizes.sum::<u64>() as f64 / (60 * MOST_DAYS) as f64;
    assert!(a_minute < 26.0, "{a_minute} bytes: {} MB in 90 days", a_minute * 1440.0 * 90.0 / 1e6);
    assert_eq!(world.read(TEN, TEN + 3600).gaps.len(), 1, "the first days are a gap now");
}

#[test]
fn what_is_torn_or_strange_is_a_gap_and_recording_goes_on() {
    let mut world = World::new(TEN);
    world.end(TEN + 60, &[totals("a-1", 5, 0, 0)]);
    let file = world.dir.path().join("traffic/shop.2026-11-24");
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        world.killed(TEN + 60);
        world.end(TEN + 120, &[totals("a-1", 1, 0, 0)]);
        assert_eq!(world.read(TEN, TEN + 120).minutes, [row(TEN + 60, "a-1", [1, 0, 0, 1])], "torn after {length}");
    }
    // A bit that has flipped is found.
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&file, &bytes).unwrap();
        world.killed(TEN + 60);
        assert_eq!(world.read(TEN, TEN + 60).minutes, [], "{at}");
    }
    // One of a newer format is left alone.
    fs::write(&file, b"haddock traffic 2\nunheard of").unwrap();
    world.killed(TEN + 60);
    world.note(TEN + 120, &[totals("a-1", 1, 0, 0)]);
    assert_eq!(fs::read(&file).unwrap(), b"haddock traffic 2\nunheard of");
    assert_eq!(world.read(TEN, TEN + 120).minutes.len(), 1, "it is kept in memory");
}

#[test]
fn a_full_disk_costs_nothing_but_memory_for_a_while() {
    let mut world = World::new(TEN);
    let folder = world.dir.path().join("traffic");
    fs::write(&folder, "in the way").unwrap();
    for minute in 1..=5 {
        world.note(TEN + 60 * minute, &[totals("a-1", minute, 0, 0)]);
    }
    assert_eq!(world.read(TEN, TEN + 300).minutes.len(), 5);
    fs::remove_file(&folder).unwrap();
    world.note(TEN + 360, &[totals("a-1", 6, 0, 0)]);
    world.killed(TEN + 360);
    let record = world.read(TEN, TEN + 360);
    assert_eq!(record.minutes.iter().map(|row| row.begun).collect::<Vec<_>>(), [1; 6], "each in its minute");
    assert!(record.gaps.is_empty());
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    for minute in 7..=2000 {
        world.note(TEN + 60 * minute, &[totals("a-1", minute, 0, 0)]);
    }
    let rows = world.read(TEN + 360, TEN + 2000 * 60).minutes.len();
    assert_eq!(rows, 720, "bounded");
}

#[test]
fn a_long_record_is_read_day_by_day() {
    let mut world = World::new(TEN);
    let mut all: Vec<Totals> = (0..30).map(|n| totals(&format!("a-{n}"), 1, 0, 0)).collect();
    for minute in (TEN + 60..TEN + 4 * DAY).step_by(60) {
        all.iter_mut().for_each(|it| (it.begun, it.live) = (it.begun + 1, it.live.map(|live| live + 1)));
        world.note(minute, &all);
    }
    let until = TEN + 4 * DAY - 60;
    let mut record = world.read(TEN, until);
    assert_eq!(record.until, at((TEN / DAY + 1) * DAY), "as many days as fit");
    let mut answers = 1;
    while record.until < at(until) {
        record.join(world.read(record.until.as_millis() / 1000, until));
        answers += 1;
    }
    assert_eq!(answers, 5);
    assert!(record.gaps.is_empty(), "{:?}", record.gaps);
    let keys: Vec<_> = record.minutes.iter().map(|row| (row.minute, row.instance.clone())).collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
    let begun: u64 = record.minutes.iter().map(|row| row.begun).sum();
    assert_eq!(begun, all.iter().map(|it| it.begun).sum::<u64>());
}

#[test]
fn what_is_not_written_yet_is_read_too() {
    let mut world = World::new(TEN);
    world.note(TEN + 60, &[totals("a-1", 5, 0, 0)]);
    let now = at(TEN + 90) + Duration::from_millis(500);
    let read = |until| world.traffic.read([totals("a-1", 6, 0, 0)].into_iter(), at(TEN), until, now);
    let record = read(now + Duration::from_secs(3600));
    assert_eq!((record.until, record.gaps.as_slice()), (now, [].as_slice()), "it ends now");
    assert_eq!(record.minutes, [row(TEN, "a-1", [5, 0, 0, 5]), row(TEN + 60, "a-1", [1, 0, 0, 6])]);
    assert_eq!(read(now), record, "reading changes nothing");
}
