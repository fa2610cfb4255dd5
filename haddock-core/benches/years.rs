//! What is kept of a service, and how long a step and a release take, after 10, 100, 1 000 and 5 000 releases of it.
//!
//! ```text
//! cargo bench -p haddock-core --bench years --features testing
//! ```
//!
//! The history is kept for a day and 1 000 events, so that it reaches its bound within the first hundreds. The peer is the
//! service's own youth: a figure that grows from row to row is a leak.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints, and reads the clock")]

#[path = "../tests/years/life.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the test needs more of it")]
mod life;

use std::time::Instant;

use life::Life;

fn main() {
    let mut life = Life::new();
    println!(
        "releases   state B   events   journal KiB   specs   gateway knows   gateway B   memory MiB   step µs   release ms"
    );
    for mark in [10, 100, 1_000, 5_000] {
        let began = Instant::now();
        let before = life.releases();
        (before..mark).for_each(|_| life.release());
        let each = began.elapsed().as_secs_f64() * 1e3 / (mark - before) as f64;
        let it = life.figures();
        let (journal, memory, step) = (it.journal / 1024, it.memory >> 20, it.step.as_secs_f64() * 1e6);
        println!(
            "{:>8}   {:>7}   {:>6}   {journal:>11}   {:>5}   {:>13}   {:>9}   {memory:>10}   {step:>7.1}   {each:>10.1}",
            it.releases, it.state, it.events, it.specs, it.instances, it.gateway
        );
    }
}
