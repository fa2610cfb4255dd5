//! What is rehearsed.

use std::time::Duration;

use super::fault::{Base, Faults};
use super::traffic::Traffic;
use crate::error::{Error, ErrorKind, Result};
use crate::release::NewVersion;
use crate::time::Timestamp;

/// What is rehearsed: releases, one after another, of a service that has been running for a while.
///
/// ```
/// use std::collections::BTreeMap;
/// use haddock_core::rehearsal::{Rehearsal, Stay, Traffic};
/// use haddock_core::release::NewVersion;
/// # use haddock_core::environment::{Entry, Readiness, ReleaseSettings, ServiceSettings};
/// # use haddock_core::{ComponentName, ServiceName};
/// # use haddock_core::routing::SessionPolicy;
///
/// # fn main() -> haddock_core::Result<()> {
/// # let app = ComponentName::new("app")?;
/// # let settings = ServiceSettings {
/// #     service: ServiceName::new("shop")?,
/// #     entry: Entry { component: app.clone(), port: 8080 },
/// #     ready: Readiness::default(),
/// #     session: SessionPolicy::default(),
/// #     release: ReleaseSettings::default(),
/// #     notify: 0,
/// # };
/// let version = NewVersion::new("digest".to_owned(), settings, BTreeMap::from([(app, "app:2".to_owned())]));
/// let rehearsal = Rehearsal::new(version, Traffic::steady(10.0, Stay::default())?);
/// let outcome = rehearsal.run(1)?;
/// assert!(outcome.releases[0].to_gone > outcome.releases[0].to_full_share);
/// assert_eq!(outcome, rehearsal.run(1)?, "the same seed, the same outcome");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rehearsal {
    /// What a release puts out: settings and components, as of the version that serves. Its images are named anew. Gates are
    /// open: nobody is there to say `advance`.
    pub version: NewVersion,
    /// Containers that all instances share.
    pub shared: u32,
    /// Who comes.
    pub traffic: Traffic,
    /// How the version behaves that serves before the first release.
    pub base: Base,
    /// The releases, in order.
    pub releases: Vec<PlannedRelease>,
    /// When it begins. Until then, the base has served for as long as nearly all sessions stay.
    pub begin: Timestamp,
    /// It goes on for at least this long. It ends when each release is over and only one version is left.
    pub at_least: Duration,
    /// It ends after this time, wherever the releases are.
    pub at_most: Duration,
    /// How long actions take.
    pub times: Times,
}

/// A release that is rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlannedRelease {
    /// How long after the begin it is asked for.
    pub after: Duration,
    /// What is wrong with its version.
    pub faults: Faults,
}

/// How long actions take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// To pull the images.
    pub pull: Duration,
    /// From the start of an instance until it is ready.
    pub start: Duration,
    /// To stop and remove an instance.
    pub stop: Duration,
    /// To tell the locator something.
    pub locator: Duration,
    /// What runs before a version.
    pub before: Duration,
    /// The time between two looks while a release goes on.
    pub look: Duration,
}

impl Default for Times {
    /// Ten seconds to pull, ten to start, one to stop, 20 ms for a call of the locator, ten seconds for what runs before; a
    /// look each second.
    fn default() -> Self {
        Self {
            pull: Duration::from_secs(10),
            start: Duration::from_secs(10),
            stop: Duration::from_secs(1),
            locator: Duration::from_millis(20),
            before: Duration::from_secs(10),
            look: Duration::from_secs(1),
        }
    }
}

/// Tuesday, 6 January 2026, 10 o'clock UTC: a working day, and always the same, so that a seed always says the same.
const BEGIN: Timestamp = Timestamp::from_millis(1_767_693_600_000);

impl Rehearsal {
    /// A release of a version without faults; three days at most.
    #[must_use]
    pub fn new(version: NewVersion, traffic: Traffic) -> Self {
        Self {
            version,
            shared: 0,
            traffic,
            base: Base::default(),
            releases: vec![PlannedRelease::default()],
            begin: BEGIN,
            at_least: Duration::ZERO,
            at_most: Duration::from_secs(3 * 86_400),
            times: Times::default(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |message: &str, hint: &str| Err(Error::new(ErrorKind::InvalidValue, message).with_hint(hint));
        if self.releases.is_empty() {
            return wrong("there is no release to rehearse", "plan at least one");
        }
        if !self.releases.is_sorted_by_key(|release| release.after) {
            return wrong("the releases are not in order", "sort them by `after`");
        }
        if self.times.look.is_zero() {
            return wrong("the time between two looks is zero", "a second is usual");
        }
        if self.begin.as_millis() < MAX_BEFORE.as_millis() as u64 {
            return wrong("the rehearsal begins before 1970-01-15", "let it begin later");
        }
        if !self.version.images.contains_key(&self.version.settings.entry.component) {
            return wrong("the entry is none of the version's components", "name its image");
        }
        Ok(())
    }

    /// How long before the begin people come, so that at the begin as many are there as usually.
    pub(super) fn traffic_before(&self) -> Duration {
        let stay = Duration::from_secs_f64((self.traffic.stay().long() / 1_000.0).min(MAX_BEFORE.as_secs_f64()));
        (self.version.settings.session.idle + stay).min(MAX_BEFORE)
    }

    /// The share of sessions that fail on the base, and of those that are slow there.
    pub(super) fn base_rates(&self) -> (f64, f64) {
        let errors = self.base.errors.map_or_else(|| self.traffic.failed(), |rate| rate.get());
        (errors, self.base.slow.map_or(0.0, |rate| rate.get()))
    }
}

/// Sessions that stay longer than this are not all there at the begin.
const MAX_BEFORE: Duration = Duration::from_secs(2 * 86_400);
