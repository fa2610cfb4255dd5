//! The contract of [`ContainerRuntime`] as tests, for any implementor to run: one `#[test]` for each case.
//!
//! ```text
//! use haddock_core::runtime::suite::RuntimeHarness;
//!
//! struct Mine;
//! impl RuntimeHarness for Mine { /* … */ }
//!
//! haddock_core::runtime_suite! { #[tokio::test] Some(Mine) } // or the attribute of another executor
//! ```
//!
//! `haddock-core/examples/own_runtime.rs` is a whole runtime with its harness.
//!
//! A case is left out if it needs a capability that the runtime does not declare, or a program that the harness does
//! not have. Each such case prints its name, and the test `cases_left_out` prints all of these names.
//!
//! Everything that a case makes carries a journal id of its own, and is removed when the case ends, in whatever way. So
//! cases may run at the same time, and on an engine that others use.

use std::panic::{AssertUnwindSafe, Location};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::ContainerRuntime;
use crate::container::{
    Attachment, Container, ContainerId, ContainerSpec, ContainerState, Identity, NetworkSpec, Selector, Sensitive,
    VolumeSpec,
};
use crate::error::ErrorKind;
use crate::image::ImageReference;
use crate::name::{ComponentName, InstanceId, JournalId};

mod ask;
mod capabilities;
pub mod cases;

/// The port that the serving images expose.
pub const PORT: u16 = 8080;
/// How many looks a case takes before it gives up.
const LOOKS: usize = 1_500;

/// What the suite has to know about an implementation.
#[async_trait]
pub trait RuntimeHarness: Send + Sync {
    /// The runtime.
    fn runtime(&self) -> &dyn ContainerRuntime;

    /// An image whose program listens on [`PORT`] until it is asked to stop, and then ends with code 0. If
    /// [`connects`](Self::connects) is true, it answers HTTP requests with the value of its variable `GREETING`.
    fn serving(&self) -> ImageReference;

    /// An image whose program prints the lines `line 1` to `line 5` and ends with code 3.
    fn exiting(&self) -> ImageReference;

    /// An image whose program runs on when it is asked to stop.
    fn stubborn(&self) -> ImageReference;

    /// An image that does not exist.
    fn missing(&self) -> ImageReference;

    /// Whether addresses take real connections.
    fn connects(&self) -> bool;

    /// A command for the serving image: the program asks the linked `alias` at its [`PORT`], prints the answer as its
    /// last line, and ends. `None` if there are no links.
    fn calling(&self, alias: &str) -> Option<Vec<String>>;

    /// A health check that prints `the check ended with CODE` and passes if the code is 0. `None` if health checks are
    /// not run.
    fn checking(&self, code: u8) -> Option<Vec<String>>;

    /// A command that copies its standard input to its standard output until the end, then writes `done` to its
    /// standard error, and ends with code 7. `None` if the streams of commands are not handed over.
    fn copying(&self) -> Option<Vec<String>> {
        None
    }

    /// An image that wants a volume, and the path at which it wants it. `None` if there is no such image.
    fn with_volume(&self) -> Option<(ImageReference, String)> {
        None
    }

    /// Lets about ten milliseconds of the runtime's time pass.
    async fn pause(&self);
}

/// The part of the runtime that belongs to one case.
pub struct Bench<'a> {
    harness: &'a dyn RuntimeHarness,
    journal: JournalId,
    foreign: JournalId,
}

