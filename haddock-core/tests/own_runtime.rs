//! The runtimes' suite fails for a runtime that declares a capability it does not have, and for one around another that
//! forgets a method.
#![cfg(all(feature = "controller", feature = "testing"))]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::runtime::suite;
use haddock_core::runtime::{ContainerRuntime, RuntimeCapabilities};

mod sim_stage;

#[path = "../examples/own_runtime.rs"]
#[expect(dead_code, unreachable_pub, reason = "the example has a main function")]
mod own_runtime;

use own_runtime::Shelf;
use sim_stage::Stage;

/// A runtime around another one. It declares more than it has, or it forgets some methods, so that those of the trait
/// are used.
#[derive(Debug)]
struct Wrapper {
    inner: SimRuntime,
    forgets: BTreeSet<&'static str>,
    declares: RuntimeCapabilities,
}

impl fmt::Display for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a wrapper")
    }
}

macro_rules! unless_forgotten {
    ($me:ident, capabilities) => { $me.declares };
    ($me:ident, cannot, $what:ident) => { $me.inner.cannot($what) };
    ($me:ident, $method:ident $(, $argument:ident)*) => {
        match $me.forgets.contains(stringify!($method)) {
            // It has only the required methods, so the others are the trait's.
            true => Shelf::default().$method($($argument),*).await,
            false => $me.inner.$method($($argument),*).await,
        }
    };
}

haddock_core::forward_runtime! { [impl ContainerRuntime for Wrapper] unless_forgotten }

/// The simulated runtime within a wrapper.
fn staged(change: impl Fn(&mut Wrapper)) -> Stage<Wrapper> {
    Stage::new(|inner| {
        let declares = inner.capabilities();
        let mut wrapper = Wrapper { inner, forgets: BTreeSet::new(), declares };
        change(&mut wrapper);
        wrapper
    })
}

macro_rules! cases {
    ($($case:ident)+) => {
        /// The names of the cases that it fails.
        async fn failed(change: impl Fn(&mut Wrapper)) -> Vec<&'static str> {
            let mut failed = Vec::new();
            $(
                let stage = staged(&change);
                let case = suite::run(stringify!($case), &stage, suite::cases::$case);
                if AssertUnwindSafe(case).catch_unwind().await.is_err() {
                    failed.push(stringify!($case));
                }
            )+
            failed
        }
    };
}
haddock_core::runtime_cases! { [cases] }

/// Each method with a default, but those that the simulated runtime leaves to the default itself: what a health check has
/// printed, and what becomes of a log.
const METHODS: [&str; 14] = [
    "pull_with",
    "start_again",
    "unpause",
    "members",
    "connect",
    "disconnect",
    "create_volume",
    "volumes",
    "remove_volume",
    "image_volumes",
    "port_is_free",
    "exec",
    "attach",
    "usage",
];

#[tokio::test]
async fn a_wrapper_that_forgets_nothing_passes() {
    assert_eq!(failed(|_| {}).await, [""; 0]);
}

#[tokio::test]
async fn a_wrapper_that_forgets_a_method_is_found_out() {
    for method in METHODS {
        let failed = failed(|wrapper| wrapper.forgets.extend([method])).await;
        assert!(!failed.is_empty(), "nobody misses `{method}`");
    }
}

#[tokio::test]
async fn each_declared_capability_is_looked_at() {
    // A runtime with nothing but the required methods declares each.
    type Declare = fn(&mut RuntimeCapabilities);
    let lies: [(&str, Declare); 12] = [
        ("networks", |it| it.networks = true),
        ("events", |it| it.events = true),
        ("volumes", |it| it.volumes = true),
        ("exec", |it| it.exec = true),
        ("attach", |it| it.attach = true),
        ("usage", |it| it.usage = true),
        ("start_again", |it| it.start_again = true),
        ("unpause", |it| it.unpause = true),
        ("pull_policies", |it| (it.pull, it.pull_policies) = (true, true)),
        ("connect", |it| (it.networks, it.connect) = (true, true)),
        ("follow_logs", |it| it.follow_logs = true),
        ("host_ports", |it| it.host_ports = true),
    ];
    for (what, declare) in lies {
        let failed = failed(|wrapper| {
            wrapper.forgets = METHODS.into_iter().chain(["create_network", "networks", "remove_network"]).collect();
            wrapper.declares = RuntimeCapabilities::default();
            declare(&mut wrapper.declares);
        })
        .await;
        assert!(!failed.is_empty(), "nobody misses `{what}`");
    }
}

#[test]
fn what_is_left_out_is_known_by_name() {
    let stage = staged(|wrapper| wrapper.declares.volumes = false);
    assert_eq!(suite::left_out("events_wake", &stage), Some("events"));
    assert_eq!(suite::left_out("volumes_of_an_image_are_told", &stage), Some("volumes"));
    assert_eq!(suite::left_out("health_checks_decide_health", &stage), Some("checking"));
    assert_eq!(suite::left_out("stop_asks_first", &stage), None);
}
