//! Environments: what a compose file describes, and how it is launched.

pub mod compose;
#[cfg(feature = "controller")]
pub mod launch;
#[cfg(feature = "controller")]
pub mod probe;
mod settings;
mod spec;
#[cfg(feature = "controller")]
pub mod store;

pub use settings::{Drain, Entry, Queue, Readiness, ReleaseSettings, ServiceSettings, Stage};
pub use spec::{Component, DependencyCondition, EnvironmentSpec, Link};
