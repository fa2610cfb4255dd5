//! Rebuilds a lost journal from what can still be seen: the labels of containers, and the tables that locators have in
//! force.
//!
//! What cannot be seen is lost: the history, who asked for what, and the release that was in progress. Its candidate is
//! drained. What can be seen is taken on the safe side: no instance is stopped that a locator has not closed, and none
//! that has drained gets a share before it was listed anew.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::request::{Adoption, NewVersion};
use super::state::{
    AskedTable, Attempt, Draining, External, Instance, Launched, Life, Phase, PhaseName, Retiring, Routing, Server,
    ServiceState, Starting, Verdict, Version,
};
use crate::container::{Container, label};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, JournalId, LocatorName, RequestId, ServiceName, VersionId};
use crate::routing::{FencingToken, InstanceFigures, LocatorReport, Route, Share};
use crate::time::Timestamp;

/// What can still be seen of a service whose journal is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    /// Every container with the journal's label.
    pub containers: Vec<Container>,
    /// The reports of the service's locators, of all of them.
    pub locators: BTreeMap<LocatorName, LocatorReport>,
    /// What each specification describes, and its images by digest. The key is the digest that the labels name.
    pub specifications: BTreeMap<String, (NewVersion, BTreeMap<ComponentName, String>)>,
    /// The adopted server, if there is one that was not drained yet. It has no container by which it could be found.
    pub adopted: Option<Adoption>,
    /// Whether everything that a locator lists and that has no container is known to be gone.
    pub rest_is_gone: bool,
}

/// This many instance numbers are skipped after a recovery. Something that was being launched when the journal was lost
/// may show up later, and no number may be given out twice. A service launches fewer than a hundred instances at a
/// time.
const SKIPPED_INSTANCE_NUMBERS: u64 = 100;

/// The state of the service as far as it can be seen, and the event that says so. Its number is `E.0`: the epoch is
/// above every epoch that was given out, as far as this is known.
///
/// The version with the most new sessions becomes the known good one. Earlier versions count as settled. Later ones
/// were being released, and drain. An instance that no locator lists is launched anew, and this takes over what exists
/// of it.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if neither a container nor a locator knows the service, or if a specification is
/// missing; the error names its digest. [`NothingToDo`](ErrorKind::NothingToDo) if a locator routes to instances of
/// another journal, or to one that has no containers and that nobody has explained.
pub fn recover(
    service: &ServiceName,
    journal: &JournalId,
    remains: &Remains,
    now: Timestamp,
) -> Result<(ServiceState, Vec<Event>)> {
    let recovery = Recovery { service, journal, remains, now };
    let found = recovery.containers();
    let listed = recovery.listed()?;
    let external = recovery.external(&found, &listed)?;
    if found.is_empty() && recovery.known().next().is_none() {
        let message = format!("nothing is left of service `{service}` that carries the id of journal `{journal}`");
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("is it the journal's id that the labels name?"));
    }

    let mut state = ServiceState::new(service.clone(), journal.clone());
    state.now = now;
    state.number = FencingToken { epoch: recovery.newest_epoch() + 1, revision: 0 };
    let ids = found.keys().chain(recovery.known());
    state.next_instance = ids.filter_map(|id| id.number(journal)).max().unwrap_or(0) + SKIPPED_INSTANCE_NUMBERS;

    let mut groups = recovery.by_specification(&found)?;
    if let Some(id) = external {
        groups.push((String::new(), vec![id.clone()]));
    }
    groups.sort_by_key(|(_, ids)| ids.iter().filter_map(|id| id.number(journal)).min());
    for (number, (digest, ids)) in (1..).zip(groups) {
        let version = VersionId(number);
        state.versions.insert(version, recovery.version(&digest)?);
        for id in ids {
            let containers = found.get(&id).map(Vec::as_slice).unwrap_or_default();
            let instance = recovery.instance(&id, version, &state.versions[&version], containers);
            state.instances.insert(id, instance);
        }
    }
    recovery.take_up_table(&mut state);
    let known_good = recovery.known_good(&state);
    for (id, version) in &mut state.versions {
        version.verdict = if Some(*id) <= known_good { Verdict::Settled } else { Verdict::Aborted };
    }
    state.known_good = known_good;
    let instances = state.instances.iter().map(|(id, instance)| (id.clone(), instance.version)).collect();
    Ok((state, vec![Event::Recovered { known_good, instances }]))
}

