//! The rules that keep sessions safe, each with a name, so that a test can show what happens without it.

/// Which rules are kept. All of them are, except in the tests that prove that each is needed.
///
/// Not everything in a step is a rule. A rule is a condition without which a session could be lost, or a service be left
/// without an instance, or a wait never end. How long a stage lasts, for instance, is none.
///
/// The rules were found by model checking: without any one of them, some trace of at most a dozen steps loses a
/// session or leaves a service without an instance.
///
/// One more rule is always kept and has no switch here: an absence counts only if the reading began after our last
/// action on the thing ended. Readings come in order, so what was seen running and is absent in a later reading is gone
/// anyway. The rule only saves the second of two equal actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What could not be read is not taken for empty.
    pub unknown_is_not_empty: bool,
    /// Only what every locator has closed is stopped.
    pub close_before_stop: bool,
    /// A table counts as in force only when every locator's number says so.
    pub in_force_by_number: bool,
    /// An instance gets a share only after it was seen listed at share 0.
    pub list_first: bool,
    /// If its close was ever asked for, an instance gets a share again only after a newer listing.
    pub list_again_after_close: bool,
    /// A table never names what a locator has closed.
    pub never_name_closed: bool,
    /// If nothing is healthy, what is in force stays.
    pub keep_if_none_healthy: bool,
    /// With containers unknown, no table is sent.
    pub no_table_blind: bool,
    /// A table without a healthy share goes to no locator that may have one.
    pub no_share_to_dead: bool,
    /// A failed instance that runs is evicted only once its share 0 is in force.
    pub evict_after_share_zero: bool,
    /// When the last serving instance dies, the known good version serves, if it is healthy.
    pub known_good_first: bool,
    /// A version that is known bad or was aborted never serves in place of the known good one.
    pub distrust_bad: bool,
    /// If nothing of the known good version is left, a replacement is started.
    pub replace_known_good: bool,
    /// With several locators, an instance is closed only after two looks have found it drained.
    pub look_twice: bool,
    /// With several locators, an instance is closed only once no session can come back to it on any of them.
    pub close_in_rounds: bool,
    /// The known good version is not closed before the new one has settled.
    pub known_good_stays: bool,
    /// When the clock is set back, each wait lasts as long as it would have.
    pub follow_the_clock: bool,
    /// A verb about a release that is over, or waits, does nothing to another release.
    pub steer_what_is_meant: bool,
    /// A rollback leaves the version that serves. It does nothing if a newer version was given up already.
    pub go_back_once: bool,
    /// Everything that a step learns is committed, even if there is no event for it.
    pub commit_what_differs: bool,
    /// An instance that misses a probe or two keeps its share, and no ramp is cut short because of it.
    pub bear_hiccups: bool,
    /// A candidate is judged only while every locator's counts are known.
    pub judge_only_what_is_known: bool,
    /// A harmful instance is ended only once its share 0 is in force.
    pub share_back_before_end: bool,
    /// Sessions that an adopted server had before its adoption have one idle time in which to come.
    pub adopt_with_sessions: bool,
}

impl Rules {
    /// All rules.
    pub const ALL: Self = Self {
        unknown_is_not_empty: true,
        close_before_stop: true,
        in_force_by_number: true,
        list_first: true,
        list_again_after_close: true,
        never_name_closed: true,
        keep_if_none_healthy: true,
        no_table_blind: true,
        no_share_to_dead: true,
        evict_after_share_zero: true,
        known_good_first: true,
        distrust_bad: true,
        replace_known_good: true,
        look_twice: true,
        close_in_rounds: true,
        known_good_stays: true,
        follow_the_clock: true,
        steer_what_is_meant: true,
        go_back_once: true,
        commit_what_differs: true,
        bear_hiccups: true,
        judge_only_what_is_known: true,
        share_back_before_end: true,
        adopt_with_sessions: true,
    };
}
