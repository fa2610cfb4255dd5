//! What a routing decision costs at a million live sessions, taken in an order that no cache foresees.

#![allow(missing_docs, reason = "a program")]

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::Mutex;

use divan::Bencher;
use haddock_core::locator::gateway::bench::{Crowd, Input, Opening};

fn main() {
    divan::main();
}

const SESSIONS: u32 = 1_000_000;

static CROWD: Mutex<Option<RefCell<Crowd>>> = Mutex::new(None);

fn with(bencher: Bencher<'_, '_>, what: fn(&mut Crowd, &Input) -> u32) {
    let mut crowd = CROWD.lock().expect("not poisoned");
    let crowd = crowd.get_or_insert_with(|| RefCell::new(Crowd::new(SESSIONS)));
    assert!(crowd.borrow().bytes_each() <= 32.0);
    let n = Cell::new(0_usize);
    bencher
        .with_inputs(|| {
            // A step that shares no factor with the number of sessions visits all of them, far apart. What the request
            // brings is at hand; what the table has is not.
            n.set((n.get() + 618_033_989) % SESSIONS as usize);
            crowd.borrow().input(n.get())
        })
        .bench_local_refs(|input| black_box(what(&mut crowd.borrow_mut(), input)));
}

#[divan::bench(sample_count = 2_000, sample_size = 500)]
fn look_up_and_touch(bencher: Bencher<'_, '_>) {
    with(bencher, Crowd::touch);
}

#[divan::bench(sample_count = 2_000, sample_size = 500)]
fn decide(bencher: Bencher<'_, '_>) {
    with(bencher, Crowd::decide);
}

#[divan::bench(sample_count = 2_000, sample_size = 500)]
fn decide_and_time(bencher: Bencher<'_, '_>) {
    with(bencher, Crowd::decide_and_time);
}

#[divan::bench(sample_count = 2_000, sample_size = 500)]
fn decide_by_cookie(bencher: Bencher<'_, '_>) {
    with(bencher, Crowd::decide_by_cookie);
}

#[divan::bench(sample_count = 2_000, sample_size = 500)]
fn seal(bencher: Bencher<'_, '_>) {
    with(bencher, Crowd::seal);
}

/// A session that begins, with the log of sessions and without.
#[divan::bench(args = [false, true], sample_count = 2_000, sample_size = 100)]
fn open_a_session(bencher: Bencher<'_, '_>, is_logged: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let opening = Opening::new(dir.path(), SESSIONS, is_logged);
    bencher.bench_local(|| opening.open());
}
