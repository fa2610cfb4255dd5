//! Takes many walks, and reports the first that goes wrong, reduced to the steps that are needed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use haddock_core::Timestamp;
use haddock_core::testing::VirtualTime;

use super::flaky::Fault;
use super::sim::Sim;
use super::step::{Setup, Step, walk};
use super::world::{Violation, World};

/// How many walks the test takes, unless `HADDOCK_WALKS` says otherwise.
const WALKS: u64 = 10_000;
/// How often a walk that went wrong is repeated with fewer steps.
const TRIES: usize = 60;

pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Vec<String>,
    pub(crate) met: BTreeMap<&'static str, u64>,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")))
}

/// Takes these steps on a simulated engine of its own.
pub(crate) fn take(setup: Setup, steps: &[Step], faults: &BTreeSet<Fault>) -> Outcome {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("walk").tempdir_in(place).expect("a folder");
    let time = VirtualTime::new(Timestamp::from_millis(1_795_000_000_000)).expect("a runtime");
    let sim = Sim::new(time.clock());
    time.block_on(async {
        let mut world = World::new(&sim, folder.path(), "", setup, faults.clone()).await;
        for step in steps {
            world.take(*step).await;
            if world.violation.is_some() {
                break;
            }
        }
        Outcome { violation: world.violation, trace: world.trace, met: world.met }
    })
}

/// Leaves out steps without which the walk still goes wrong.
pub(crate) fn shrink(setup: Setup, mut steps: Vec<Step>, faults: &BTreeSet<Fault>, invariant: &str) -> Vec<Step> {
    let mut tries = 0;
    let mut at = steps.len();
    while at > 0 && tries < TRIES {
        at -= 1;
        let mut fewer = steps.clone();
        fewer.remove(at);
        tries += 1;
        if take(setup, &fewer, faults).violation.is_some_and(|it| it.invariant == invariant) {
            steps = fewer;
            at = at.min(steps.len());
        }
    }
    steps
}

pub(crate) fn report(seed: u64, faults: &BTreeSet<Fault>) -> ! {
    let (setup, steps) = walk(seed);
    let outcome = take(setup, &steps, faults);
    let Some(violation) = outcome.violation else { panic!("seed {seed} goes wrong only sometimes") };
    let fewer = shrink(setup, steps, faults, violation.invariant);
    let outcome = take(setup, &fewer, faults);
    let violation = outcome.violation.unwrap_or(violation);
    panic!(
        "{setup:?}\n{}\n\n{} does not hold: {}\nrun it again with HADDOCK_SEED={seed}",
        outcome.trace.join("\n"),
        violation.invariant,
        violation.what
    )
}

/// Takes walks on all processors until one goes wrong. Returns its seed, and the cases that all walks met.
pub(crate) fn many(first: u64, walks: u64, faults: &BTreeSet<Fault>) -> (Option<u64>, BTreeMap<&'static str, u64>) {
    let (next, wrong) = (AtomicU64::new(first), AtomicBool::new(false));
    let found: Mutex<(Option<u64>, BTreeMap<&'static str, u64>)> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !wrong.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + walks {
                        return;
                    }
                    let (setup, steps) = walk(seed);
                    let outcome = take(setup, &steps, faults);
                    let mut found = found.lock().expect("nobody panics while holding it");
                    if outcome.violation.is_some() {
                        wrong.store(true, Ordering::Relaxed);
                        found.0 = Some(found.0.map_or(seed, |other| other.min(seed)));
                    }
                    for (case, times) in outcome.met {
                        *found.1.entry(case).or_default() += times;
                    }
                }
            });
        }
    });
    found.into_inner().expect("nobody panics while holding it")
}

/// The cases that walks must have met. Otherwise they are too tame.
const CASES: &[&str] = &[
    "edit",
    "up",
    "up of a part",
    "up failed",
    "up given up",
    "a second up, a commit later",
    "two at once",
    "up and down at once",
    "up while somebody looks",
    "replaced",
    "down",
    "down with volumes",
    "down of what others link to",
    "link",
    "link back",
    "kept",
    "idle",
    "idle, in a dry run",
    "removed, for nobody used it",
    "clock set back",
    "stopped by hand",
    "killed by hand",
    "a process ended by itself",
    "removed by hand",
    "paused by hand",
    "thawed by hand",
    "restarted by hand",
    "renamed by hand",
    "network removed by hand",
    "daemon restarted",
    "another image under a name",
    "killed",
    "another checkout's environment",
    "something that an up does not name",
    "up of what was paused",
    "up of what was stopped",
];

#[test]
fn walks_keep_every_invariant() {
    let none = BTreeSet::new();
    if let Some(seed) = number("HADDOCK_SEED") {
        let (setup, steps) = walk(seed);
        let outcome = take(setup, &steps, &none);
        println!("{setup:?}\n{}", outcome.trace.join("\n"));
        if outcome.violation.is_some() {
            report(seed, &none);
        }
        return;
    }
    let walks = number("HADDOCK_WALKS").unwrap_or(WALKS);
    let (wrong, met) = many(0, walks, &none);
    if let Some(seed) = wrong {
        report(seed, &none);
    }
    println!("{walks} walks; met: {met:#?}");
    // A handful of walks, asked for by hand, need not meet everything.
    if walks >= 5_000 {
        for case in CASES {
            assert!(met.contains_key(case), "no walk met the case `{case}`: the walks are too tame");
        }
    }
}

/// For people who fix something: how many walks break which invariant, and the shortest walk to it.
#[test]
#[ignore = "it tells, and tests nothing"]
fn census() {
    let none = BTreeSet::new();
    let mut broken: BTreeMap<(&'static str, String), Vec<u64>> = BTreeMap::new();
    let first = number("HADDOCK_SEED").unwrap_or(0);
    for seed in first..first + number("HADDOCK_WALKS").unwrap_or(200) {
        let (setup, steps) = walk(seed);
        let began = std::time::Instant::now();
        let outcome = take(setup, &steps, &none);
        println!(
            "{seed}: {:?} of {} ms, {} steps",
            outcome.violation.as_ref().map(|it| it.invariant),
            began.elapsed().as_millis(),
            steps.len()
        );
        if let Some(violation) = outcome.violation {
            let kind: String = violation.what.split(['`', '(', '"']).step_by(2).collect::<Vec<_>>().join("_");
            broken.entry((violation.invariant, kind.chars().take(30).collect())).or_default().push(seed);
        }
    }
    for ((invariant, kind), seeds) in broken {
        println!("\n#### {} walks: {invariant}: {kind}: {seeds:?}", seeds.len());
        let (setup, steps) = walk(seeds[0]);
        let fewer = shrink(setup, steps, &none, invariant);
        println!("{}", take(setup, &fewer, &none).trace.join("\n"));
    }
}
