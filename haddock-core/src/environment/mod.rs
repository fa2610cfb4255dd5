//! Environments: what a compose file describes, and how it is launched.

pub mod compose;
mod declared;
mod difference;
#[cfg(feature = "controller")]
pub mod environments;
mod hooks;
pub mod idle;
#[cfg(feature = "controller")]
pub mod launch;
#[cfg(feature = "controller")]
mod mask;
mod origin;
mod plan;
#[cfg(feature = "controller")]
pub mod probe;
mod production;
#[cfg(feature = "controller")]
mod replicas;
mod settings;
mod side_by_side;
mod spec;
#[cfg(feature = "controller")]
pub mod store;
mod target;
pub mod value;

pub use declared::{
    Build, DeclaredFile, DeclaredNetwork, DeclaredVolume, FileSource, FileUse, Ipam, IpamConfig, PullPolicy, PullWindow,
};
pub use difference::{Difference, differences};
pub use hooks::{HookCommand, Receiver};
pub use origin::Origin;
pub use plan::{Cause, Change, Plan, Planned, Wanted, with_needs};
pub use production::Production;
pub use settings::{Before, Drain, Entry, Hook, Queue, Readiness, ReleaseSettings, ServiceSettings, Stage};
pub use spec::{Component, DEFAULT_NETWORK, Dependency, DependencyCondition, EnvironmentSpec, Link, VolumesFrom};
pub use target::Target;
