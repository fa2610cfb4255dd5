//! A forecast of what will happen if all goes well: the step is run in a world in which every action succeeds at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::action::Action;
use super::observation::{Counted, GateAnswer, LocatorView, Observation, Probed, Reading, TaskReport, TaskResult};
use super::request::{NewVersion, Request, Verb};
use super::service_loop::ServiceLoop;
use super::state::ServiceState;
use super::step::Step;
use crate::container::{Container, ContainerId, ContainerSpec, ContainerState, Identity, Incarnation};
use crate::name::{ComponentName, InstanceId, LocatorName};
use crate::routing::LocatorCapabilities;
use crate::routing::{FencingToken, InstanceFigures, LocatorReport, Route};
use crate::settings::{ReleaseSettings, StageGate};
use crate::time::Timestamp;

/// The time between two steps if none asks to be woken earlier.
const PACE: Duration = Duration::from_secs(1);
/// The forecast ends after this many steps, wherever it is. A release with a ramp of ten stages takes less than a
/// hundred.
const MAX_STEPS: usize = 5_000;

/// A service in a world in which images are there, containers start, probes pass, and nobody has a session.
pub(super) struct Forecast {
    turns: ServiceLoop,
    now: Timestamp,
    capabilities: BTreeMap<LocatorName, LocatorCapabilities>,
    containers: BTreeMap<InstanceId, Vec<Container>>,
    /// Adopted servers. They also answer.
    external: BTreeSet<InstanceId>,
    table: Option<(FencingToken, BTreeMap<InstanceId, Route>)>,
    closed: BTreeSet<InstanceId>,
}

impl Forecast {
    /// Begins with the service as it is.
    pub(super) fn new(state: &ServiceState, capabilities: &BTreeMap<LocatorName, LocatorCapabilities>) -> Self {
        let mut all_well = state.clone();
        all_well.versions.values_mut().for_each(|version| wait_for_nobody(&mut version.new.settings.release));
        let mut forecast = Self {
            turns: ServiceLoop::new(all_well, state.number.epoch.max(1)),
            now: state.now,
            capabilities: capabilities.clone(),
            containers: BTreeMap::new(),
            external: BTreeSet::new(),
            table: state.asked.as_ref().map(|asked| (asked.number, asked.routes.clone())),
            closed: BTreeSet::new(),
        };
        for (id, instance) in &state.instances {
            if instance.is_external() {
                forecast.external.insert(id.clone());
            } else if !instance.incarnations().is_empty() {
                let new = &state.versions[&instance.version].new;
                let container = |name| container(state, id, new, name, instance.incarnations().get(name));
                let containers = new.images.keys().map(container).collect();
                forecast.containers.insert(id.clone(), containers);
            }
            if instance.routing.closed_somewhere {
                forecast.closed.insert(id.clone());
            }
        }
        forecast
    }

    /// The steps from this request on, until nothing more is to be done. The first of them takes it up.
    pub(super) fn run(mut self, mut request: Request) -> Vec<Step> {
        if let Verb::Release(new) = &mut request.verb {
            wait_for_nobody(&mut new.settings.release);
        }
        let mut steps = Vec::new();
        let mut requests = vec![request];
        while steps.len() < MAX_STEPS {
            let seen = Observation { requests: std::mem::take(&mut requests), ..self.look() };
            let step = self.turns.step(seen, self.now);
            let is_over = !step.must_commit() && step.wake_at.is_none();
            let next = step.wake_at.filter(|_| step.actions.is_empty());
            steps.push(step.clone());
            if is_over {
                break;
            }
            if step.must_commit() {
                for action in self.turns.committed(step) {
                    self.carry_out(&action);
                }
            }
            self.now = next.unwrap_or_default().max(self.now + PACE);
        }
        steps
    }

    fn look(&self) -> Observation {
        let report = self.report();
        let view = |capabilities: &LocatorCapabilities| LocatorView {
            capabilities: *capabilities,
            report: Reading::Known { began: self.now, value: report.clone() },
        };
        let state = self.turns.state();
        let launched = self.containers.iter().filter_map(|(id, containers)| {
            let entry = &state.versions.get(&state.instances.get(id)?.version)?.new.settings.entry.component;
            let container = containers.iter().find(|container| container.is_of(entry))?;
            Some((id.clone(), Probed { incarnation: Some(container.incarnation()), failure: None }))
        });
        let external = self.external.iter().map(|id| (id.clone(), Probed { incarnation: None, failure: None }));
        Observation {
            containers: Reading::Known {
                began: self.now,
                value: self.containers.values().flatten().cloned().collect(),
            },
            probes: launched.chain(external).collect(),
            counts: state.instances.keys().map(|id| (id.clone(), self.count())).collect(),
            locators: self.capabilities.iter().map(|(name, it)| (name.clone(), view(it))).collect(),
            ..Observation::default()
        }
    }

