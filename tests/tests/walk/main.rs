//! The random walk of `haddock-core/tests/walk`, on a real engine: the same steps, and the same invariants.
//!
//! It lasts for `HADDOCK_WALK_SECONDS`, two minutes if that is not set, and prints the seed of each walk;
//! `HADDOCK_SEED` takes only that one.

#![allow(
    clippy::disallowed_methods,
    reason = "time that passes is a step of a walk, and slow calls are a trouble of it"
)]
#![allow(clippy::print_stdout, reason = "a test's output is where a trace is read")]

#[path = "../../../haddock-core/tests/walk/checks.rs"]
mod checks;
#[allow(dead_code, reason = "other tests throw them in more ways")]
#[path = "../../../haddock-core/tests/worlds/world/dice.rs"]
mod dice;
mod docker;
#[path = "../../../haddock-core/tests/walk/engine.rs"]
mod engine;
#[path = "../../../haddock-core/tests/walk/file.rs"]
mod file;
#[allow(dead_code, reason = "faults are planted where walks are quick")]
#[path = "../../../haddock-core/tests/walk/flaky.rs"]
mod flaky;
#[path = "../../../haddock-core/tests/walk/known.rs"]
mod known;
#[path = "../../../haddock-core/tests/walk/other.rs"]
mod other;
mod runner;
#[path = "../../../haddock-core/tests/walk/step.rs"]
mod step;
#[path = "../../../haddock-core/tests/walk/up.rs"]
mod up;
#[path = "../../../haddock-core/tests/walk/world.rs"]
mod world;
