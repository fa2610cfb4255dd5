//! The journal is lost at any moment, and rebuilt from labels and from what the locators have in force.
//!
//! Judged with all other invariants, which still hold, above all those about sessions. The known good version and the
//! release in progress are lost. S7 is judged by the version that is known good afterwards.

use crate::runner;
use crate::world::Tuning;

#[test]
fn a_lost_journal_is_recovered_and_no_session_suffers() {
    let tuning = Tuning { wipes: 100, ..Tuning::DEFAULT };
    runner::run(
        9_000_000,
        tuning,
        &[
            "journal recovered",
            "journal recovered in a release",
            "journal recovered in a drain",
            "journal recovered with an adopted server",
            "release settled",
            "stop while other sessions live",
        ],
    );
}

#[test]
fn a_lost_journal_is_recovered_with_two_locators() {
    let tuning = Tuning { wipes: 100, locators: 2, two_idles: 0, ..Tuning::DEFAULT };
    runner::run(9_500_000, tuning, &["journal recovered", "journal recovered in a drain"]);
}
