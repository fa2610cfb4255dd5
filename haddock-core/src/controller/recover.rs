//! Recovers from the loss of a journal.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::{LOCATOR_LIMIT, limited};
use super::service::Service;
use crate::container::{PullWhen, Selector, label};
use crate::environment::EnvironmentSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Commit;
use crate::name::{ComponentName, JournalId, ServiceName};
use crate::release::{Adoption, NewVersion, Remains, ServiceState, recover};
use crate::runtime::ContainerRuntime;

/// What the caller knows about a lost journal and cannot be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoverOptions {
    /// The specification of the instances whose own is not in the spec store, resolved with the tag that they run. It
    /// is used for each that is missing.
    pub spec: Option<EnvironmentSpec>,
    /// The server that was adopted, if it has not drained yet.
    pub adopted: Option<Adoption>,
    /// Whether instances that a locator lists, and that have no container, are known to be gone.
    pub rest_is_gone: bool,
}

/// A journal that some container is labelled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundJournal {
    /// Its id.
    pub id: JournalId,
    /// The services that it has instances of.
    pub services: BTreeSet<ServiceName>,
    /// How many containers carry its id.
    pub containers: usize,
}

/// The journals that containers on the host are labelled with. One of them is the lost one: create an empty journal
/// with its id, and [recover](Service::recover) each service.
///
/// # Errors
/// The runtime's.
pub async fn find_journals(runtime: &dyn ContainerRuntime) -> Result<Vec<FoundJournal>> {
    let mut found: BTreeMap<JournalId, FoundJournal> = BTreeMap::new();
    for container in runtime.list(&Selector::default()).await? {
        let id = container.labels.get(label::JOURNAL).and_then(|id| JournalId::new(id).ok());
        let Some(id) = id else { continue };
        let new = || FoundJournal { id: id.clone(), services: BTreeSet::new(), containers: 0 };
        let one = found.entry(id.clone()).or_insert_with(new);
        one.containers += 1;
        one.services.extend(container.instance().and_then(|instance| instance.service(&id)));
    }
    Ok(found.into_values().collect())
}

impl Service {
    /// Rebuilds the state of the service in an empty journal that has the id of the lost one. It is read from the
    /// labels of containers, the spec store, and the tables in force at the locators. Nobody may act meanwhile. Nothing
    /// is started or stopped: whoever acts next goes on from there.
    ///
    /// The history is lost. So is a release that was in progress: its version drains.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if the journal knows the service already, or a locator routes to an
    /// instance that nothing is known about; [`NotFound`](ErrorKind::NotFound) if nothing is left of the service, or a
    /// specification is missing; [`Busy`](ErrorKind::Busy) while somebody acts; the errors of the runtime and of
    /// the locators, all of which have to answer.
    pub async fn recover(&self, options: RecoverOptions) -> Result<ServiceState> {
        let ports = &self.ports;
        if ports.journal.load(&self.name).await?.is_some() {
            let message = format!("the journal knows service `{}`, which is not lost", self.name);
            return Err(Error::new(ErrorKind::NothingToDo, message));
        }
        let _putting = ports.specs.putting().await?;
        let mut remains = Remains {
            containers: ports.runtime.list(&Selector::journal(ports.journal.id())).await?,
            adopted: options.adopted,
            rest_is_gone: options.rest_is_gone,
            ..Remains::default()
        };
        for (name, locator) in &ports.locators {
            let report = limited(LOCATOR_LIMIT, locator.observe(&self.name)).await?;
            remains.locators.insert(name.clone(), report);
        }
        for digest in self.digests(&remains) {
            if let Some(known) = self.specification(&digest, options.spec.as_ref()).await? {
                remains.specifications.insert(digest, known);
            }
        }
        let (mut state, events) = recover(&self.name, ports.journal.id(), &remains, ports.clock.now())?;
        // The new epoch is above every one that was seen, so what was decided before is refused.
        ports.journal.raise_epoch(&self.name, state.number.epoch).await?;
        let lease = ports.journal.acquire(&self.name, &ports.holder, ports.lease, ports.clock.now()).await?;
        state.number.epoch = lease.epoch;
        state.number.revision = 1;
        let commit = Commit { state: state.clone(), events, taken: Vec::new() };
        let committed = match ports.journal.load(&self.name).await {
            Ok(None) => ports.journal.commit(&lease, &commit).await,
            Ok(Some(_)) => Err(Error::new(ErrorKind::Busy, "somebody else has just recovered it")),
            Err(error) => Err(error),
        };
        ports.journal.give_back(&lease).await?;
        committed?;
        ports.commits.send_modify(|commits| *commits += 1);
        Ok(state)
    }

    /// The digests of the specifications that the labels of our instances name.
    fn digests(&self, remains: &Remains) -> BTreeSet<String> {
        let journal = self.ports.journal.id();
        let ours = remains.containers.iter().filter(|container| {
            container.belongs_to(journal) && container.instance().is_some_and(|id| id.is_of(journal, &self.name))
        });
        ours.filter_map(|container| container.labels.get(label::SPEC).cloned()).collect()
    }

    /// The specification of this digest, with the digests of its images on the host.
    async fn specification(
        &self,
        digest: &str,
        other: Option<&EnvironmentSpec>,
    ) -> Result<Option<(NewVersion, BTreeMap<ComponentName, String>)>> {
        let kept = self.ports.specs.get(digest)?;
        let Some(spec) = kept.as_deref().or(other) else { return Ok(None) };
        let new = self.new_version(spec, None)?;
        let mut pins = BTreeMap::new();
        for (name, component) in spec.components.iter().filter(|(_, component)| component.versioned) {
            let mut how = component.pull_options(PullWhen::Missing);
            if how.when != PullWhen::Never {
                // The containers were made from the host's images. A registry may have newer ones by now.
                how.when = PullWhen::Missing;
            }
            pins.insert(name.clone(), self.ports.runtime.pull_with(&component.image, &how).await?);
        }
        Ok(Some((new, pins)))
    }
}
