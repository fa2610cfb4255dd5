//! Runs many worlds and reports the first that goes wrong, so that it can be run again.

use std::collections::BTreeMap;

use haddock_core::locator::sim::LocatorRules;
use haddock_core::release::Rules;

use crate::world::{Outcome, Tuning, World};

/// How many worlds each test runs, unless `HADDOCK_WORLDS` says otherwise. Every invariant is judged in each world. So
/// all tests together judge each invariant in about eighteen thousand worlds. With 3 000 worlds a test, it is more than
/// fifty thousand.
const WORLDS: u64 = 1_000;

/// How many lines of the trace of a world that went wrong are printed. `HADDOCK_SEED` prints all.
const TRACE: usize = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")))
}

/// The one world that is asked for.
pub(crate) fn seed() -> Option<u64> {
    number("HADDOCK_SEED")
}

/// How many worlds a test runs.
pub(crate) fn worlds() -> u64 {
    number("HADDOCK_WORLDS").unwrap_or(WORLDS)
}

/// Runs one world and prints all that happens.
pub(crate) fn replay(seed: u64, tuning: Tuning, rules: &Rules, locators: LocatorRules) {
    let outcome = World::run(seed, tuning, rules, locators, true);
    println!("{}", outcome.trace.join("\n"));
    assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
}

/// Runs the worlds of one test. Whichever invariant breaks, the test fails and names it. Then each of the cases
/// that the test is about must have been met in these worlds.
pub(crate) fn run(first: u64, tuning: Tuning, cases: &[&'static str]) {
    if let Some(seed) = seed() {
        return replay(seed, tuning, &Rules::ALL, LocatorRules::ALL);
    }
    let worlds = worlds();
    let mut met: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in first..first + worlds {
        let outcome = World::run(seed, tuning, &Rules::ALL, LocatorRules::ALL, false);
        if outcome.violation.is_some() {
            fail(seed, &World::run(seed, tuning, &Rules::ALL, LocatorRules::ALL, true));
        }
        for (case, times) in outcome.met {
            *met.entry(case).or_default() += times;
        }
    }
    println!("{worlds} worlds; met: {met:#?}");
    // If only a few worlds are run by hand, they need not meet everything.
    if worlds >= 1_000 {
        for case in cases {
            assert!(met.contains_key(case), "no world met the case `{case}`: the worlds are too tame");
        }
    }
}

fn fail(seed: u64, outcome: &Outcome) -> ! {
    let violation = outcome.violation.as_ref().expect("the same seed makes the same world");
    let last = outcome.trace.len().saturating_sub(TRACE);
    let trace = outcome.trace[last..].join("\n");
    panic!(
        "{trace}\n\n{} does not hold: {}\nrun it again with HADDOCK_SEED={seed}",
        violation.invariant, violation.what
    )
}

/// Asserts that every invariant holds in this world if all rules are kept.
pub(crate) fn holds(seed: u64, tuning: Tuning) {
    if World::run(seed, tuning, &Rules::ALL, LocatorRules::ALL, false).violation.is_some() {
        fail(seed, &World::run(seed, tuning, &Rules::ALL, LocatorRules::ALL, true));
    }
}
