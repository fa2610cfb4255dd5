//! Environments: what a compose file describes, and how it is launched.

pub mod compose;
#[cfg(feature = "controller")]
pub mod environments;
#[cfg(feature = "controller")]
pub mod launch;
mod plan;
#[cfg(feature = "controller")]
pub mod probe;
mod settings;
mod spec;
#[cfg(feature = "controller")]
pub mod store;
pub mod value;

pub use plan::{Cause, Change, Plan, Planned, Wanted, with_needs};
pub use settings::{Drain, Entry, Queue, Readiness, ReleaseSettings, ServiceSettings, Stage};
pub use spec::{Component, DependencyCondition, EnvironmentSpec, Link};
