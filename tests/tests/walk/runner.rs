//! Takes walks for as long as it is told to, and cleans up behind each.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use haddock_core::JournalId;
use haddock_core::container::Selector;

use super::docker::RealEngine;
use super::step::{Setup, Step, walk};
use super::world::World;

/// How long the test walks, unless `HADDOCK_WALK_SECONDS` says otherwise.
const SECONDS: u64 = 120;
/// For how long a walk that went wrong is tried with fewer steps.
const SHORTENING: Duration = Duration::from_secs(120);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")))
}

/// Takes these steps, and removes all that they made, whatever becomes of them. Answers with what went wrong, and the
/// name of the invariant that does not hold.
async fn take(engine: &RealEngine, seed: u64, setup: Setup, steps: &[Step]) -> Option<(&'static str, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = format!("w{}x{seed}-", std::process::id());
    engine.begin(&prefix);
    let walk = async {
        let mut world = World::new(engine, folder.path(), &prefix, setup, BTreeSet::new()).await;
        for step in steps {
            world.take(*step).await;
            if world.violation.is_some() {
                break;
            }
        }
        (world.violation, world.trace)
    };
    let walked = AssertUnwindSafe(walk).catch_unwind().await;
    engine.clean(&Selector::journal(&JournalId::new(format!("{prefix}walk")).expect("a name"))).await;
    let (violation, trace) = walked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let violation = violation?;
    let (invariant, what, trace) = (violation.invariant, violation.what, trace.join("\n"));
    Some((invariant, format!("{setup:?}\n{trace}\n\n{invariant} does not hold: {what}")))
}

/// Takes the walk of a seed. Answers with what went wrong, cut down to the steps that it takes as far as time allows.
async fn take_seed(engine: &RealEngine, seed: u64) -> Option<String> {
    let (setup, mut steps) = walk(seed);
    println!("walk {seed}: {} steps", steps.len());
    let (invariant, mut what) = take(engine, seed, setup, &steps).await?;
    println!("{what}");
    let began = clock();
    let mut at = steps.len();
    while at > 0 && clock().duration_since(began) < SHORTENING {
        at -= 1;
        let mut fewer = steps.clone();
        fewer.remove(at);
        if let Some((same, shorter)) = take(engine, seed, setup, &fewer).await
            && same == invariant
        {
            (steps, what) = (fewer, shorter);
        }
    }
    Some(format!("{what}\nrun it again with HADDOCK_SEED={seed}"))
}

#[tokio::test]
async fn walk_on_an_engine() {
    let Some(engine) = RealEngine::new().await else { return };
    if let Some(seed) = number("HADDOCK_SEED") {
        if let Some(wrong) = take_seed(&engine, seed).await {
            panic!("{wrong}");
        }
        return;
    }
    let limit = Duration::from_secs(number("HADDOCK_WALK_SECONDS").unwrap_or(SECONDS));
    // Each run goes where none has been.
    let first = u64::from(std::process::id()) * 1_000;
    let began = clock();
    let mut walks = 0;
    while clock().duration_since(began) < limit {
        if let Some(wrong) = take_seed(&engine, first + walks).await {
            panic!("{wrong}");
        }
        walks += 1;
    }
    println!("{walks} walks");
}

fn clock() -> Instant {
    Instant::now()
}
