//! The clock runs two hours ahead from the beginning, and is set right when some controller has crashed.
//!
//! Judged by all other invariants: releases end (L1), drains end (L2), and no deadline comes before its time (S6).

use crate::runner;
use crate::world::Tuning;

/// Many controllers. No server is adopted: it would keep its sessions for as long as the wrong clock says, because no
/// locator knows that this clock is wrong.
pub(crate) const CLOCKS: Tuning = Tuning { clocks: 80, adopts: 0, fault_every: 1_500, ..Tuning::DEFAULT };

#[test]
fn clocks_that_are_set_back_stop_nothing() {
    runner::run(15_000_000, CLOCKS, &["clock set back", "release settled", "instance gone", "take-over"]);
}
