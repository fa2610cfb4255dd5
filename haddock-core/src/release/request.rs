//! What can be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::environment::ServiceSettings;
use crate::name::{ComponentName, EnvironmentName, RequestId, VersionId};
use crate::time::Timestamp;

/// Something a user wants of a service. The journal keeps it until a step has taken it up, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id: the same id submitted twice is one request.
    pub id: RequestId,
    /// When it was submitted.
    pub at: Timestamp,
    /// Who submitted it, such as `ci@build-7`.
    pub by: String,
    /// What is wanted.
    pub verb: Verb,
    /// The release that it is about, by the request that asked for it: if that is over, nothing is done. `None`: whichever
    /// is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<RequestId>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// Bring the service to a new version.
    Release(Box<NewVersion>),
    /// Take over a server that runs already, sessions included, as the first instance of the service. It is neither
    /// started nor stopped.
    Adopt(Box<Adoption>),
    /// During a release: abort it. After it: go back to the version that was good before, unless the service is back there
    /// already.
    Rollback,
    /// Go back to this version, which was put out before.
    RollbackTo(VersionId),
    /// End the release and give its share back; of a service that is being retired, let it serve again.
    Abort,
    /// Hold the ramp where it is.
    Pause,
    /// Go on with the ramp.
    Resume,
    /// Do not wait for the end of this stage, or of the settling.
    Advance,
    /// Take the service away: its instances drain, and when the last is gone it is forgotten.
    Retire,
    /// Something that this Haddock cannot read; see [`Request::read`]. It is refused, and nobody submits it.
    #[serde(skip)]
    Unreadable {
        /// What the request calls it.
        name: String,
        /// Why it cannot be read.
        why: String,
    },
}

impl Verb {
    /// The verb's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Release(_) => "release",
            Self::Adopt(_) => "adopt",
            Self::Rollback | Self::RollbackTo(_) => "rollback",
            Self::Abort => "abort",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Advance => "advance",
            Self::Retire => "retire",
            Self::Unreadable { name, .. } => name,
        }
    }
}

/// The version that a release is to put out. Holds no value of an environment variable: those are behind the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVersion {
    /// The digest under which the spec store holds the environment.
    pub spec: String,
    /// The settings of the service as the compose file had them.
    pub settings: ServiceSettings,
    /// The image of each versioned component, as it was named.
    pub images: BTreeMap<ComponentName, String>,
    /// Components that end by themselves with exit code 0, and others wait for.
    #[serde(default)]
    pub one_shots: BTreeSet<ComponentName>,
    /// The VCS commit that it was made from, if known.
    #[serde(default)]
    pub commit: Option<String>,
    /// The ids of its images, where it is known which they are to be; else they are pulled by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<ComponentName, String>,
    /// The digest of the environment as its file says, where production has it otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_spec: Option<String>,
    /// The environment in which it was tried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<EnvironmentName>,
    /// Whether it is put out even if it is what serves already.
    #[serde(default)]
    pub force: bool,
}

impl NewVersion {
    /// The digests under which the spec store holds what it is made from.
    pub fn specs(&self) -> impl Iterator<Item = &str> {
        [Some(&self.spec), self.file_spec.as_ref()].into_iter().flatten().map(String::as_str)
    }
}

/// A server that runs already and is to become an external instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// Where it listens, as locators and probes reach it.
    pub address: SocketAddr,
    /// When it counts as ready, when its sessions expire, how it drains. Of the entry nothing is used.
    pub settings: ServiceSettings,
    /// The name of the cookie by which it knows a session, such as `JSESSIONID`; `None`: whoever comes with any cookie
    /// may have a session on it.
    #[serde(default)]
    pub cookie: Option<String>,
}

impl Adoption {
    /// The version that it is: without images, and with one instance.
    #[must_use]
    pub(super) fn version(&self) -> NewVersion {
        let mut settings = self.settings.clone();
        settings.release.replicas = 1;
        // It is not launched, and there is no specification that would say whom to tell what.
        (settings.release.before, settings.release.hooks, settings.notify) = (None, BTreeSet::new(), 0);
        NewVersion {
            spec: String::new(),
            settings,
            images: BTreeMap::new(),
            one_shots: BTreeSet::new(),
            commit: None,
            pins: BTreeMap::new(),
            file_spec: None,
            promoted: None,
            force: false,
        }
    }
}