/// What is left of one service, and when it was looked at.
struct Recovery<'a> {
    service: &'a ServiceName,
    journal: &'a JournalId,
    remains: &'a Remains,
    now: Timestamp,
}

type Found<'a> = BTreeMap<InstanceId, Vec<&'a Container>>;

impl<'a> Recovery<'a> {
    /// The containers of each instance of the service.
    fn containers(&self) -> Found<'a> {
        let mut found = Found::new();
        for container in self.remains.containers.iter().filter(|container| container.belongs_to(self.journal)) {
            if let Some(id) = container.instance().filter(|id| id.is_of(self.journal, self.service)) {
                found.entry(id).or_default().push(container);
            }
        }
        found
    }

    fn reports(&self) -> impl Iterator<Item = &'a LocatorReport> {
        self.remains.locators.values()
    }

    /// What each locator says about an instance. If a locator has never heard of it, the figures are empty.
    fn figures(&self, id: &InstanceId) -> Vec<InstanceFigures> {
        self.reports().map(|report| report.instances.get(id).cloned().unwrap_or_default()).collect()
    }

    /// The instances that a locator lists and has not closed. All of them must belong to this journal.
    fn listed(&self) -> Result<BTreeSet<InstanceId>> {
        let mut listed = BTreeSet::new();
        for (locator, report) in &self.remains.locators {
            let open = report.instances.iter().filter(|(_, figures)| figures.share.is_some() && !figures.closed);
            for (id, _) in open {
                if !id.is_of(self.journal, self.service) {
                    let message = format!("locator `{locator}` routes to `{id}`, which is not of `{}`", self.journal);
                    return Err(Error::new(ErrorKind::NothingToDo, message).with_hint(
                        "the end of the instance's id is the beginning of its journal's id: recover that journal",
                    ));
                }
                listed.insert(id.clone());
            }
        }
        Ok(listed)
    }

    /// The instances that locators know, including closed ones.
    fn known(&self) -> impl Iterator<Item = &'a InstanceId> {
        let all = self.reports().flat_map(|report| report.instances.keys());
        all.filter(|id| id.is_of(self.journal, self.service))
    }

    /// The adopted server among the listed instances without containers. If there are others, they are not forgotten
    /// unless the caller says that they are gone.
    fn external<'l>(&self, found: &Found<'_>, listed: &'l BTreeSet<InstanceId>) -> Result<Option<&'l InstanceId>> {
        let of_use = |figures: &InstanceFigures| {
            !figures.closed && (figures.share.is_some_and(|share| !share.is_zero()) || !figures.is_empty())
        };
        let mut without: Vec<&InstanceId> = listed.iter().filter(|id| !found.contains_key(*id)).collect();
        without.sort_by_key(|id| id.number(self.journal));
        match (&self.remains.adopted, self.remains.rest_is_gone) {
            (Some(_), rest_is_gone) => match without[..] {
                [] => Err(Error::new(ErrorKind::NotFound, "no locator routes to an adopted server any more")),
                // A server is adopted before there is anything else.
                [only] => Ok(Some(only)),
                [first, ..] if rest_is_gone => Ok(Some(first)),
                [first, other, ..] => {
                    let message = format!("locators route to `{other}`, of which there is no container");
                    Err(Error::new(ErrorKind::NothingToDo, message)
                        .with_hint(format!("if `{first}` is the adopted server, say that the rest is gone")))
                }
            },
            (None, true) => Ok(None),
            (None, false) => match without.into_iter().find(|id| self.figures(id).iter().any(of_use)) {
                None => Ok(None),
                Some(id) => {
                    let message = format!("locators route to `{id}`, of which there is no container");
                    Err(Error::new(ErrorKind::NothingToDo, message)
                        .with_hint("if it is an adopted server, say where it listens; else say that it is gone"))
                }
            },
        }
    }

    fn newest_epoch(&self) -> u64 {
        let ours = self.remains.containers.iter().filter(|container| container.belongs_to(self.journal));
        let labels = ours.map(Container::epoch);
        labels.chain(self.reports().map(|report| report.newest.epoch)).max().unwrap_or(0)
    }

    /// The instances by the digest that their labels name. An instance that is closed everywhere and whose
    /// specification is lost is left out. It is removed as a stray later.
    fn by_specification(&self, found: &Found<'_>) -> Result<Vec<(String, Vec<InstanceId>)>> {
        let mut groups: BTreeMap<String, Vec<InstanceId>> = BTreeMap::new();
        for (id, containers) in found {
            let digest = containers.iter().find_map(|container| container.labels.get(label::SPEC));
            let digest = digest.cloned().unwrap_or_default();
            if let Some((new, _)) = self.remains.specifications.get(&digest) {
                if new.spec != digest {
                    self.check_stand_in(id, containers, new)?;
                }
                groups.entry(digest).or_default().push(id.clone());
            } else if !self.is_closed_everywhere(id) {
                let message = format!("the specification `{digest}` of instance `{id}` is not in the spec store");
                return Err(Error::new(ErrorKind::NotFound, message)
                    .with_hint("restore the spec store, or give the compose file that the version was released from"));
            }
        }
        Ok(groups.into_iter().collect())
    }

    /// A specification that replaces a lost one has to have the same components. Otherwise a component that it does not
    /// have would be taken for one that was removed.
    fn check_stand_in(&self, id: &InstanceId, containers: &[&Container], new: &NewVersion) -> Result<()> {
        let there: BTreeSet<ComponentName> = containers.iter().filter_map(|container| container.component()).collect();
        let lacks = new.images.keys().find(|component| !there.contains(*component));
        let other = there.iter().find(|component| !new.images.contains_key(*component));
        let Some(component) = lacks.or(other) else { return Ok(()) };
        let message =
            format!("instance `{id}` was made from another file: only one of them has component `{component}`");
        Err(Error::new(ErrorKind::NotFound, message).with_hint("give the compose file that it was released from"))
    }

    fn is_closed_everywhere(&self, id: &InstanceId) -> bool {
        let figures = self.figures(id);
        !figures.is_empty() && figures.iter().all(|figures| figures.closed)
    }

    fn version(&self, digest: &str) -> Result<Version> {
        let request = RequestId::new("recovered")?;
        let (verdict, replacing) = (Verdict::Open, Attempt::default());
        if let Some((new, pins)) = self.remains.specifications.get(digest) {
            let (new, pins) = (new.clone(), Some(pins.clone()));
            return Ok(Version {
                request,
                new,
                pins,
                verdict,
                replacing,
                external: false,
                prepared: true,
                harm: None,
                begun: Timestamp::default(),
                left: false,
                again: None,
            });
        }
        let adopted = self.remains.adopted.as_ref().expect("only the adopted server has no specification");
        let (new, pins) = (adopted.version(), Some(BTreeMap::new()));
        let begun = Timestamp::default();
        let (external, prepared, left, again) = (true, true, false, None);
        Ok(Version { request, new, pins, verdict, replacing, external, prepared, harm: None, begun, left, again })
    }

    fn instance(&self, id: &InstanceId, of: VersionId, version: &Version, containers: &[&Container]) -> Instance {
        let figures = self.figures(id);
        let has_share = figures.iter().any(|it| !it.closed && it.share.is_some_and(|share| !share.is_zero()));
        let everywhere = figures.iter().all(|figures| figures.share.is_some());
        let newest = self.reports().map(|report| report.newest).max();
        let routing = Routing {
            // A table may have named it, so it is closed before it is stopped.
            named: Some(newest.unwrap_or_default()),
            listed: self.reports().filter_map(|report| report.table).min().filter(|_| everywhere),
            // An instance with a share is not being closed. For the others nobody knows.
            close_asked: newest.filter(|_| !has_share),
            close: Attempt::default(),
            closed_somewhere: figures.iter().any(|figures| figures.closed),
        };
        let phase = self.phase(id, version, containers);
        Instance { version: of, since: self.now, phase, routing }
    }

    fn phase(&self, id: &InstanceId, version: &Version, containers: &[&Container]) -> Phase {
        let figures = self.figures(id);
        let has_share = figures.iter().any(|it| !it.closed && it.share.is_some_and(|share| !share.is_zero()));
        let somewhere = figures.iter().any(|figures| figures.share.is_some() || figures.closed);
        let server = match self.remains.adopted.as_ref().filter(|_| version.external) {
            Some(Adoption { address, cookie, .. }) => {
                Server::External(External { address: *address, cookie: cookie.clone(), sessions_until: None })
            }
            None => Server::Launched(Self::launched(version, containers)),
        };
        match server {
            server if self.is_closed_everywhere(id) => {
                Phase::Retiring(Retiring { address: server.address(), failure: None, stop: Attempt::default() })
            }
            server if has_share => Phase::Serving(Life::new(server)),
            // If a draining adopted server is closed, the next step lets go of it.
            server if somewhere || version.external => Phase::Draining(Draining::new(Life::new(server))),
            // An instance that is launched anew is seen ready first. Its incarnations are noted then.
            _ => Phase::Starting(Starting::Launch {
                ready_by: self.now + version.new.settings.ready.within,
                attempt: Attempt::default(),
            }),
        }
    }

    fn launched(version: &Version, containers: &[&Container]) -> Launched {
        let entry = &version.new.settings.entry;
        let mut launched = Launched::default();
        for container in containers.iter().filter(|container| container.is_active()) {
            let Some(component) = container.component() else { continue };
            if component == entry.component {
                launched.address = container.addresses.get(&entry.port).copied();
            }
            launched.incarnations.insert(component, container.incarnation());
        }
        launched
    }

    /// Takes the newest table of a locator for the one that was asked for last. It is asked for again under a number
    /// that no locator has, because it may name instances that are no longer known.
    fn take_up_table(&self, state: &mut ServiceState) {
        let Some(newest) = self.reports().max_by_key(|report| report.table) else { return };
        if newest.table.is_none() {
            return;
        }
        let mut routes = BTreeMap::new();
        for (id, figures) in &newest.instances {
            let instance = state.instances.get(id).filter(|instance| !instance.routing.closed_somewhere);
            let address = instance.and_then(Instance::address);
            if let (Some(address), Some(share)) = (address, figures.share) {
                routes.insert(id.clone(), Route::new(address, share));
            }
        }
        let number = state.number;
        state.asked = Some(AskedTable { number, routes, session: None, in_force: false, sending: Attempt::default() });
    }

    /// The version with the largest share in force, whether its instances live or not; of equal ones, the earlier. If
    /// none has a share, the newest version that is not being stopped.
    fn known_good(&self, state: &ServiceState) -> Option<VersionId> {
        let mut shares: BTreeMap<VersionId, u32> = BTreeMap::new();
        for (id, figures) in self.reports().max_by_key(|report| report.table).iter().flat_map(|it| &it.instances) {
            let points = figures.share.map_or(0, Share::as_basis_points);
            if let Some(instance) = state.instances.get(id).filter(|_| points > 0) {
                *shares.entry(instance.version).or_default() += points;
            }
        }
        let most = shares.into_iter().max_by_key(|(version, points)| (*points, std::cmp::Reverse(*version)));
        let stays = |instance: &&Instance| !instance.is(PhaseName::Retiring);
        let newest = || state.instances.values().filter(stays).map(|instance| instance.version).max();
        most.map(|(version, _)| version).or_else(newest)
    }
}
