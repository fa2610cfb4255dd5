//! A lost journal, rebuilt from what can still be seen: the labels of containers, and what locators have in force.
//!
//! What cannot be seen is lost: history, who asked for what, and the release that was in progress, whose candidate is
//! drained. What can be is taken on the safe side: nothing is stopped that a locator has not closed, and nothing that
//! has drained gets a share before it was listed anew.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::request::{Adoption, NewVersion};
use super::state::{AskedTable, Attempt, External, Instance, Phase, ServiceState, Verdict, Version};
use crate::container::{Container, label};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, JournalId, LocatorName, RequestId, ServiceName, VersionId};
use crate::routing::{InstanceFigures, LocatorReport, Number, Route, Share};
use crate::time::Timestamp;

/// What can still be seen of a service whose journal is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    /// Every container with the journal's label.
    pub containers: Vec<Container>,
    /// What each locator of the service says: all of them.
    pub locators: BTreeMap<LocatorName, LocatorReport>,
    /// What each specification describes, by the digest that the labels name, and its images by digest.
    pub specifications: BTreeMap<String, (NewVersion, BTreeMap<ComponentName, String>)>,
    /// The adopted server, if one was not drained yet: it has no container to be known by.
    pub adopted: Option<Adoption>,
    /// Whether what a locator lists and has no container is known to be gone.
    pub rest_is_gone: bool,
}

/// So many ids may have been given out that nobody can see: what is being launched when the journal is lost may show later,
/// and no id is given out twice.
const UNSEEN: u64 = 100;

/// The state that the service is in for all that can be seen, and the event that says so. Its number is `E.0`, with an
/// epoch that is above every one that was ever given out as far as anybody knows.
///
/// The version with the most new sessions is the known good one; earlier ones settled once; later ones were being
/// released, and drain. An instance that no locator lists is launched anew, which takes over what is there.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if neither a container nor a locator knows the service, or a specification is missing, naming its digest;
/// [`NothingToDo`](ErrorKind::NothingToDo) if a locator routes to instances of another journal, or to one without
/// containers of which nobody has said what it is.
pub fn recover(
    service: &ServiceName,
    journal: &JournalId,
    remains: &Remains,
    now: Timestamp,
) -> Result<(ServiceState, Vec<Event>)> {
    let ruins = Ruins { service, journal, remains, now };
    let found = ruins.containers();
    let listed = ruins.listed()?;
    let external = ruins.external(&found, &listed)?;
    if found.is_empty() && ruins.known().next().is_none() {
        let message = format!("nothing is left of service `{service}` that carries the id of journal `{journal}`");
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("is it the journal's id that the labels name?"));
    }

    let mut state = ServiceState::new(service.clone(), journal.clone());
    state.now = now;
    state.number = Number { epoch: ruins.newest_epoch() + 1, revision: 0 };
    let ids = found.keys().chain(ruins.known());
    state.next_instance = ids.filter_map(|id| id.number(journal)).max().unwrap_or(0) + UNSEEN;

    let mut groups = ruins.by_specification(&found)?;
    if let Some(id) = external {
        groups.push((String::new(), vec![id.clone()]));
    }
    groups.sort_by_key(|(_, ids)| ids.iter().filter_map(|id| id.number(journal)).min());
    for (number, (digest, ids)) in (1..).zip(groups) {
        let version = VersionId(number);
        state.versions.insert(version, ruins.version(&digest)?);
        for id in ids {
            let containers = found.get(&id).map(Vec::as_slice).unwrap_or_default();
            let instance = ruins.instance(&id, version, &state.versions[&version], containers);
            state.instances.insert(id, instance);
        }
    }
    ruins.take_up_table(&mut state);
    let known_good = ruins.known_good(&state);
    for (id, version) in &mut state.versions {
        version.verdict = if Some(*id) <= known_good { Verdict::Settled } else { Verdict::Aborted };
    }
    state.known_good = known_good;
    let instances = state.instances.iter().map(|(id, instance)| (id.clone(), instance.version)).collect();
    Ok((state, vec![Event::Recovered { known_good, instances }]))
}

struct Ruins<'a> {
    service: &'a ServiceName,
    journal: &'a JournalId,
    remains: &'a Remains,
    now: Timestamp,
}

type Found<'a> = BTreeMap<InstanceId, Vec<&'a Container>>;

impl<'a> Ruins<'a> {
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

    /// What each locator says of an instance; of one that it has never heard of, that it is empty.
    fn figures(&self, id: &InstanceId) -> Vec<InstanceFigures> {
        self.reports().map(|report| report.instances.get(id).cloned().unwrap_or_default()).collect()
    }

    /// The instances that some locator lists, and has not closed. All have to be this journal's.
    fn listed(&self) -> Result<BTreeSet<InstanceId>> {
        let mut listed = BTreeSet::new();
        for (locator, report) in &self.remains.locators {
            let open = report.instances.iter().filter(|(_, figures)| figures.share.is_some() && !figures.closed);
            for (id, _) in open {
                if !id.is_of(self.journal, self.service) {
                    let message = format!("locator `{locator}` routes to `{id}`, which is not of `{}`", self.journal);
                    return Err(Error::new(ErrorKind::NothingToDo, message)
                        .with_hint("recover the journal whose id begins as the instance's id ends"));
                }
                listed.insert(id.clone());
            }
        }
        Ok(listed)
    }

