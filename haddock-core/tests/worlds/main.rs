//! Random worlds: the real release step against simulated containers, locators, clients, users and faults, in virtual
//! time.
//!
//! A world is made from a seed and runs as discrete events on virtual milliseconds. A controller observes, steps,
//! commits and acts as the real one does; what it sees may be stale or missing, and what it does may land late, twice
//! or never. Each invariant has a file with its definition and a test that runs many worlds; what is
//! judged is the *ground truth*: what clients and containers live through, not what the state says. `mutants.rs`
//! switches off one rule at a time, and each time an invariant has to break.
//!
//! `HADDOCK_WORLDS=n` sets how many worlds each test runs; `HADDOCK_SEED=s` runs only that one, and prints its trace.

#![allow(clippy::print_stdout, reason = "a test's output is where a trace is read")]

mod adopted;
mod clocks;
mod judged;
mod l1;
mod l2;
mod l3;
mod lost;
mod mutants;
mod retired;
mod runner;
mod s1;
mod s2;
mod s3;
mod s4;
mod s5;
mod s6;
mod s7;
mod s8;
mod world;
