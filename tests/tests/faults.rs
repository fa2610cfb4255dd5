//! What goes wrong during a release does not reach the version that serves: under load no request fails on it and no
//! session of it is lost, the error says whose fault it was and what to do, and nothing is left behind.
#![allow(clippy::print_stdout, reason = "figures, for who reads the test's output")]

mod faults {
    pub(crate) mod candidate;
    pub(crate) mod engine;
    pub(crate) mod instances;
    pub(crate) mod journal;
    pub(crate) mod registries;
    pub(crate) mod scene;
}