impl Bench<'_> {
    fn runtime(&self) -> &dyn ContainerRuntime {
        self.harness.runtime()
    }

    fn instance(&self, number: u64) -> InstanceId {
        InstanceId::new(format!("{}-{number}", self.journal)).expect("a journal id and a number")
    }

    fn selector(&self) -> Selector {
        Selector::journal(&self.journal)
    }

    fn identity(&self, journal: &JournalId, number: u64) -> Identity {
        Identity::environment(journal, &self.instance(number))
    }

    fn of_web(&self, journal: &JournalId, number: u64) -> Identity {
        self.identity(journal, number).component(&ComponentName::new("web").expect("a name"))
    }

    /// A container of the `number`-th environment, named after it.
    async fn spec(&self, image: ImageReference, number: u64) -> ContainerSpec {
        let image = self.runtime().pull(&image, false).await.expect("the image is there");
        ContainerSpec {
            name: format!("{}-web", self.instance(number)),
            image,
            identity: self.of_web(&self.journal, number),
            expose: vec![PORT],
            ..ContainerSpec::default()
        }
    }

    fn network(&self, number: u64) -> NetworkSpec {
        let identity = self.identity(&self.journal, number);
        NetworkSpec { name: self.instance(number).to_string(), identity, ..NetworkSpec::default() }
    }

    fn volume(&self, number: u64) -> VolumeSpec {
        let identity = self.identity(&self.journal, number);
        VolumeSpec { name: format!("{}_data", self.instance(number)), identity, ..VolumeSpec::default() }
    }

    /// Joins the network of its environment, which is made if need be.
    async fn joined(&self, mut spec: ContainerSpec, number: u64, alias: &str) -> ContainerSpec {
        let network = self.network(number);
        if self.runtime().capabilities().networks {
            self.runtime().create_network(&network).await.expect("a network");
        }
        spec.networks = vec![Attachment::new(network.name, [alias])];
        spec
    }

    // A panic within a future shows the place of the future. So the futures that cases wait for show the place that
    // asked.

    #[track_caller]
    fn running(&self, spec: &ContainerSpec) -> impl Future<Output = Container> + Send {
        let at = Location::caller();
        async move {
            let id = told(at, self.runtime().create(spec).await);
            told(at, self.runtime().start(&id).await);
            self.inspect_at(at, &id).await
        }
    }

    #[track_caller]
    fn inspect(&self, id: &ContainerId) -> impl Future<Output = Container> + Send {
        self.inspect_at(Location::caller(), id)
    }

    async fn inspect_at(&self, at: &Location<'_>, id: &ContainerId) -> Container {
        let found = told(at, self.runtime().inspect(id).await);
        found.unwrap_or_else(|| panic!("{at}: container `{id}` is not there"))
    }

    /// Looks until the container is as wanted.
    #[track_caller]
    fn until(
        &self,
        id: &ContainerId,
        what: &str,
        wanted: impl Fn(&Container) -> bool + Send,
    ) -> impl Future<Output = Container> + Send {
        let at = Location::caller();
        async move {
            let mut last = None;
            for _ in 0..LOOKS {
                let container = self.inspect_at(at, id).await;
                if wanted(&container) {
                    return container;
                }
                last = Some(container);
                self.harness.pause().await;
            }
            panic!("{at}: never {what}: {last:?}")
        }
    }

    #[track_caller]
    fn until_exited(&self, id: &ContainerId) -> impl Future<Output = i64> + Send {
        let exited = self.until(id, "exited", |it: &Container| matches!(it.state, ContainerState::Exited { .. }));
        async move {
            match exited.await.state {
                ContainerState::Exited { code, .. } => code,
                other => panic!("exited is `{other:?}`"),
            }
        }
    }

    async fn clean(&self) {
        for journal in [&self.journal, &self.foreign] {
            let ours = Selector::journal(journal);
            for container in self.runtime().list(&ours).await.expect("a list") {
                self.runtime().remove(&container.id).await.expect("removed");
            }
            for network in self.runtime().networks(&ours).await.expect("a list") {
                self.runtime().remove_network(&network.id).await.expect("removed");
            }
            for volume in self.runtime().volumes(&ours).await.expect("a list") {
                self.runtime().remove_volume(&volume.name).await.expect("removed");
            }
        }
    }
}

/// Why a case is left out for the runtime of this harness: it does not declare a capability, or a method of the harness
/// returns `None`. `None`: the case is run.
#[must_use]
pub fn left_out(case: &str, harness: &dyn RuntimeHarness) -> Option<&'static str> {
    let has = harness.runtime().capabilities();
    let (copying, volumes) = (|| harness.copying().is_some(), || harness.with_volume().is_some());
    let needs: &[(bool, &str)] = match case {
        "start_again_begins_another_life_once" | "start_again_leaves_what_has_not_ended" => {
            &[(has.start_again, "start_again")]
        }
        "events_wake" => &[(has.events, "events")],
        "networks_are_taken_over_and_apart" | "a_network_of_others_is_left_alone" | "remove_network_again_is_fine" => {
            &[(has.networks, "networks")]
        }
        "containers_join_and_leave_networks" => &[(has.networks, "networks"), (has.connect, "connect")],
        "volumes_are_taken_over_and_removed" => &[(has.volumes, "volumes")],
        "volumes_of_an_image_are_told" => &[(has.volumes, "volumes"), (volumes(), "with_volume")],
        "commands_are_run_in_what_runs" => &[(has.exec, "exec")],
        "commands_are_attached_to_what_runs" => &[(has.attach, "attach")],
        "commands_have_streams_of_their_own" | "what_a_command_does_not_read_is_no_error" => {
            &[(has.attach, "attach"), (copying(), "copying")]
        }
        "usage_is_told_of_what_runs" => &[(has.usage, "usage")],
        "unpause_leaves_what_is_not_paused" => &[(has.unpause, "unpause")],
        "pull_policies_are_obeyed" => &[(has.pull_policies, "pull_policies")],
        "logs_are_followed_to_the_end" => &[(has.follow_logs, "follow_logs")],
        "a_port_is_free_or_not" => &[(has.host_ports, "host_ports")],
        "environment_variables_arrive" | "a_taken_port_is_told" => &[(harness.connects(), "connects")],
        "links_lead_to_the_component" => &[(harness.calling("oracle").is_some(), "calling")],
        "health_checks_decide_health" => &[(harness.checking(0).is_some(), "checking")],
        _ => &[],
    };
    needs.iter().find(|(has, _)| !has).map(|(_, what)| *what)
}

