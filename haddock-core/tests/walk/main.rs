//! Random walks over environments: edits of the compose file, commits, `up` and `down` of several names from two
//! checkouts, time that passes, people who change things on the engine, and a SIGKILL of our process at any call.
//!
//! A walk is a list of steps, made from a seed. The steps are taken with the real
//! [`Environments`](haddock_core::environment::environments::Environments) on an engine, and after each step what is on
//! that engine is compared with what must be there: which containers, made from what, with which data. What must be
//! there is computed from the steps alone. `checks.rs` has the invariants, each with its name. Here the engine is
//! simulated; the package `haddock-tests` walks the same steps on a container engine.
//!
//! `HADDOCK_WALKS=n` sets how many walks are taken; `HADDOCK_SEED=s` takes only that one, and prints its trace.
//! `mutants.rs` plants faults, and each has to be found.
#![allow(
    clippy::disallowed_methods,
    reason = "time passes by a virtual clock, and the census tells how long walks take"
)]
#![allow(clippy::print_stdout, reason = "a test's output is where a trace is read")]

mod checks;
#[allow(dead_code, reason = "the worlds throw them in more ways")]
#[path = "../worlds/world/dice.rs"]
mod dice;
mod engine;
mod file;
mod flaky;
mod known;
mod mutants;
mod other;
mod runner;
mod sim;
mod step;
mod up;
mod world;