    /// What each application says: it has no session.
    fn count(&self) -> Counted {
        Counted { began: self.now, sessions: Ok(0) }
    }

    /// What each locator says: the table is in force, and nobody has a session.
    fn report(&self) -> LocatorReport {
        let listed = self.table.iter().flat_map(|(_, routes)| routes);
        let empty = InstanceFigures::default();
        let mut instances: BTreeMap<InstanceId, InstanceFigures> = listed
            .map(|(id, route)| (id.clone(), InstanceFigures { share: Some(route.share), ..empty.clone() }))
            .collect();
        for id in &self.closed {
            instances.entry(id.clone()).or_insert_with(|| empty.clone()).closed = true;
        }
        let number = self.table.as_ref().map(|(number, _)| *number);
        LocatorReport {
            newest: number.unwrap_or_default(),
            table: number,
            instances,
            ..LocatorReport::new(1, Timestamp::default())
        }
    }

    fn carry_out(&mut self, action: &Action) {
        let Some(run) = self.turns.begin(action) else { return };
        let state = self.turns.state();
        let mut result = TaskResult::Done;
        match action {
            // The real digests are known only after the pull. These differ from those of every version that serves
            // already.
            Action::Pull { version } => {
                let images = state.versions[version].new.images.clone();
                result = TaskResult::Pulled(
                    images.into_iter().map(|(name, image)| (name, format!("new {image}"))).collect(),
                );
            }
            Action::Launch { instance, .. } => {
                let new = &state.versions[&state.instances[instance].version].new;
                let started = run.number;
                let made = new.images.keys().map(|name| {
                    let id = ContainerId(format!("forecast-{started}-{name}"));
                    container(state, instance, new, name, Some(&Incarnation { container: id, started }))
                });
                self.containers.insert(instance.clone(), made.collect());
            }
            Action::Apply { table, .. } => self.table = Some((table.number, table.routes.clone())),
            Action::Close { instance, .. } | Action::Evict { instance, .. } => {
                self.closed.insert(instance.clone());
            }
            Action::Stop { instance } | Action::RemoveStray { instance } => {
                self.containers.remove(instance);
            }
            Action::Before { .. } | Action::Hook { .. } => result = TaskResult::Said(Vec::new()),
            Action::Gate { .. } => result = TaskResult::Answered(GateAnswer::Go, Vec::new()),
            Action::Notify { .. } => {}
        }
        let ended = TaskReport::Ended { began: self.now, at: self.now, result: Ok(result) };
        self.turns.ended(&action.task(), run.number, ended);
    }
}

/// In a world in which all goes well, sessions come, their evidence is clean, and somebody opens each gate.
fn wait_for_nobody(release: &mut ReleaseSettings) {
    release.auto = None;
    for stage in &mut release.ramp {
        (stage.after, stage.gate) = (0, StageGate::Open);
    }
}

/// A container of an instance, in this incarnation. A component without one has ended, or is not known to run.
fn container(
    state: &ServiceState,
    instance: &InstanceId,
    new: &NewVersion,
    component: &ComponentName,
    incarnation: Option<&Incarnation>,
) -> Container {
    let name = format!("{instance}-{component}");
    let id = incarnation.map_or_else(|| ContainerId(name.clone()), |incarnation| incarnation.container.clone());
    let identity = Identity::environment(&state.journal, instance).component(component);
    let port = new.settings.entry.port;
    // The address of an instance that runs already does not matter here: its route keeps the address of the state.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Container {
        state: match new.one_shots.contains(component) {
            true => ContainerState::Exited { code: 0, out_of_memory: false },
            false => ContainerState::Running,
        },
        started: incarnation.map_or(0, |incarnation| incarnation.started),
        addresses: BTreeMap::from([(port, address)]),
        ..Container::created(id, &ContainerSpec { name, identity, ..ContainerSpec::default() })
    }
}
