//! Planted bugs: with any one rule switched off, some invariant breaks within a bounded number of worlds. If one
//! survives, the worlds are too tame, or the rule is not needed.

use haddock_core::locator::sim::LocatorRules;
use haddock_core::release::Rules;

use crate::runner;
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

fn kind(seed: u64) -> Tuning {
    KINDS[usize::try_from(seed).expect("small") % KINDS.len()]
}

fn dies(name: &str, rules: &Rules, locators: LocatorRules) {
    if let Some(seed) = runner::seed() {
        return runner::replay(seed, kind(seed), rules, locators);
    }
    for seed in 0..BOUND {
        let tuning = kind(seed);
        let outcome = World::run(seed, tuning, rules, locators, false);
        let Some(violation) = outcome.violation else { continue };
        runner::holds(seed, tuning);
        println!("without `{name}`, {} breaks in world {seed}: {}", violation.invariant, violation.what);
        return;
    }
    panic!("without `{name}` nothing breaks in {BOUND} worlds");
}

macro_rules! mutants {
    ($($name:ident: $rules:ident { $field:ident })*) => {
        $(
            #[test]
            fn $name() {
                mutants!(@dies $rules $field);
            }
        )*
    };
    (@dies Rules $field:ident) => {
        dies(stringify!($field), &Rules { $field: false, ..Rules::ALL }, LocatorRules::ALL)
    };
    (@dies LocatorRules $field:ident) => {
        dies(stringify!($field), &Rules::ALL, LocatorRules { $field: false, ..LocatorRules::ALL })
    };
}

mutants! {
    what_is_unknown_is_not_empty: Rules { unknown_is_not_empty }
    only_what_is_closed_is_stopped: Rules { close_before_stop }
    in_force_is_known_by_number: Rules { in_force_by_number }
    a_share_comes_after_a_listing: Rules { list_first }
    after_a_close_it_is_listed_again: Rules { list_again_after_close }
    no_table_names_what_is_closed: Rules { never_name_closed }
    if_none_is_healthy_what_is_in_force_stays: Rules { keep_if_none_healthy }
    no_table_is_sent_blind: Rules { no_table_blind }
    no_share_is_taken_for_the_dead: Rules { no_share_to_dead }
    a_failed_one_is_evicted_at_share_zero: Rules { evict_after_share_zero }
    the_known_good_serves_first: Rules { known_good_first }
    what_is_bad_does_not_serve: Rules { distrust_bad }
    the_known_good_is_replaced: Rules { replace_known_good }
    what_is_drained_is_looked_at_twice: Rules { look_twice }
    the_known_good_stays: Rules { known_good_stays }
    a_locator_refuses_older_numbers: LocatorRules { refuse_older }
    a_locator_follows_cookies_it_has_not_seen: LocatorRules { follow_unseen }
    a_locator_lets_old_cookies_open_new_sessions: LocatorRules { expire_cookies }
    a_locator_refuses_to_close_what_is_busy: LocatorRules { refuse_busy }
    a_locator_keeps_its_closed_marks: LocatorRules { persist }
    a_restarted_locator_does_not_know: LocatorRules { unknown_after_restart }
}

#[test]
fn with_all_rules_kept_nothing_breaks_in_the_same_worlds() {
    if let Some(seed) = runner::seed() {
        return runner::replay(seed, kind(seed), &Rules::ALL, LocatorRules::ALL);
    }
    for seed in 0..runner::worlds() {
        runner::holds(seed, kind(seed));
    }
}
