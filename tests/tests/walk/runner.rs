//! Takes walks for as long as it is told to, and cleans up behind each.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use haddock_core::JournalId;
use haddock_core::container::Selector;

use super::docker::RealEngine;
use super::step::walk;
use super::world::World;

/// How long the test walks, unless `HADDOCK_WALK_SECONDS` says otherwise.
const SECONDS: u64 = 120;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")))
}

/// Takes one walk. Answers with what went wrong.
async fn take(engine: &RealEngine, seed: u64) -> Option<String> {
    let (setup, steps) = walk(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = format!("w{}x{seed}-", std::process::id());
    engine.begin(&prefix);
    let mut world = World::new(engine, folder.path(), &prefix, setup, BTreeSet::new()).await;
    for step in steps {
        world.take(step).await;
        if world.violation.is_some() {
            break;
        }
    }
    println!("walk {seed}: {} steps", world.trace.iter().filter(|line| !line.starts_with(' ')).count());
    let wrong = world.violation.map(|violation| {
        let (invariant, what) = (violation.invariant, violation.what);
        let trace = world.trace.join("\n");
        format!("{setup:?}\n{trace}\n\n{invariant} does not hold: {what}\nrun it again with HADDOCK_SEED={seed}")
    });
    engine.clean(&Selector::journal(&JournalId::new(format!("{prefix}walk")).expect("a name"))).await;
    wrong
}

#[tokio::test]
async fn walk_on_an_engine() {
    let Some(engine) = RealEngine::new().await else { return };
    if let Some(seed) = number("HADDOCK_SEED") {
        if let Some(wrong) = take(&engine, seed).await {
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
        if let Some(wrong) = take(&engine, first + walks).await {
            panic!("{wrong}");
        }
        walks += 1;
    }
    println!("{walks} walks");
}

#[allow(clippy::disallowed_methods, reason = "a test's own time limit")]
fn clock() -> Instant {
    Instant::now()
}
