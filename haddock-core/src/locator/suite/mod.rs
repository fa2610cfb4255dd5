//! The locators' contract as tests, for any implementor to run.
//!
//! Implement [`Harness`] for whatever carries the traffic, and let [`locator_suite!`](crate::locator_suite) make one test
//! of each case. `haddock-core/examples/own_locator.rs` is a whole locator with its harness.
//!
//! ```text
//! haddock_core::locator_suite!(MyHarness::new().await);                      // as `#[tokio::test]`
//! haddock_core::locator_suite!(#[smol_potat::test] MyHarness::new().await);  // on another executor
//! ```
//!
//! A case is left out if it needs a capability that the locator does not declare. Each such case prints its name, and
//! the test `cases_left_out` prints all of these names. A capability that is declared has to exist: each has cases that
//! fail without it.

mod by_client;
mod cases;
mod cohorts;
mod kit;
mod rounds;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{ApplicationCookie, CookieMode};
use crate::time::{Clock as _, SystemClock, Timestamp};

pub use by_client::*;
pub use cases::*;
pub use cohorts::*;
pub use rounds::*;

/// A client's cookies, by name; or whatever else the harness knows a client by.
pub type Cookies = BTreeMap<String, String>;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Something that is answered with 200.
    Page,
    /// Something that is answered with 500.
    Failure,
    /// The path that is named in [`SessionPolicy::ignore`](crate::routing::SessionPolicy::ignore), [`IGNORED`].
    Probe,
}

/// The ignored path.
pub const IGNORED: &str = "/probe";

/// A request that has been sent to its instance and is not answered until its end is asked for.
#[async_trait]
pub trait InFlight: Send {
    /// The instance that has it.
    fn instance(&self) -> InstanceId;

    /// Lets it be answered, and waits for that.
    async fn finish(self: Box<Self>);
}

/// A locator with clients and instances around it.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The locator. After a restart, the restarted one.
    fn locator(&self) -> Arc<dyn ServiceLocator>;

    /// The service that clients ask for.
    fn service(&self) -> ServiceName;

    /// The idle time for tables: as short as the locator can measure well.
    fn idle(&self) -> Duration;

    /// The cookie by which sessions are known, for a locator that can know them by one of the application's. Then each of
    /// the harness's instances sets it, to a new value, in the answer to a request without one that it has set.
    fn application(&self) -> Option<ApplicationCookie> {
        None
    }

    /// How much later than the idle time a session may expire.
    fn late(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// The present time, as the locator sees it. By default it is that of the machine's clock.
    fn now(&self) -> Timestamp {
        SystemClock::new().now()
    }

    /// Starts an instance, or takes one that runs already.
    async fn start(&self, instance: &InstanceId) -> SocketAddr;

    /// Sends a request with these cookies, and keeps those of the response. Returns the instance that served it, or
    /// `None` if none did.
    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId>;

    /// Sends a request, waits until its instance has it, and leaves it unanswered.
    async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>>;

    /// Lets this much time pass, as the locator sees it.
    async fn pass(&self, time: Duration);

    /// Ends the locator without warning and starts it again with what it has on disk. `false`: this is not possible.
    async fn restart(&self) -> bool;
}

/// Why a case is left out for the locator of this harness. `None`: the case is run.
#[must_use]
pub fn left_out(case: &str, harness: &dyn Harness) -> Option<&'static str> {
    let LocatorCapabilities {
        session_count,
        atomic_close,
        hold,
        adoption,
        counts_by_table,
        follows_unseen,
        counts_by_policy,
        by_client,
        closes_in_rounds,
        keeps_sticky_at_zero: _,
    } = harness.locator().capabilities();
    let counts = session_count != SessionCount::None;
    // The application's cookie does not say when the session was last used, and without a prefix not where it is either.
    let mode = harness.application().map(|cookie| cookie.mode);
    let says_when = (mode != Some(CookieMode::Prefix), "a cookie that says when it was last used");
    let says_where = (mode != Some(CookieMode::Learn), "a cookie that says where the session is");
    let needs: &[(bool, &str)] = match case {
        "a_close_is_atomic_with_routing" => &[(atomic_close, "atomic_close"), (counts, "session_count"), says_when],
        "an_expired_session_begins_anew" => &[says_when],
        "an_unseen_session_follows_its_cookie" => &[(follows_unseen, "follows_unseen"), says_when, says_where],
        "what_would_come_back_waits_until_it_is_known_whether_the_instance_is_closed" => &[
            (closes_in_rounds, "closes_in_rounds"),
            (mode == Some(CookieMode::Prefix), "a cookie that does not say when it was last used"),
        ],
        "what_lives_on_a_closing_instance_goes_on_there" => {
            &[(closes_in_rounds, "closes_in_rounds"), (counts, "session_count")]
        }
        "held_requests_wait_and_go_on_where_they_were"
        | "a_hold_ends_by_itself"
        | "new_sessions_go_to_what_is_not_held" => &[(hold, "hold")],
        "sessions_from_before_its_adoption_stay_on_an_instance"
        | "a_named_cookie_tells_sessions_from_before_from_other_clients" => &[(adoption, "adoption")],
        "an_adopted_instance_is_not_empty_before_its_sessions_have_come_or_expired" => {
            &[(adoption, "adoption"), (counts, "session_count")]
        }
        "a_session_expires_idle_time_after_the_end_of_its_last_response"
        | "close_wants_no_live_session"
        | "close_wants_nothing_in_flight"
        | "after_a_restart_nothing_counts_as_drained_before_its_sessions_have_expired" => &[(counts, "session_count")],
        "a_session_counts_under_the_table_under_which_it_began"
        | "a_table_that_is_applied_again_is_the_same_cohort" => &[(counts_by_table, "counts_by_table")],
        "after_a_restart_no_older_table_is_counted" => {
            &[(counts_by_table, "counts_by_table"), (follows_unseen, "follows_unseen"), says_where]
        }
        "sessions_from_before_an_adoption_count_under_no_table" => {
            &[(counts_by_table, "counts_by_table"), (adoption, "adoption")]
        }
        "an_ignored_path_opens_no_session" | "a_session_fails_once" => &[(counts_by_policy, "counts_by_policy")],
        "a_client_keeps_to_its_version_over_its_sessions" | "a_client_goes_over_to_newer_versions_only" => {
            &[(by_client, "by_client"), says_when]
        }
        _ => &[],
    };
    needs.iter().find(|(has, _)| !has).map(|(_, capability)| *capability)
}

