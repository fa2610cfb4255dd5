//! What an environment was last brought up from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::role::Role;
use super::{Environment, Environments, UpOptions};
use crate::container::{Container, ContainerId, Incarnation, label};
use crate::environment::plan::{Change, Plan};
use crate::environment::{EnvironmentSpec, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};

/// What is written down of an environment when it is brought up. Names and digests only: values are in the store of
/// specifications.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// What it is for. Earlier versions did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Role>,
    /// Components of the file that were not wanted, and were left as they are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) aside: BTreeSet<ComponentName>,
    /// The digest of its specification.
    pub(super) spec: String,
    /// The digest of what its file says for its service, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) for_service: Option<String>,
    /// The components that were asked for; empty: all.
    pub(super) only: BTreeSet<ComponentName>,
    /// The images that were asked for in place of what the file names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) images: BTreeMap<ComponentName, String>,
    /// Who asked for it.
    pub(super) by: String,
    /// From which VCS commit.
    pub(super) commit: Option<String>,
    /// From which compose file.
    pub(super) file: Option<String>,
    /// The containers that were found ready and kept running, each with that life.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) ready: BTreeSet<Incarnation>,
    /// Links that were switched since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) links: BTreeMap<ComponentName, Target>,
    /// Components whose links were switched while they ran. So they are no longer what their labels say.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) live: BTreeSet<ComponentName>,
    /// For each component, a part of the names of its unnamed volumes, by which they differ from earlier ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) generations: BTreeMap<ComponentName, String>,
}

impl Record {
    /// The containers that ran when the last `up` had ended.
    pub(super) fn ran(&self) -> BTreeSet<ContainerId> {
        self.ready.iter().map(|life| life.container.clone()).collect()
    }

    /// The generations after this plan: each component has one. With `renew`, all that are made get new ones.
    pub(super) fn generations_for(&self, plan: &Plan, renew: bool) -> BTreeMap<ComponentName, String> {
        let mut generations = self.generations.clone();
        for planned in &plan.0 {
            let made = matches!(planned.change, Change::Create | Change::Replace);
            match planned.change {
                Change::Remove => _ = generations.remove(&planned.component),
                _ if made && renew => _ = generations.insert(planned.component.clone(), unique()),
                _ => _ = generations.entry(planned.component.clone()).or_insert_with(unique),
            }
        }
        generations
    }

    pub(super) fn options(&self) -> UpOptions {
        UpOptions {
            only: self.only.clone(),
            images: self.images.clone(),
            by: self.by.clone(),
            commit: self.commit.clone(),
            file: self.file.clone(),
            aside: self.aside.clone(),
            shared_by: match &self.role {
                Some(Role::SharedBy(service)) => Some(service.clone()),
                Some(Role::Ordinary) | None => None,
            },
            ..UpOptions::default()
        }
    }
}

/// What an environment was made from. It can become a version of a service, or another environment of the same kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestedEnvironment {
    /// What it was made from, as its file says. Settings for production are not applied.
    pub spec: EnvironmentSpec,
    /// The ids of the images of its versioned components. Empty if the runtime does not tell them.
    pub images: BTreeMap<ComponentName, String>,
    /// From which VCS commit.
    pub commit: Option<String>,
    /// From which compose file.
    pub file: Option<String>,
}

