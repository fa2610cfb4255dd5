//! What a verb would do, in sentences for people. The step is run, and its decisions are put into sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{AbortReason, Event};
use super::forecast::Forecast;
use super::observation::Observation;
use super::request::{NewVersion, Request, Verb};
use super::state::{ServiceState, Version};
use super::step::{Step, step};
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::name::{LocatorName, RequestId, VersionId};
use crate::routing::LocatorCapabilities;
use crate::routing::Share;
use crate::settings::{AutoRamp, Hook, ReleaseSettings, ServiceSettings, Stage, StageGate};

/// The steps of a release of this version, one sentence each, in order, if all goes well. `state` is that of the
/// service, and `locators` are those that it goes through.
///
/// # Errors
/// Why it would be refused, such as [`NotSupported`](ErrorKind::NotSupported) if a locator cannot count sessions.
pub fn outline(
    state: &ServiceState,
    new: &NewVersion,
    locators: &BTreeMap<LocatorName, LocatorCapabilities>,
) -> Result<Vec<String>, Error> {
    let request = request(state, Verb::Release(Box::new(new.clone())))?;
    let mut outline = Outline::new(state, new, request.id.clone());
    for step in Forecast::new(state, locators).run(request) {
        outline.tell(&step)?;
    }
    outline.tell_drains();
    Ok(outline.sentences)
}

/// The steps of a retirement, one sentence each, in order.
///
/// # Errors
/// Why the service would not be retired: [`Busy`](ErrorKind::Busy) while a release goes on,
/// [`NothingToDo`](ErrorKind::NothingToDo) if there is nothing of it.
pub fn outline_retirement(
    state: &ServiceState,
    locators: &BTreeMap<LocatorName, LocatorCapabilities>,
) -> Result<Vec<String>, Error> {
    let service = &state.service;
    let mut sentences = Vec::new();
    let mut told = BTreeSet::new();
    for Step { events, .. } in Forecast::new(state, locators).run(request(state, Verb::Retire)?) {
        for event in &events {
            match event {
                Event::RequestRefused { error, .. } => return Err(error.clone()),
                Event::ServiceRetiring { .. } => {
                    sentences.push(format!("give no new sessions to `{service}`: whoever has none is turned away"));
                }
                Event::InstanceGone { instance, .. } | Event::ExternalReleased { instance, .. } => {
                    let version = state.instances.get(instance).map(|it| it.version);
                    if let Some(version) = version.filter(|version| told.insert(*version)) {
                        sentences.push(drain_of(version, &state.versions[&version]));
                    }
                }
                Event::ServiceRetired => {
                    sentences.push(format!("forget `{service}`: its name can be used again, and its history stays"))
                }
                _ => {}
            }
        }
    }
    Ok(sentences)
}

fn request(state: &ServiceState, verb: Verb) -> Result<Request, Error> {
    Ok(Request { id: RequestId::new("plan")?, at: state.now, by: "plan".to_owned(), verb, about: None })
}

/// A release, described step by step.
struct Outline<'a> {
    before: &'a ServiceState,
    new: &'a NewVersion,
    request: RequestId,
    /// Its version, once it has begun.
    version: Option<VersionId>,
    /// The versions that drain for it.
    drains: BTreeMap<VersionId, Version>,
    sentences: Vec<String>,
}

impl<'a> Outline<'a> {
    fn new(before: &'a ServiceState, new: &'a NewVersion, request: RequestId) -> Self {
        Self { before, new, request, version: None, drains: BTreeMap::new(), sentences: Vec::new() }
    }

    fn tell(&mut self, step: &Step) -> Result<(), Error> {
        for event in &step.events {
            match event {
                Event::RequestRefused { id, error } if *id == self.request => return Err(error.clone()),
                Event::ReleaseStarted { request, version, .. } if *request == self.request => {
                    self.version = Some(*version);
                }
                _ if self.version.is_none() => self.tell_before(event),
                _ if event.version().is_none_or(|version| Some(version) == self.version) => self.tell_of(step, event),
                _ => {}
            }
        }
        let started = step.events.iter().filter(|event| self.is_own_start(event)).count();
        if started > 0 {
            let instances = if started == 1 { "one instance".to_owned() } else { format!("{started} instances") };
            let ServiceSettings { entry, ready, .. } = &self.new.settings;
            let probe = match &ready.http {
                Some(path) => format!("`{path}` on port {} of `{}` answers", entry.port, entry.component),
                None => format!("port {} of `{}` takes connections", entry.port, entry.component),
            };
            let within = told(ready.within);
            self.sentences.push(format!("launch {instances}, and wait until {probe}, for at most {within}"));
        }
        Ok(())
    }

    fn is_own_start(&self, event: &Event) -> bool {
        matches!(event, Event::InstanceStarting { version, .. } if Some(*version) == self.version)
    }

    /// What happens before the release begins.
    fn tell_before(&mut self, event: &Event) {
        let present = self.before.release.as_ref().map_or(0, |release| release.version.0);
        match event {
            Event::ReleaseQueued { id } if *id == self.request => {
                self.sentences.push(format!("wait until the release of version {present} is over"));
            }
            Event::ReleaseAborting { version, reason: AbortReason::Superseded } => {
                self.sentences.push(format!("abort the release of version {}, which this one supersedes", version.0));
            }
            Event::ReleaseSkipped { .. } => {
                self.sentences.push("drop the release that waits: this one takes its place".to_owned());
            }
            _ => {}
        }
    }

