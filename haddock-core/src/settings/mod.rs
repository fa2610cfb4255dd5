//! What the compose file's `x-haddock` says about the service.

mod count;
mod gate;
mod guard;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::{ComponentName, ServiceName};
use crate::routing::{SessionPolicy, Share, millis};

pub use count::CountSettings;
pub use gate::StageGate;
pub use guard::GuardSettings;

/// The settings of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSettings {
    /// The service's name.
    pub service: ServiceName,
    /// The component that takes the traffic.
    pub entry: Entry,
    /// When an instance counts as ready.
    pub ready: Readiness,
    /// How sessions are known and when they expire.
    pub session: SessionPolicy,
    /// How a release goes.
    pub release: ReleaseSettings,
    /// How many receivers are notified; they themselves are in
    /// [`EnvironmentSpec::notify`](crate::environment::EnvironmentSpec::notify).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub notify: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ServiceSettings {
    /// The settings of a server that is adopted before there is a compose file. They are the defaults; it is ready once
    /// it takes a TCP connection, within 30 s.
    #[must_use]
    pub fn external(service: ServiceName, address: SocketAddr) -> Self {
        let component = ComponentName::new("external").expect("a plain name");
        Self {
            service,
            entry: Entry { component, port: address.port() },
            // It runs already: it answers now, or the address is wrong.
            ready: Readiness { within: Duration::from_secs(30), ..Readiness::default() },
            session: SessionPolicy::default(),
            release: ReleaseSettings::default(),
            notify: 0,
        }
    }

    /// What instances are made from: these settings without the rules that a release goes by, without what counts as
    /// failed and as slow, and without what decides where a session goes. Two versions that differ in nothing else are
    /// the same to their instances.
    pub(crate) fn without_rules(&self) -> Self {
        let ReleaseSettings {
            replicas,
            before,
            hooks,
            ramp: _,
            auto: _,
            guard: _,
            settle: _,
            drain: _,
            count: _,
            queue: _,
            max_versions: _,
            unresponsive_for: _,
        } = self.release.clone();
        let SessionPolicy { failed, slow, draining_header, by, .. } = SessionPolicy::default();
        Self {
            session: SessionPolicy { failed, slow, draining_header, by, ..self.session.clone() },
            release: ReleaseSettings { replicas, before, hooks, ..ReleaseSettings::default() },
            ..self.clone()
        }
    }
}

/// The component and port that take the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The component.
    pub component: ComponentName,
    /// Its port, inside.
    pub port: u16,
}

/// When an instance counts as ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The path that has to answer 2xx or 3xx; `None`: the entry's port takes a TCP connection.
    pub http: Option<String>,
    /// The host that the probe asks for, if the application answers for no other. `None`: the first host under which
    /// the gateway serves the service, or the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How long it may take from the start.
    #[serde(with = "millis")]
    pub within: Duration,
}

impl Default for Readiness {
    /// A TCP connection within 2 minutes.
    fn default() -> Self {
        Self { http: None, host: None, within: Duration::from_secs(120) }
    }
}

/// How a release goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSettings {
    /// Instances of each version, at least 1.
    pub replicas: u32,
    /// The stages of the ramp; at least one, growing, the last 100 %. With [`auto`](Self::auto) there are two: the first share
    /// of the candidate, and 100 %.
    pub ramp: Vec<Stage>,
    /// The share of the first stage follows the evidence. `None`: it is as the ramp says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<AutoRamp>,
    /// How a candidate is judged.
    #[serde(default, skip_serializing_if = "GuardSettings::is_default")]
    pub guard: GuardSettings,
    /// How long the full share is held before the release has settled.
    #[serde(with = "millis")]
    pub settle: Duration,
    /// How old instances end.
    pub drain: Drain,
    /// What the application says of its sessions before a drained instance is removed. `None`: it is not asked, and the
    /// locators' figures decide alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<CountSettings>,
    /// What a newer request does while a release goes on.
    pub queue: Queue,
    /// Versions that may run at once, at least 2. If there are that many, a release waits.
    pub max_versions: u32,
    /// How long an instance may be unresponsive before it counts as failed.
    #[serde(with = "millis")]
    pub unresponsive_for: Duration,
    /// What runs before the first instance of a version is launched, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// The moments at which a command runs within an instance. The commands are in
    /// [`EnvironmentSpec::hooks`](crate::environment::EnvironmentSpec::hooks).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hooks: BTreeSet<Hook>,
}

impl Default for ReleaseSettings {
    /// One replica; a ramp of 10 %, 50 % and 100 %, ten minutes each; settled after ten minutes; no deadline for
    /// drains; the newest release waits; four versions.
    fn default() -> Self {
        let every = Duration::from_secs(600);
        Self {
            replicas: 1,
            ramp: [10, 50, 100].map(|percent| Stage::new(Share::percent(percent), every)).to_vec(),
            auto: None,
            guard: GuardSettings::default(),
            settle: every,
            drain: Drain::default(),
            count: None,
            queue: Queue::Newest,
            max_versions: 4,
            unresponsive_for: Duration::from_secs(300),
            before: None,
            hooks: BTreeSet::new(),
        }
    }
}

/// A stage of the ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The candidate's part of the new sessions.
    pub share: Share,
    /// How long it is held once it is in force. For the last stage, `settle` counts in its place.
    // As states and specifications have it.
    #[serde(rename = "hold", with = "millis")]
    pub every: Duration,
    /// It also lasts until this many sessions have begun on the candidate since its release. 0: it does not wait for any.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub after: u64,
    /// It also lasts until this gate is open.
    #[serde(default, skip_serializing_if = "StageGate::is_open")]
    pub gate: StageGate,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none_of_them(sessions: &u64) -> bool {
    *sessions == 0
}

impl Stage {
    /// A stage that lasts this long, and waits for nothing else.
    #[must_use]
    pub const fn new(share: Share, every: Duration) -> Self {
        Self { share, every, after: 0, gate: StageGate::Open }
    }
}

/// A ramp whose share follows the evidence: small while little is known, fast when all is clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoRamp {
    /// How many sessions may be harmed until the next look, in the worst case that the evidence allows.
    pub harm_budget: u32,
}

impl Default for AutoRamp {
    /// 10 sessions.
    fn default() -> Self {
        Self { harm_budget: 10 }
    }
}

/// How old instances end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drain {
    /// This long after the begin of the drain, sessions that are left are evicted; `None`: never.
    pub evict_after: Option<Duration>,
}

/// What a newer request does while a release goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Queue {
    /// It waits until the release has ended. If several wait, the newest is next, and the others are skipped.
    #[default]
    Newest,
    /// The release is aborted, its version drains, and the newer one begins.
    Supersede,
}

/// A component that does its work and ends before a version is launched, such as a migration of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The component.
    pub component: ComponentName,
    /// How long it may take.
    #[serde(with = "millis")]
    pub within: Duration,
}

impl Before {
    /// How long it may take by default.
    pub const DEFAULT_WITHIN: Duration = Duration::from_secs(3600);
}

/// A moment at which a command may run within an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Hook {
    /// The instance gets new sessions from now on.
    Serving,
    /// The instance gets no new sessions any more. Its sessions go on.
    Draining,
}

impl Hook {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}
