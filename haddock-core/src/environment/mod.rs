//! Environments: what a compose file describes, and how it is launched.
//!
//! [`compose`] reads the file. What comes of it is an [`EnvironmentSpec`], with the [`ServiceSettings`] of `x-haddock`.
#![cfg_attr(
    feature = "controller",
    doc = "[`launch`] starts what a specification describes, [`environments`] are those with a name, and [`store`] keeps specifications."
)]
//! A [`Plan`] says what has to change, and [`idle`] when nobody uses an environment any more.

#[cfg(feature = "controller")]
mod by_http;
pub mod compose;
mod declared;
mod difference;
#[cfg(feature = "controller")]
pub mod environments;
mod follow;
mod freeze;
mod gates;
mod hooks;
pub mod idle;
#[cfg(feature = "controller")]
pub mod launch;
#[cfg(feature = "controller")]
mod mask;
mod origin;
mod plan;
mod production;
#[cfg(feature = "controller")]
mod replicas;
mod side_by_side;
mod spec;
#[cfg(feature = "controller")]
pub mod store;
mod target;

#[cfg(feature = "controller")]
pub use crate::runtime::probe;
pub use crate::settings::{
    AutoRamp, Before, CountSettings, Drain, Entry, GuardSettings, Hook, Queue, Readiness, ReleaseSettings,
    ServiceSettings, Stage, StageGate,
};
pub use crate::value;
#[cfg(feature = "controller")]
pub(crate) use by_http::check_http;
pub use declared::{
    Build, DeclaredFile, DeclaredNetwork, DeclaredVolume, FileSource, FileUse, Ipam, IpamConfig, Production,
    PullPolicy, PullWindow,
};
pub use difference::{Difference, differences};
pub use follow::{FollowSettings, TagPattern};
pub use freeze::Freeze;
pub(crate) use freeze::frozen_until;
pub use gates::{Asks, GateSpec};
pub use hooks::{HookCommand, Receiver};
pub use origin::Origin;
pub use plan::{Cause, Change, Plan, Planned, Wanted, with_needs};
pub use spec::{Component, DEFAULT_NETWORK, Dependency, DependencyCondition, EnvironmentSpec, Link, VolumesFrom};
pub use target::Target;