    /// What happens in the release.
    fn tell_of(&mut self, step: &Step, event: &Event) {
        let release = &self.new.settings.release;
        match event {
            Event::ImagesPinned { .. } if self.new.pins.is_empty() => {
                let pulled = self.new.images.iter().map(|(name, image)| format!("pull `{image}` for `{name}`"));
                self.sentences.extend(pulled);
            }
            Event::ReleaseWaits { error, .. } => self.sentences.push(format!("wait: {}", error.message())),
            Event::BeforeStarted { component, .. } => {
                let within = release.before.as_ref().map(|before| told(before.within)).unwrap_or_default();
                let sentence = format!("run `{component}`, and wait until it has ended well, for at most {within}");
                self.sentences.push(sentence);
            }
            Event::StageReached { stage, share, .. } if *share != Share::FULL => {
                self.sentences.push(stage_of(release, *stage, *share));
            }
            Event::StageReached { .. } => {
                let settle = told(release.settle);
                let sentences = match step.state.known_good {
                    None => vec![
                        "give it all new sessions at once: nothing else serves".to_owned(),
                        format!("hold that for {settle}; then it has settled"),
                    ],
                    Some(_) => {
                        vec![format!("give it all new sessions, and hold that for {settle}; then it has settled")]
                    }
                };
                self.sentences.extend(sentences);
            }
            Event::HookRan { instance, hook: Hook::Serving, .. } => {
                let own = step.state.instances.get(instance).filter(|it| Some(it.version) == self.version);
                let sentence = "run its `serving` hook";
                if own.is_some() && !self.sentences.iter().any(|told| told == sentence) {
                    self.sentences.push(sentence.to_owned());
                }
            }
            Event::InstanceDraining { instance, .. } => {
                let version = step.state.instances.get(instance).map(|it| it.version);
                if let Some(version) = version.filter(|version| Some(*version) != self.version) {
                    self.drains.insert(version, step.state.versions[&version].clone());
                }
            }
            _ => {}
        }
    }

    /// What drains goes on doing so after the release has ended.
    fn tell_drains(&mut self) {
        let drains = std::mem::take(&mut self.drains);
        self.sentences.extend(drains.iter().map(|(id, version)| drain_of(*id, version)));
    }
}

fn stage_of(release: &ReleaseSettings, stage: usize, share: Share) -> String {
    if let Some(AutoRamp { harm_budget }) = release.auto {
        return format!(
            "give it {share} of the new sessions, and more as it proves good: so many that at most {harm_budget} could fail until the next look"
        );
    }
    let Stage { every, after, gate, .. } = release.ramp[stage];
    let time = (!every.is_zero()).then(|| format!("for {}", told(every)));
    let sessions = match after {
        0 => None,
        1 => Some("until one session has begun on it".to_owned()),
        after => Some(format!("until {after} sessions have begun on it")),
    };
    let gate = match gate {
        StageGate::Open => None,
        StageGate::Hold => Some("until somebody says `advance`".to_owned()),
        StageGate::Asked { every } => Some(format!("until its gate says go, which is asked every {}", told(every))),
    };
    let ends: Vec<String> = [time, sessions, gate].into_iter().flatten().collect();
    let ends = if ends.is_empty() { String::new() } else { format!(", {}", ends.join(", and ")) };
    format!("give it {share} of the new sessions{ends}")
}

fn drain_of(id: VersionId, version: &Version) -> String {
    let end = if version.external { "let go of it" } else { "remove it" };
    let evict_after = version.new.settings.release.drain.evict_after;
    let until = evict_after.map(|after| format!(", or after {}", told(after))).unwrap_or_default();
    format!("let version {} keep the sessions that it has, and {end} when the last has expired{until}", id.0)
}

/// The steps of what a verb would do, one sentence each, in order. The step is run, and its decisions are described.
/// For [`Verb::Rollback`], and for verbs that steer a release.
///
/// # Errors
/// Why it would be refused, such as [`NothingToDo`](ErrorKind::NothingToDo).
pub fn outline_verb(state: &ServiceState, verb: &Verb) -> Result<Vec<String>, Error> {
    let seen = Observation { requests: vec![request(state, verb.clone())?], ..Observation::default() };
    let Step { state: after, events, .. } = step(state, &seen, state.now);
    let mut steps = Vec::new();
    let share = |version: VersionId| state.asked_share_of(version);
    let (service, good) = (&state.service, state.known_good.map(|good| good.0));
    for event in &events {
        match event {
            Event::RequestRefused { error, .. } => return Err(error.clone()),
            Event::ReleaseStarted { version, rollback: true, .. } => {
                let to = after.versions.get(version).and_then(|version| version.again).unwrap_or(*version).0;
                let from = good.map(|good| format!(" from version {good}")).unwrap_or_default();
                steps.push(format!("go back{from} of `{service}` to what version {to} was"));
            }
            Event::ReleaseAborting { version, .. } => {
                let (version, share) = (version.0, share(*version));
                steps.push(format!(
                    "abort the release of version {version} of `{service}`, and give its share of {share} back"
                ));
            }
            Event::RetirementAborted { .. } => {
                let by = state.retiring.as_ref().map(|it| it.by.as_str()).unwrap_or_default();
                steps.push(format!("let `{service}` serve again, which `{by}` retires"));
            }
            _ => {}
        }
    }
    if let Some(release) = state.release.as_ref().filter(|_| steps.is_empty()) {
        let (version, share) = (release.version.0, share(release.version));
        let release = format!("{} the release of version {version} of `{service}`", verb.name());
        steps.push(match verb {
            Verb::Pause => format!("{release}: hold it at {share} of the new sessions"),
            Verb::Resume => format!("{release}, which is at {share} of the new sessions"),
            _ => format!("{release}: end this stage, or its settling, at once"),
        });
    }
    Ok(steps)
}

/// A duration as the compose file has it.
fn told(duration: Duration) -> String {
    let rounded = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    jiff::SignedDuration::try_from(rounded).map_or_else(|_| format!("{} s", rounded.as_secs()), |it| format!("{it:#}"))
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
