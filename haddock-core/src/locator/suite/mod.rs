//! The locators' contract as tests, for any implementor to run.
//!
//! Implement [`Harness`] for whatever carries the traffic, and let [`locator_suite!`](crate::locator_suite) make one
//! `#[tokio::test]` for each case:
//!
//! ```text
//! haddock_core::locator_suite!(MyHarness::new().await);
//! ```
//!
//! A locator that lacks a capability is not asked for it; a case that needs a restart says so when the harness has
//! none.

mod cases;
mod kit;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::locator::ServiceLocator;
use crate::name::{InstanceId, ServiceName};
use crate::time::{Clock as _, SystemClock, Timestamp};

pub use cases::*;

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

/// A request that has been sent to its instance and is not answered until it is let go.
#[async_trait]
pub trait Held: Send {
    /// The instance that has it.
    fn instance(&self) -> InstanceId;

    /// Lets it be answered, and waits for that.
    async fn finish(self: Box<Self>);
}

/// A locator with clients and instances around it.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The locator; after a restart, the one that was restarted.
    fn locator(&self) -> Arc<dyn ServiceLocator>;

    /// The service that clients ask for.
    fn service(&self) -> ServiceName;

    /// The idle time that tables are to have: as short as the locator can tell well.
    fn idle(&self) -> Duration;

    /// How much later than after the idle time a session may expire.
    fn late(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// The present time, as the locator sees it. Unless it is given a clock, that is the machine's.
    fn now(&self) -> Timestamp {
        SystemClock::new().now()
    }

    /// Starts an instance, or takes one that runs already.
    async fn start(&self, instance: &InstanceId) -> SocketAddr;

    /// Sends a request with these cookies, keeps those of the response, and answers with the instance that served it;
    /// `None` if none did.
    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId>;

    /// Sends a request, waits until its instance has it, and leaves it unanswered.
    async fn hold(&self, cookies: &mut Cookies) -> Option<Box<dyn Held>>;

    /// Lets that much time pass, as the locator sees it.
    async fn pass(&self, time: Duration);

    /// Ends the locator without warning and starts it again, with what it has on disk. `false`: it cannot be.
    async fn restart(&self) -> bool;
}

/// Makes one test of each case of the locators' suite. The argument is an expression that makes a fresh
/// [`Harness`](crate::locator::suite::Harness); it may await.
#[macro_export]
macro_rules! locator_suite {
    ($harness:expr) => {
        $crate::locator_cases! { [$crate::locator_suite] @cases $harness; }
    };
    (@cases $harness:expr; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::locator::suite::$case($harness).await;
            }
        )*
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
            after_a_restart_nothing_counts_as_drained_for_one_idle_time
            sessions_from_before_its_adoption_stay_on_an_instance
            a_named_cookie_tells_sessions_from_before_from_other_clients
            an_adopted_instance_is_not_empty_before_its_sessions_have_come_or_expired
        }
    };
}
