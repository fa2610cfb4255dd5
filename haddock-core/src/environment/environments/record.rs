//! What an environment was last brought up from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Environments, UpOptions};
use crate::container::{Container, ContainerState, Incarnation, label};
use crate::environment::launch::networks_of;
use crate::environment::{Component, Difference, EnvironmentSpec, Target, differences, with_needs};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};

/// What is written down of an environment when it is brought up. Names and digests only: values are in the store of
/// specifications.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Record {
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
    /// The containers that were found ready, each in that life of its.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) ready: BTreeSet<Incarnation>,
    /// Links that were switched since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) links: BTreeMap<ComponentName, Target>,
    /// Components whose containers were given other links while they ran, so that they are no longer what their labels
    /// say that they were made from.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) live: BTreeSet<ComponentName>,
}

impl Record {
    pub(super) fn options(&self) -> UpOptions {
        UpOptions {
            only: self.only.clone(),
            images: self.images.clone(),
            by: self.by.clone(),
            commit: self.commit.clone(),
            file: self.file.clone(),
            ..UpOptions::default()
        }
    }
}

/// What an environment was made from: to become a version of a service, or another environment like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedOut {
    /// What it was made from, as its file says: not as it is in production.
    pub spec: EnvironmentSpec,
    /// The images of its versioned components, by the ids that the runtime gave them; none where it does not tell.
    pub images: BTreeMap<ComponentName, String>,
    /// From which VCS commit.
    pub commit: Option<String>,
    /// From which compose file.
    pub file: Option<String>,
}

impl Environments {
    /// What runs under that name, if it is what it was last brought up from.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, [`ContainerExited`](ErrorKind::ContainerExited) if a
    /// component of it does not run, [`Busy`](ErrorKind::Busy) if it is not as its last `up` wanted it.
    pub async fn tried_out(&self, name: &EnvironmentName) -> Result<TriedOut> {
        let environment = self.get(name).await?;
        let (record, spec) = self.known(name)?;
        let mut images = BTreeMap::new();
        for component in spec.versioned() {
            let container = environment.components.get(&component).filter(|container| container.is_running());
            let container = container.ok_or_else(|| {
                let message = format!("component `{component}` of environment `{name}` does not run");
                Error::new(ErrorKind::ContainerExited, message).with_hint("bring all of it up, and try it out, first")
            })?;
            if !self.is_from(&spec, &component, container) {
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
        Ok(TriedOut { spec: EnvironmentSpec::clone(&spec), images, commit: record.commit, file: record.file })
    }

    /// Whether the container was made from that part of the specification, wherever its links lead now; yes, where the
    /// runtime does not say.
    fn is_from(&self, spec: &EnvironmentSpec, component: &ComponentName, container: &Container) -> bool {
        if container.image.is_empty() {
            return true;
        }
        let record = self.record(container_name(container).as_ref()).ok().flatten().unwrap_or_default();
        let linked = with_links(spec, &record.links);
        let made_from = container.labels.get(label::SPEC);
        [spec, &linked].iter().any(|spec| made_from == Some(&self.specs.fingerprint(spec, component, &container.image)))
    }

    /// What is written down of an environment, and the specification.
    pub(super) fn known(&self, name: &EnvironmentName) -> Result<(Record, Arc<EnvironmentSpec>)> {
        let forgotten = || {
            Error::new(ErrorKind::NotFound, format!("it is not known what environment `{name}` was brought up from"))
                .with_hint("bring it up once more: `haddock up`")
        };
        let record = self.record(Some(name))?.ok_or_else(forgotten)?;
        let spec = self.specs.get(&record.spec)?.ok_or_else(forgotten)?;
        Ok((record, spec))
    }

    pub(super) fn record(&self, name: Option<&EnvironmentName>) -> Result<Option<Record>> {
        let Some(name) = name else { return Ok(None) };
        let text = self.specs.note(&note(name))?;
        // What cannot be read is as if it had not been written: the next `up` writes it anew.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    pub(super) fn put_record(&self, name: &EnvironmentName, record: &Record) -> Result<()> {
        if self.record(Some(name))?.as_ref() == Some(record) {
            return Ok(());
        }
        let text = serde_json::to_vec(record).expect("plain data can be written as JSON");
        self.specs.put_note(&note(name), text)
    }
}

/// Under which name it is written down.
pub(super) fn note(name: &EnvironmentName) -> String {
    format!("{name}.up")
}

impl Environments {
    /// Where the links of each component lead, by alias: a component, or what takes its place.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it is not known what the environment was brought up from.
    pub fn links(&self, name: &EnvironmentName) -> Result<BTreeMap<ComponentName, BTreeMap<String, String>>> {
        let (record, spec) = self.known(name)?;
        let spec = with_links(&spec, &record.links);
        let leads =
            |other: &ComponentName| spec.targets.get(other).map_or_else(|| other.to_string(), Target::to_string);
        let of = |component: &Component| {
            let named = component.depends_on.keys().map(|other| (other.to_string(), leads(other)));
            let links = component.links.iter().map(|link| (link.alias.to_string(), leads(&link.component)));
            // A link says more than that there is one.
            let linked: BTreeSet<&ComponentName> = component.links.iter().map(|link| &link.component).collect();
            named.filter(|(other, _)| !linked.iter().any(|it| it.as_str() == other)).chain(links).collect()
        };
        Ok(spec.components.iter().map(|(name, component)| (name.clone(), of(component))).collect())
    }

    /// How what runs differs from what this specification says: its parts that are another than those it was last brought
    /// up from, and containers that are not as they were made.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such environment, or it is not known what it was brought up from.
    pub async fn diff(&self, name: &EnvironmentName, spec: &EnvironmentSpec) -> Result<Vec<Difference>> {
        let environment = self.get(name).await?;
        let (record, known) = self.known(name)?;
        let now = with_links(&known, &record.links);
        let mut found = differences(&now, spec);
        let wanted = with_needs(&known, &record.only);
        for component in &wanted {
            let path = format!("live.{component}");
            let tell = |key: &str, was: String, is: String| Difference {
                path: format!("{path}.{key}"),
                was: Some(was),
                is: Some(is),
            };
            let Some(container) = environment.components.get(component) else {
                found.push(tell("container", "there".to_owned(), "gone".to_owned()));
                continue;
            };
            let is_done = matches!(container.state, ContainerState::Exited { code: 0, .. });
            if !container.is_running() && !(is_done && now.components[component].expose.is_empty()) {
                found.push(tell("state", "running".to_owned(), format!("{:?}", container.state).to_lowercase()));
            }
            if record.live.contains(component) || !self.is_from(&now, component, container) {
                found.push(tell("made from", "what its file says".to_owned(), "something else".to_owned()));
            }
            let made = networks_of(name.as_str(), &now, &now.components[component]);
            let joined: BTreeSet<&str> = container.networks.iter().map(String::as_str).collect();
            let left: Vec<&String> = made.iter().filter(|network| !joined.contains(network.as_str())).collect();
            if let (Some(network), true) = (left.first(), container.is_running()) {
                found.push(tell("networks", format!("on `{network}`"), "not on it".to_owned()));
            }
        }
        Ok(found)
    }
}

/// The specification with these links leading elsewhere.
pub(super) fn with_links(spec: &EnvironmentSpec, links: &BTreeMap<ComponentName, Target>) -> EnvironmentSpec {
    let mut spec = spec.clone();
    spec.targets.extend(links.clone());
    spec
}

fn container_name(container: &Container) -> Option<EnvironmentName> {
    container.labels.get(label::NAME).and_then(|name| EnvironmentName::new(name).ok())
}
