//! What a routing decision costs at a million live sessions, taken in an order that no cache foresees.

#![allow(missing_docs, reason = "a program")]

use std::hint::black_box;
use std::sync::Mutex;

use divan::Bencher;
use haddock_core::locator::gateway::bench::Crowd;

fn main() {
    divan::main();
}

const SESSIONS: u32 = 1_000_000;

static CROWD: Mutex<Option<Crowd>> = Mutex::new(None);

fn with(bencher: Bencher<'_, '_>, what: fn(&mut Crowd, usize) -> usize) {
    let mut crowd = CROWD.lock().expect("not poisoned");
    let crowd = crowd.get_or_insert_with(|| Crowd::new(SESSIONS));
    assert!(crowd.bytes_each() <= 32.0);
    // A step that shares no factor with the number of sessions visits all of them (and its cookies) far apart.
    let mut n = 0_usize;
    bencher.bench_local(|| {
        n = (n + 618_033_989) % SESSIONS as usize;
        black_box(what(crowd, n))
    });
}

#[divan::bench]
fn look_up_and_touch(bencher: Bencher<'_, '_>) {
    with(bencher, |crowd, n| crowd.touch(n) as usize);
}

#[divan::bench]
fn decide(bencher: Bencher<'_, '_>) {
    with(bencher, |crowd, n| crowd.decide(n) as usize);
}

#[divan::bench]
fn decide_by_cookie(bencher: Bencher<'_, '_>) {
    with(bencher, |crowd, n| crowd.decide_by_cookie(n) as usize);
}

#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    with(bencher, Crowd::seal);
}