    /// The instances that locators know of, closed ones among them.
    fn known(&self) -> impl Iterator<Item = &'a InstanceId> {
        let all = self.reports().flat_map(|report| report.instances.keys());
        all.filter(|id| id.is_of(self.journal, self.service))
    }

    /// The adopted server among what is listed and has no containers. What else may be there is not forgotten unasked.
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

    /// The instances by the digest that their labels name. One that is closed everywhere and whose specification is
    /// lost is left out: it is removed as a stray.
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

    /// A specification that stands for one that is lost has to have the same components: one that is missing would be
    /// taken for one that was removed.
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
                again: None,
            });
        }
        let adopted = self.remains.adopted.as_ref().expect("only the adopted server has no specification");
        let (new, pins) = (adopted.version(), Some(BTreeMap::new()));
        Ok(Version { request, new, pins, verdict, replacing, external: true, prepared: true, again: None })
    }

    fn instance(&self, id: &InstanceId, of: VersionId, version: &Version, containers: &[&Container]) -> Instance {
        let figures = self.figures(id);
        let has_share = figures.iter().any(|it| !it.closed && it.share.is_some_and(|share| !share.is_zero()));
        let somewhere = figures.iter().any(|figures| figures.share.is_some() || figures.closed);
        let everywhere = figures.iter().all(|figures| figures.share.is_some());
        let phase = match () {
            () if self.is_closed_everywhere(id) => Phase::Retiring,
            () if has_share => Phase::Serving,
            () if somewhere || version.external => Phase::Draining,
            () => Phase::Starting,
        };
        let mut lives = BTreeMap::new();
        let mut address = self.remains.adopted.as_ref().filter(|_| version.external).map(|adopted| adopted.address);
        let entry = &version.new.settings.entry;
        for container in containers.iter().filter(|container| container.is_active()) {
            let Some(component) = container.component() else { continue };
            if component == entry.component {
                address = container.addresses.get(&entry.port).copied();
            }
            lives.insert(component, container.incarnation());
        }
        // What is launched anew is seen ready first: its lives are taken down then.
        if phase == Phase::Starting {
            (lives, address) = (BTreeMap::new(), None);
        }
        let newest = self.reports().map(|report| report.newest).max();
        Instance {
            version: of,
            phase,
            since: self.now,
            ready_by: self.now + version.new.settings.ready.within,
            launch: Attempt::default(),
            lives,
            address,
            // Some table may have named it: it is closed before it is stopped.
            named: Some(newest.unwrap_or_default()),
            listed: self.reports().filter_map(|report| report.table).min().filter(|_| everywhere),
            // What has a share is being closed by nobody; of the rest nobody knows.
            close_asked: newest.filter(|_| !has_share),
            close: Attempt::default(),
            closed_somewhere: figures.iter().any(|figures| figures.closed),
            empty_look: None,
            drain: None,
            unresponsive_since: None,
            failure: None,
            dead: false,
            stop: Attempt::default(),
            external: version.external.then(|| External {
                cookie: self.remains.adopted.as_ref().and_then(|adopted| adopted.cookie.clone()),
                sessions_until: None,
            }),
            hook: None,
        }
    }

    /// The newest table that a locator has is what was asked for last, as far as anybody knows. It is asked for anew, by a
    /// number that no locator has: it may name what is not known any more.
    fn take_up_table(&self, state: &mut ServiceState) {
        let Some(newest) = self.reports().max_by_key(|report| report.table) else { return };
        if newest.table.is_none() {
            return;
        }
        let mut routes = BTreeMap::new();
        for (id, figures) in &newest.instances {
            let instance = state.instances.get(id).filter(|instance| !instance.closed_somewhere);
            let address = instance.and_then(|instance| instance.address);
            if let (Some(address), Some(share)) = (address, figures.share) {
                routes.insert(id.clone(), Route::new(address, share));
            }
        }
        let number = state.number;
        state.asked = Some(AskedTable { number, routes, in_force: false, sending: Attempt::default() });
    }

    /// The version with the largest share in force, dead or alive, the earlier of equals; if none has one, the newest that
    /// is not on its way out.
    fn known_good(&self, state: &ServiceState) -> Option<VersionId> {
        let mut shares: BTreeMap<VersionId, u32> = BTreeMap::new();
        for (id, figures) in self.reports().max_by_key(|report| report.table).iter().flat_map(|it| &it.instances) {
            let points = figures.share.map_or(0, Share::as_basis_points);
            if let Some(instance) = state.instances.get(id).filter(|_| points > 0) {
                *shares.entry(instance.version).or_default() += points;
            }
        }
        let most = shares.into_iter().max_by_key(|(version, points)| (*points, std::cmp::Reverse(*version)));
        let stays = |instance: &&Instance| instance.phase != Phase::Retiring;
        let newest = || state.instances.values().filter(stays).map(|instance| instance.version).max();
        most.map(|(version, _)| version).or_else(newest)
    }
}