impl Environments {
    /// What the environment was last brought up from, if this is also what runs.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, [`ContainerExited`](ErrorKind::ContainerExited) if a
    /// component of it does not run, [`Busy`](ErrorKind::Busy) if it is not as its last `up` wanted it.
    pub async fn tested(&self, name: &EnvironmentName) -> Result<TestedEnvironment> {
        let environment = self.get(name).await?;
        let (record, spec) = self.known(name)?;
        let linked = with_links(&spec, &record.links);
        let mut images = BTreeMap::new();
        for component in spec.versioned() {
            let before = spec.before().is_some_and(|before| before.component == component);
            let container = environment.components.get(&component);
            let container =
                container.filter(|container| container.is_running() || (before && container.has_succeeded()));
            let container = container.ok_or_else(|| {
                let message = format!("component `{component}` of environment `{name}` does not run");
                Error::new(ErrorKind::ContainerExited, message).with_hint("bring all of it up, and try it out, first")
            })?;
            if !self.is_from(&spec, &component, container) && !self.is_from(&linked, &component, container) {
                let message = format!("component `{component}` of environment `{name}` is not what its file says");
                return Err(Error::new(ErrorKind::Busy, message).with_hint("bring the environment up again"));
            }
            images.insert(component, container.image.clone());
        }
        // Where the runtime does not say what a container was made from, images are taken by name.
        if images.values().any(String::is_empty) {
            images.clear();
        }
        let for_service = match &record.for_service {
            Some(digest) => self.specs.get(digest)?,
            None => None,
        };
        let spec = for_service.unwrap_or(spec);
        Ok(TestedEnvironment { spec: EnvironmentSpec::clone(&spec), images, commit: record.commit, file: record.file })
    }

    /// Whether the container was made from that part of the specification. If the runtime does not say, the answer is
    /// yes.
    pub(super) fn is_from(&self, spec: &EnvironmentSpec, component: &ComponentName, container: &Container) -> bool {
        container.image.is_empty()
            || container.labels.get(label::SPEC) == Some(&self.specs.fingerprint(spec, component, &container.image))
    }

    /// What is written down of an environment, and the specification.
    pub(super) fn known(&self, name: &EnvironmentName) -> Result<(Record, Arc<EnvironmentSpec>)> {
        let forgotten = || {
            Error::new(ErrorKind::NotFound, format!("it is not known what environment `{name}` was brought up from"))
                .with_hint("bring it up once more: `haddock up`")
        };
        let record = self.record(name)?.ok_or_else(forgotten)?;
        let spec = self.specs.get(&record.spec)?.ok_or_else(forgotten)?;
        Ok((record, spec))
    }

    /// The specifications that are written down of environments.
    pub(crate) fn specs_of_records(&self) -> Result<BTreeSet<String>> {
        let mut specs = BTreeSet::new();
        for name in self.specs.notes()?.iter().filter_map(|note| note.strip_suffix(".up")) {
            let Ok(name) = EnvironmentName::new(name) else { continue };
            let Some(record) = self.record(&name)? else { continue };
            specs.insert(record.spec);
            specs.extend(record.for_service);
        }
        Ok(specs)
    }

    /// An environment with what is written down about it. Without a record, labels say what earlier versions wrote
    /// there.
    pub(super) fn described(&self, name: EnvironmentName, containers: Vec<Container>) -> Result<Environment> {
        let labelled = |label: &str| containers.iter().find_map(|container| container.labels.get(label).cloned());
        let (by, commit, file) = match self.record(&name)? {
            Some(record) => (Some(record.by).filter(|by| !by.is_empty()), record.commit, record.file),
            None => (labelled(label::BY), labelled(label::COMMIT), labelled(label::FILE)),
        };
        let components = containers.into_iter().filter_map(|container| Some((container.component()?, container)));
        Ok(Environment { name, components: components.collect(), by, commit, file })
    }

    pub(super) fn record(&self, name: &EnvironmentName) -> Result<Option<Record>> {
        let text = self.specs.note(&note(name))?;
        // What cannot be read is as if it had not been written: the next `up` writes it anew.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Writes down what has changed since `before`.
    pub(super) fn put_record(&self, name: &EnvironmentName, before: &Record, record: &Record) -> Result<()> {
        if before == record {
            return Ok(());
        }
        let text = serde_json::to_vec(record).expect("plain data can be written as JSON");
        self.specs.put_note(&note(name), text)
    }
}

/// The name of the note with the record.
pub(super) fn note(name: &EnvironmentName) -> String {
    format!("{name}.up")
}

/// The specification with these links leading elsewhere.
pub(super) fn with_links(spec: &EnvironmentSpec, links: &BTreeMap<ComponentName, Target>) -> EnvironmentSpec {
    let mut spec = spec.clone();
    spec.targets.extend(links.clone());
    spec
}

/// A random text, so that leftover data is not taken for that of a new environment of the same name.
fn unique() -> String {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
