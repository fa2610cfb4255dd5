//! The contract of [`ContainerRuntime`] as tests, for any implementor to run: one `#[test]` for each case.
//!
//! ```text
//! use haddock_core::runtime::suite::RuntimeHarness;
//!
//! struct Mine;
//! impl RuntimeHarness for Mine { /* … */ }
//!
//! haddock_core::runtime_suite! { #[tokio::test] Some(Mine) }
//! ```
//!
//! What a case makes carries a journal id of its own and is removed when the case ends, however it ends: cases may run
//! at the same time and on an engine that others use.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};

use super::ContainerRuntime;
use crate::container::{
    Attachment, Container, ContainerId, ContainerSpec, ContainerState, Identity, NetworkSpec, Selector, Sensitive,
    VolumeSpec,
};
use crate::error::ErrorKind;
use crate::image::ImageReference;
use crate::name::{ComponentName, InstanceId, JournalId};

pub mod cases;

/// The port that the serving images expose.
pub const PORT: u16 = 8080;
/// Looks until a case gives up.
const LOOKS: usize = 1_500;

/// What the suite has to know of an implementation.
#[async_trait]
pub trait RuntimeHarness: Send + Sync {
    /// The runtime.
    fn runtime(&self) -> &dyn ContainerRuntime;

    /// An image whose program listens on [`PORT`] until it is asked to stop, and then ends with code 0. Where
    /// [`connects`](Self::connects) is true it answers HTTP requests with the value of its variable `GREETING`.
    fn serving(&self) -> ImageReference;

    /// An image whose program prints the lines `line 1` to `line 5` and ends with code 3.
    fn exiting(&self) -> ImageReference;

    /// An image whose program runs on when it is asked to stop.
    fn stubborn(&self) -> ImageReference;

    /// An image that is nowhere.
    fn missing(&self) -> ImageReference;

    /// Whether addresses take real connections.
    fn connects(&self) -> bool;

    /// The command, for the serving image, of a program that asks the linked `alias` at its [`PORT`], prints the
    /// answer as its last line, and ends. `None` where links lead nowhere.
    fn calling(&self, alias: &str) -> Option<Vec<String>>;

    /// A health check that prints `the check ended with CODE` and passes if the code is 0. `None` where health checks
    /// are not run.
    fn checking(&self, code: u8) -> Option<Vec<String>>;

    /// A command that copies its standard input to its standard output until the end of it, then writes `done` to its
    /// standard error, and ends with code 7. `None` where the streams of commands are not handed over.
    fn copying(&self) -> Option<Vec<String>> {
        None
    }

    /// Lets about ten milliseconds of the runtime's time pass.
    async fn pause(&self);
}

/// A case's own corner of the runtime.
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

    async fn running(&self, spec: &ContainerSpec) -> Container {
        let id = self.runtime().create(spec).await.expect("created");
        self.runtime().start(&id).await.expect("started");
        self.inspect(&id).await
    }

    async fn inspect(&self, id: &ContainerId) -> Container {
        self.runtime().inspect(id).await.expect("an answer").expect("it is there")
    }

    /// Looks until the container is as wanted.
    async fn until(&self, id: &ContainerId, what: &str, wanted: impl Fn(&Container) -> bool) -> Container {
        let mut last = None;
        for _ in 0..LOOKS {
            let container = self.inspect(id).await;
            if wanted(&container) {
                return container;
            }
            last = Some(container);
            self.harness.pause().await;
        }
        panic!("never {what}: {last:?}")
    }

    async fn until_exited(&self, id: &ContainerId) -> i64 {
        let exited = |it: &Container| matches!(it.state, ContainerState::Exited { .. });
        match self.until(id, "exited", exited).await.state {
            ContainerState::Exited { code, .. } => code,
            other => panic!("exited is `{other:?}`"),
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
        }
    }
}

/// Runs a case, and removes what it made.
///
/// # Panics
/// If the runtime breaks its contract.
pub async fn run(harness: &dyn RuntimeHarness, case: impl AsyncFnOnce(&Bench<'_>)) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Cases run in processes of their own, one after the other or at once.
    let unique = format!("{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let journal = |kind: &str| JournalId::new(format!("{kind}{unique}")).expect("letters and digits");
    let bench = Bench { harness, journal: journal("suite"), foreign: journal("foreign") };
    let outcome = AssertUnwindSafe(case(&bench)).catch_unwind().await;
    bench.clean().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// The suite, as a test for each case. The harness may be `None` where it cannot run; say why before.
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
                    $crate::runtime::suite::run(&harness, $crate::runtime::suite::cases::$case).await;
                }
            }
        )+
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
        }
    };
}

fn kind<T: std::fmt::Debug>(outcome: crate::Result<T>) -> ErrorKind {
    outcome.expect_err("it must be refused").kind()
}
