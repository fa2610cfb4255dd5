//! Compares what runs with what it was made from, and with what a file says.

use std::collections::{BTreeMap, BTreeSet};

use super::record::with_links;
use super::{Environment, Environments};
use crate::environment::launch::networks_of;
use crate::environment::plan::{has_left, is_done, joins};
use crate::environment::{Component, Difference, EnvironmentSpec, Target, differences, with_needs};
use crate::error::{ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};

impl Environments {
    /// Where the links of each component lead, by alias: a component, or what takes its place.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not known what the environment was brought up from.
    pub fn links(&self, name: &EnvironmentName) -> Result<BTreeMap<ComponentName, BTreeMap<String, String>>> {
        let (record, spec) = self.known(name)?;
        let spec = with_links(&spec, &record.links);
        let leads =
            |other: &ComponentName| spec.targets.get(other).map_or_else(|| other.to_string(), Target::to_string);
        let of = |component: &Component| {
            let named = component.depends_on.keys().map(|other| (other.to_string(), leads(other)));
            let links = component.links.iter().map(|link| (link.alias.to_string(), leads(&link.component)));
            // If a component is both linked to and depended upon, only the link is listed.
            let linked: BTreeSet<&ComponentName> = component.links.iter().map(|link| &link.component).collect();
            named.filter(|(other, _)| !linked.iter().any(|it| it.as_str() == other)).chain(links).collect()
        };
        Ok(spec.components.iter().map(|(name, component)| (name.clone(), of(component))).collect())
    }

    /// How what runs (`was`) differs from what this specification says (`is`): parts of the specification that are not
    /// as in the last `up`, and containers that are not as they were made.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such environment, or it is not known what it was brought up from.
    pub async fn diff(&self, name: &EnvironmentName, spec: &EnvironmentSpec) -> Result<Vec<Difference>> {
        let environment = match self.get(name).await {
            Err(error) if error.kind() == ErrorKind::NotFound => self.without_containers(name)?.ok_or(error)?,
            found => found?,
        };
        let (record, known) = self.known(name)?;
        let now = with_links(&known, &record.links);
        let mut found = differences(&now, &spec.expanded()?.spec);
        let wanted = with_needs(&known, &record.only);
        for component in &wanted {
            let path = format!("live.{component}");
            let tell = |key: &str, runs: &str, wanted: &str| Difference {
                path: format!("{path}.{key}"),
                was: Some(runs.to_owned()),
                is: Some(wanted.to_owned()),
            };
            let Some(container) = environment.components.get(component) else {
                found.push(tell("container", "gone", "there"));
                continue;
            };
            if !(container.is_running() || is_done(&now, &wanted, &record.ran(), component, container)) {
                found.push(tell("state", &container.state.to_string(), "running"));
            }
            if record.live.contains(component) || !self.is_from(&now, component, container) {
                found.push(tell("made from", "something else", "what its file says"));
            }
            let joined = joins(&now.components[component]);
            let of_former = environment.components.iter().find(|(other, it)| {
                joined.contains(other.as_str()) && container.is_running() && has_left(container, it)
            });
            if let Some((other, _)) = of_former {
                found.push(tell("namespace", &format!("that of a former `{other}`"), &format!("that of `{other}`")));
            }
            let made = networks_of(name.as_str(), &now, &now.components[component]);
            let on: BTreeSet<&str> = container.networks.iter().map(String::as_str).collect();
            let left = made.iter().find(|network| container.is_running() && !on.contains(network.as_str()));
            if let Some(network) = left {
                found.push(tell("networks", &format!("not on `{network}`"), "on it"));
            }
        }
        Ok(found)
    }

    /// The environment, if it was brought up from a file in which no component has a container.
    pub(super) fn without_containers(&self, name: &EnvironmentName) -> Result<Option<Environment>> {
        match self.known(name) {
            Ok((record, spec)) if with_needs(&spec, &record.only).is_empty() => {
                self.described(name.clone(), Vec::new()).map(Some)
            }
            _ => Ok(None),
        }
    }
}
