//! Requests: what can be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::outlook::{Followed, Outlook};
use crate::name::{ComponentName, EnvironmentName, RequestId, VersionId};
use crate::settings::ServiceSettings;
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
    /// The release that it is about, named by the request that asked for that release. If it is over, nothing is done.
    /// `None`: the release that is in progress.
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
    /// During a release: abort it. After it: go back to the version that was good before, unless the service has gone
    /// back already.
    Rollback,
    /// Go back to this version, which was released before.
    RollbackTo(VersionId),
    /// End the release and give its share back. If the service is being retired: let it serve again.
    Abort,
    /// Hold the ramp where it is.
    Pause,
    /// Go on with the ramp.
    Resume,
    /// End this stage, or the settling, at once.
    Advance,
    /// Retire the service: its instances drain, and when the last one is gone the service is forgotten.
    Retire,
    /// Remember, and tell, what comes next by itself. It changes nothing else.
    Follow(Box<Outlook>),
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
            Self::Follow(_) => "follow",
            Self::Unreadable { name, .. } => name,
        }
    }
}

/// The version that a release is to put out. It holds no value of an environment variable. These are in the spec store,
/// under the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVersion {
    /// The digest under which the spec store holds the environment.
    pub spec: String,
    /// The digest of what its instances are made from: two versions with the same one differ at most in the rules that their
    /// releases go by. `None`: an older Haddock has asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_digest: Option<String>,
    /// The settings of the service as the compose file had them.
    pub settings: ServiceSettings,
    /// The image of each versioned component, as it was named.
    pub images: BTreeMap<ComponentName, String>,
    /// Components that others wait for, and that end by themselves with exit code 0.
    #[serde(default)]
    pub one_shots: BTreeSet<ComponentName>,
    /// The VCS commit that it was made from, if known.
    #[serde(default)]
    pub commit: Option<String>,
    /// The ids of its images, if they are fixed already. If not, the images are pulled by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<ComponentName, String>,
    /// The digest of the environment as its file says, if it differs in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_spec: Option<String>,
    /// The test environment that it was promoted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<EnvironmentName>,
    /// The tag that it was released from by itself. `None`: somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Followed>,
    /// Whether it is released even if it is what serves already.
    #[serde(default)]
    pub force: bool,
}

impl NewVersion {
    /// A version of the specification with this digest, with these images. It has no one-shots, no known commit and no pins.
    /// Set what differs, and leave the rest to `..NewVersion::new(spec, settings, images)`.
    #[must_use]
    pub fn new(spec: String, settings: ServiceSettings, images: BTreeMap<ComponentName, String>) -> Self {
        Self {
            spec,
            instance_digest: None,
            settings,
            images,
            one_shots: BTreeSet::new(),
            commit: None,
            pins: BTreeMap::new(),
            file_spec: None,
            promoted: None,
            followed: None,
            force: false,
        }
    }

    /// Whether its instances are made from the same specification as those of another. What images their tags mean by now is
    /// not compared.
    pub(super) fn runs_like(&self, other: &Self) -> bool {
        self.spec == other.spec
            || self.instance_digest.as_ref().is_some_and(|digest| other.instance_digest.as_ref() == Some(digest))
    }

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
    /// The settings: when it counts as ready, when its sessions expire, how it drains. The entry is not used.
    pub settings: ServiceSettings,
    /// The name of the cookie by which it knows a session, such as `JSESSIONID`. `None`: a client with any cookie may
    /// have a session on it.
    #[serde(default)]
    pub cookie: Option<String>,
}

impl Adoption {
    /// The version that it is: without images, and with one instance.
    #[must_use]
    pub(super) fn version(&self) -> NewVersion {
        let mut settings = self.settings.clone();
        settings.release.replicas = 1;
        // It is not launched, and no specification says who is to be notified.
        (settings.release.before, settings.release.hooks, settings.notify) = (None, BTreeSet::new(), 0);
        NewVersion::new(String::new(), settings, BTreeMap::new())
    }
}
