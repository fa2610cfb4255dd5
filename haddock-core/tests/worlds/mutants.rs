//! Planted bugs: with any one rule switched off, some invariant breaks within a bounded number of worlds. If one
//! survives, the worlds are too tame, or the rule is not needed.
//!
//! One rule of the locators has no mutant here: that a close is refused while something is live. In these worlds it would
//! survive. The step asks for a close only if the instance has share 0 in force and nothing live on it, in one reading
//! of a single locator or in two readings of several. After that, a session comes back only by a table with a longer
//! idle time that the same commit sends. The refusal guards against this case, against counts that are upper bounds,
//! and against callers other than the step. The suite of the locators tests it.

use haddock_core::locator::sim::LocatorRules;
use haddock_core::release::Rules;

use crate::clocks::CLOCKS;
use crate::judged::JUDGED;
use crate::runner;
use crate::s6::RETURNING;
use crate::s8::MEANT;
use crate::world::{Tuning, World};

/// How many worlds a mutant may survive.
const BOUND: u64 = 10_000;

/// The kinds of worlds that mutants are let loose in, one after the other.
const KINDS: [Tuning; 5] = [
    Tuning::DEFAULT,
    Tuning { fault_every: 1_500, unreliable: 25, bad_images: 35, malice: 20, ..Tuning::DEFAULT },
    Tuning { user_every: 3_000, bad_images: 40, deadlines: 80, ..Tuning::DEFAULT },
    Tuning {
        unreliable: 40,
        deadlines: 0,
        two_idles: 100,
        user_every: 3_000,
        malice: 60,
        bad_images: 5,
        ..Tuning::DEFAULT
    },
    Tuning { locators: 2, unreliable: 30, two_idles: 0, user_every: 3_500, malice: 30, ..Tuning::DEFAULT },
];

/// Two locators, nothing but good versions, few faults, and the worst happens whenever something is closed.
const SHARP: Tuning = Tuning {
    locators: 2,
    malice: 100,
    unreliable: 50,
    deadlines: 0,
    bad_images: 0,
    two_idles: 0,
    fault_every: 15_000,
    user_every: 4_000,
    ..Tuning::DEFAULT
};

/// One locator, versions with a short and a long idle time, calls that land late, and a new release whenever something
/// is stopped: a longer idle time brings back what had expired.
const GROWING: Tuning = Tuning { locators: 1, two_idles: 100, unreliable: 70, ..SHARP };

fn growing(_: u64) -> Tuning {
    GROWING
}

/// A server is adopted, with its sessions, and the first release is in a hurry.
const ADOPTED: Tuning = Tuning { adopts: 100, fault_every: 15_000, deadlines: 0, bad_images: 5, ..Tuning::DEFAULT };

fn adopted(_: u64) -> Tuning {
    ADOPTED
}

fn any(seed: u64) -> Tuning {
    KINDS[usize::try_from(seed).expect("small") % KINDS.len()]
}

fn clocks(_: u64) -> Tuning {
    CLOCKS
}

fn judged(_: u64) -> Tuning {
    Tuning { locators: 2, ..JUDGED }
}

fn meant(_: u64) -> Tuning {
    MEANT
}

fn returning(_: u64) -> Tuning {
    RETURNING
}

fn sharp(_: u64) -> Tuning {
    SHARP
}

fn dies(name: &str, kind: fn(u64) -> Tuning, first: u64, rules: &Rules, locators: LocatorRules) {
    if let Some(seed) = runner::seed() {
        return runner::replay(seed, kind(seed), rules, locators);
    }
    for seed in first..first + BOUND {
        let outcome = World::run(seed, kind(seed), rules, locators, false);
        let Some(violation) = outcome.violation else { continue };
        runner::holds(seed, kind(seed));
        println!("without `{name}`, {} breaks in world {seed}: {}", violation.invariant, violation.what);
        return;
    }
    panic!("without `{name}` nothing breaks in {BOUND} worlds from {first} on");
}

