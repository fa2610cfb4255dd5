//! A server that ran before Haddock is adopted with its sessions. It is neither started nor stopped. It drains like any
//! other instance, and is reported when it has.
//!
//! Judged with all other invariants. S6 holds for its sessions from before the adoption, and S1 when it is closed. S4
//! holds for every task that is begun on it and, at the end of the world, for its container, which has no label of
//! ours.

use crate::runner;
use crate::world::Tuning;

#[test]
fn an_adopted_server_keeps_its_sessions_and_is_neither_started_nor_stopped() {
    let tuning = Tuning { adopts: 100, bad_images: 15, deadlines: 20, ..Tuning::DEFAULT };
    runner::run(
        8_000_000,
        tuning,
        &[
            "server adopted",
            "server not adopted",
            "request of a session from before",
            "request of a session from before at share 0",
            "adopted server closed",
            "adopted server drained and reported",
            "adopted server failed",
            "rollback to an adopted server",
            "release settled",
        ],
    );
}