/// Runs a case, unless it is [`left_out`].
///
/// # Panics
/// If the locator breaks its contract.
pub async fn run<H: Harness, F: Future<Output = ()>>(name: &str, harness: H, case: impl FnOnce(H) -> F) {
    match left_out(name, &harness) {
        Some(capability) => print_left_out(name, &harness, capability),
        None => case(harness).await,
    }
}

/// Prints the names of those of the cases that are [`left_out`], and why.
pub fn print_all_left_out(names: &[&str], harness: &dyn Harness) {
    for name in names {
        if let Some(capability) = left_out(name, harness) {
            print_left_out(name, harness, capability);
        }
    }
}

fn print_left_out(name: &str, harness: &dyn Harness, capability: &str) {
    eprintln!("LEFT OUT: `{name}`, as {} does not declare `{capability}`", harness.locator());
}

/// Makes one test of each case of the locators' suite. The argument is an expression that makes a fresh
/// [`Harness`](crate::locator::suite::Harness); it may await. In front of it may stand the attribute of an asynchronous
/// test, which is `#[tokio::test]` by default.
#[macro_export]
macro_rules! locator_suite {
    (#[$test:meta] $harness:expr) => {
        $crate::locator_cases! { [$crate::locator_suite] @cases #[$test] $harness; }
    };
    (@cases #[$test:meta] $harness:expr; $($case:ident)*) => {
        $(
            #[$test]
            async fn $case() {
                $crate::locator::suite::run(stringify!($case), $harness, $crate::locator::suite::$case).await;
            }
        )*

        #[$test]
        async fn cases_left_out() {
            $crate::locator::suite::print_all_left_out(&[$(stringify!($case)),*], &$harness);
        }
    };
    ($harness:expr) => {
        $crate::locator_suite! { #[tokio::test] $harness }
    };
}

/// Calls a macro with the names of the suite's cases behind whatever else it is given.
#[macro_export]
macro_rules! locator_cases {
    ([$($callback:tt)+] $($before:tt)*) => {
        $($callback)+! { $($before)*
            an_older_number_is_refused_and_changes_nothing
            an_equal_number_is_the_same_call_again
            a_service_never_heard_of_has_empty_figures
            without_a_share_nobody_gets_a_new_session
            new_sessions_are_in_proportion_to_the_shares
            a_session_stays_whatever_the_shares_are
            a_session_of_an_unlisted_instance_begins_anew
            an_ignored_path_opens_no_session
            sessions_and_requests_are_counted
            a_session_fails_once
            a_session_expires_idle_time_after_the_end_of_its_last_response
            an_expired_session_begins_anew
            close_wants_no_share
            close_wants_no_live_session
            close_wants_nothing_in_flight
            closing_twice_and_closing_a_stranger_is_closing
            a_closed_instance_gets_nothing_for_ever
            what_a_watermark_covers_stays_closed
            a_close_is_atomic_with_routing
            evicted_sessions_are_counted_and_begin_elsewhere
            an_eviction_cuts_no_request
            held_requests_wait_and_go_on_where_they_were
            a_hold_ends_by_itself
            new_sessions_go_to_what_is_not_held
            numbers_tables_and_closed_marks_outlive_a_restart
            an_unseen_session_follows_its_cookie
            after_a_restart_nothing_counts_as_drained_before_its_sessions_have_expired
            sessions_from_before_its_adoption_stay_on_an_instance
            a_named_cookie_tells_sessions_from_before_from_other_clients
            an_adopted_instance_is_not_empty_before_its_sessions_have_come_or_expired
            a_session_counts_under_the_table_under_which_it_began
            a_table_that_is_applied_again_is_the_same_cohort
            sessions_from_before_an_adoption_count_under_no_table
            after_a_restart_no_older_table_is_counted
            what_would_come_back_waits_until_it_is_known_whether_the_instance_is_closed
            what_lives_on_a_closing_instance_goes_on_there
            a_client_keeps_to_its_version_over_its_sessions
            a_client_goes_over_to_newer_versions_only
        }
    };
}