macro_rules! mutants {
    ($($name:ident: $rules:ident { $field:ident } in $kind:ident $(, from $first:literal)?;)*) => {
        $(
            #[test]
            fn $name() {
                let first = 0 $(+ $first)?;
                mutants!(@dies $rules $field $kind first);
            }
        )*
    };
    (@dies Rules $field:ident $kind:ident $first:ident) => {
        dies(stringify!($field), $kind, $first, &Rules { $field: false, ..Rules::ALL }, LocatorRules::ALL)
    };
    (@dies LocatorRules $field:ident $kind:ident $first:ident) => {
        dies(stringify!($field), $kind, $first, &Rules::ALL, LocatorRules { $field: false, ..LocatorRules::ALL })
    };
}

// Some mutants live long. Theirs begin with a world that is not far before one in which they die; after a change of the
// step that may be another one, and the test takes longer.
mutants! {
    what_is_unknown_is_not_empty: Rules { unknown_is_not_empty } in any;
    only_what_is_closed_is_stopped: Rules { close_before_stop } in growing, from 7_500;
    in_force_is_known_by_number: Rules { in_force_by_number } in any;
    a_share_comes_after_a_listing: Rules { list_first } in any;
    after_a_close_it_is_listed_again: Rules { list_again_after_close } in sharp, from 6_500;
    no_table_names_what_is_closed: Rules { never_name_closed } in sharp;
    if_none_is_healthy_what_is_in_force_stays: Rules { keep_if_none_healthy } in any;
    no_table_is_sent_blind: Rules { no_table_blind } in any, from 3_900;
    no_share_is_taken_for_the_dead: Rules { no_share_to_dead } in any;
    a_failed_one_is_evicted_at_share_zero: Rules { evict_after_share_zero } in any;
    the_known_good_serves_first: Rules { known_good_first } in any;
    what_is_bad_does_not_serve: Rules { distrust_bad } in any;
    the_known_good_is_replaced: Rules { replace_known_good } in any;
    what_is_drained_is_looked_at_twice: Rules { look_twice } in sharp;
    the_known_good_stays: Rules { known_good_stays } in any;
    a_hiccup_cuts_no_ramp_short: Rules { bear_hiccups } in any;
    a_clock_that_is_set_back_stops_nothing: Rules { follow_the_clock } in clocks;
    a_verb_is_about_one_release: Rules { steer_what_is_meant } in meant;
    a_rollback_goes_back_once: Rules { go_back_once } in meant;
    what_a_step_learns_is_committed: Rules { commit_what_differs } in sharp;
    an_adopted_server_has_sessions: Rules { adopt_with_sessions } in adopted;
    nobody_is_judged_by_half_of_the_counts: Rules { judge_only_what_is_known } in judged;
    a_harmful_instance_gives_its_share_back_first: Rules { share_back_before_end } in judged;
    what_may_come_back_is_closed_in_rounds: Rules { close_in_rounds } in returning;
    a_locator_refuses_older_numbers: LocatorRules { refuse_older } in any;
    a_locator_follows_cookies_it_has_not_seen: LocatorRules { follow_unseen } in any;
    a_locator_lets_old_cookies_open_new_sessions: LocatorRules { expire_cookies } in any;
    a_locator_keeps_its_closed_marks: LocatorRules { persist } in any;
    a_locator_keeps_out_what_would_come_back: LocatorRules { keep_out_while_closing } in returning;
    a_restarted_locator_does_not_know: LocatorRules { unknown_after_restart } in any;
    a_locator_follows_the_cookies_of_an_adopted_server: LocatorRules { follow_foreign } in adopted;
    a_locator_does_not_know_who_else_may_come: LocatorRules { unknown_while_adopted } in adopted, from 2_200;
}

#[test]
fn with_all_rules_kept_nothing_breaks_in_the_same_worlds() {
    if let Some(seed) = runner::seed() {
        return runner::replay(seed, any(seed), &Rules::ALL, LocatorRules::ALL);
    }
    for seed in 0..runner::worlds() {
        runner::holds(seed, any(seed));
    }
}