/// Runs a case, unless it is [`left_out`], and removes what it made.
///
/// # Panics
/// If the runtime breaks its contract.
pub async fn run(name: &str, harness: &dyn RuntimeHarness, case: impl AsyncFnOnce(&Bench<'_>)) {
    if let Some(what) = left_out(name, harness) {
        return print_left_out(name, harness, what);
    }
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Cases run in processes of their own, one after the other or at once.
    let unique = format!("{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let journal = |kind: &str| JournalId::new(format!("{kind}{unique}")).expect("letters and digits");
    let bench = Bench { harness, journal: journal("suite"), foreign: journal("foreign") };
    let outcome = AssertUnwindSafe(case(&bench)).catch_unwind().await;
    let cleaned = AssertUnwindSafe(bench.clean()).catch_unwind().await;
    // The result of the case matters more than whether its remains could be removed.
    if let Err(panic) = outcome.and(cleaned) {
        std::panic::resume_unwind(panic);
    }
}

/// Prints the names of those of the cases that are [`left_out`], and why.
pub fn print_all_left_out(names: &[&str], harness: &dyn RuntimeHarness) {
    for name in names {
        if let Some(what) = left_out(name, harness) {
            print_left_out(name, harness, what);
        }
    }
}

fn print_left_out(name: &str, harness: &dyn RuntimeHarness, what: &str) {
    eprintln!("LEFT OUT: `{name}`, as {} or its harness has no `{what}`", harness.runtime());
}

/// The suite, as a test for each case. The harness may be `None` if it cannot run here; print the reason before.
#[macro_export]
macro_rules! runtime_suite {
    (#[$test:meta] $harness:expr) => {
        $crate::runtime_cases! { [$crate::runtime_suite] #[$test] $harness => }
    };
    (#[$test:meta] $harness:expr => $($case:ident)+) => {
        $(
            #[$test]
            async fn $case() {
                if let Some(harness) = $harness {
                    let case = $crate::runtime::suite::cases::$case;
                    $crate::runtime::suite::run(stringify!($case), &harness, case).await;
                }
            }
        )+

        #[$test]
        async fn cases_left_out() {
            if let Some(harness) = $harness {
                $crate::runtime::suite::print_all_left_out(&[$(stringify!($case)),+], &harness);
            }
        }
    };
}

/// Calls a macro with the names of the suite's cases behind whatever else it is given.
#[macro_export]
macro_rules! runtime_cases {
    ([$($callback:tt)+] $($before:tt)*) => {
        $($callback)+! { $($before)*
            pull_answers_the_same_id_again
            an_image_that_is_nowhere_is_told
            a_created_container_does_not_run
            create_again_takes_the_same
            other_labels_make_no_other
            creates_at_once_make_one
            a_name_of_others_is_left_alone
            a_missing_image_cannot_be_created
            a_started_container_runs_and_is_reached
            start_again_is_the_same_incarnation
            start_does_not_revive
            start_again_begins_another_life_once
            start_again_leaves_what_has_not_ended
            a_missing_container_is_told
            stop_asks_first
            stop_kills_after_the_grace
            stop_again_and_of_nothing_is_fine
            remove_ends_what_runs_and_frees_the_name
            remove_again_and_of_nothing_is_fine
            a_list_holds_what_the_selector_matches
            logs_are_the_last_lines
            events_wake
            environment_variables_arrive
            links_lead_to_the_component
            a_taken_port_is_told
            health_checks_decide_health
            commands_have_streams_of_their_own
            what_a_command_does_not_read_is_no_error
            networks_are_taken_over_and_apart
            a_network_of_others_is_left_alone
            remove_network_again_is_fine
            errors_keep_values_to_themselves
            pull_policies_are_obeyed
            containers_join_and_leave_networks
            volumes_are_taken_over_and_removed
            volumes_of_an_image_are_told
            commands_are_run_in_what_runs
            commands_are_attached_to_what_runs
            usage_is_told_of_what_runs
            unpause_leaves_what_is_not_paused
            logs_are_followed_to_the_end
            a_port_is_free_or_not
        }
    };
}

/// The result. A panic on an error shows the place that asked.
fn told<T>(at: &Location<'_>, outcome: crate::Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{at}: {error:#}"))
}

#[track_caller]
fn kind<T: std::fmt::Debug>(outcome: crate::Result<T>) -> ErrorKind {
    outcome.expect_err("it must be refused").kind()
}
