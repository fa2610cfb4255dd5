//! Components with several replicas. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Component, DEFAULT_NETWORK, EnvironmentSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

/// An environment in which each component has one container, and what has become of each component with `replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) spec: EnvironmentSpec,
    /// For each component with `replicas`, the components in its place, itself among them. None if it has 0 replicas.
    pub(crate) copies: BTreeMap<ComponentName, Vec<ComponentName>>,
}

impl EnvironmentSpec {
    /// The environment with a component for each replica: `web` of three becomes `web`, `web-2` and `web-3`. All of
    /// them are reached under the names of the first. A component that waits for `web` waits for each of them.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) if another component has the name of a replica, or if all replicas would
    /// need the same container name or port of the host.
    pub(crate) fn expanded(&self) -> Result<Expanded> {
        let mut spec = self.clone();
        let mut copies = BTreeMap::new();
        for (name, component) in &self.components {
            let Some(replicas) = component.replicas.filter(|replicas| *replicas != 1) else { continue };
            check(name, component, replicas)?;
            let names = (1..=replicas).map(|number| match number {
                1 => Ok(name.clone()),
                _ => ComponentName::new(format!("{name}-{number}")),
            });
            let names: Vec<ComponentName> = names.collect::<Result<_>>()?;
            if let Some(taken) = names.iter().skip(1).find(|name| self.components.contains_key(*name)) {
                return Err(wrong(
                    format!("the replicas of `{name}` would be called as component `{taken}` is"),
                    "give one of them another name",
                ));
            }
            spec.components.remove(name);
            for copy in &names {
                let one = Component { replicas: None, ..component.clone() };
                let one = if copy == name { one } else { called_like(one, name) };
                spec.components.insert(copy.clone(), one);
                // A replica is shown like the first one.
                let of = |name: &ComponentName| format!("services.{name}.");
                let rest =
                    |(path, text): (&String, &String)| Some((path.strip_prefix(&of(name))?.to_owned(), text.clone()));
                let written = self.written.iter().filter_map(rest);
                spec.written.extend(written.map(|(rest, text)| (format!("{}{rest}", of(copy)), text)));
            }
            copies.insert(name.clone(), names);
        }
        for component in spec.components.values_mut() {
            reach_all(component, &copies);
        }
        Ok(Expanded { spec, copies })
    }
}

impl Expanded {
    /// The components that are meant by these names.
    pub(crate) fn named(&self, names: &BTreeSet<ComponentName>) -> BTreeSet<ComponentName> {
        let copies = |name: &ComponentName| self.copies.get(name).cloned().unwrap_or_else(|| vec![name.clone()]);
        names.iter().flat_map(copies).collect()
    }
}

fn wrong(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::ComposeFile, message).with_hint(hint)
}

fn check(name: &ComponentName, component: &Component, replicas: u32) -> Result<()> {
    if replicas > 1 && component.container_name.is_some() {
        return Err(wrong(
            format!("`{name}` has `container_name`, which only one of its {replicas} containers can have"),
            "remove `container_name`",
        ));
    }
    match component.ports.iter().find_map(|port| port.host) {
        Some(port) if replicas > 1 => Err(wrong(
            format!("`{name}` claims port {port} of the host, which only one of its {replicas} containers can have"),
            "leave the host's port out, so that each gets one of its own",
        )),
        _ => Ok(()),
    }
}

/// A further replica, reached under the first one's names as well.
fn called_like(mut other: Component, name: &ComponentName) -> Component {
    if other.network_mode.is_none() {
        if other.networks.is_empty() {
            other.networks.entry(DEFAULT_NETWORK.to_owned()).or_default();
        }
        for endpoint in other.networks.values_mut() {
            endpoint.aliases.push(name.to_string());
            // A fixed address belongs to the first one.
            (endpoint.ipv4_address, endpoint.ipv6_address, endpoint.mac_address) = (None, None, None);
        }
    }
    other
}

/// A component that needs one replica needs each of them.
fn reach_all(component: &mut Component, copies: &BTreeMap<ComponentName, Vec<ComponentName>>) {
    let links = std::mem::take(&mut component.links).into_iter();
    component.links = links
        .flat_map(|link| match copies.get(&link.component) {
            None => vec![link],
            Some(all) => all.iter().map(|name| super::Link { component: name.clone(), ..link.clone() }).collect(),
        })
        .collect();
    for (name, all) in copies {
        let Some(dependency) = component.depends_on.remove(name) else { continue };
        component.depends_on.extend(all.iter().map(|other| (other.clone(), dependency)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, ResolveOptions};

    fn spec(services: &str) -> EnvironmentSpec {
        let text = format!("name: shop\nservices:\n{services}x-haddock: {{ entry: 'web:80' }}\n");
        let file = ComposeFile::parse("compose.yaml", &text).expect("YAML");
        file.resolve(&ResolveOptions::default()).expect("good").spec
    }

    fn expanded(services: &str) -> Result<Expanded> {
        spec(services).expanded()
    }

    #[test]
    fn each_replica_is_a_component_and_all_are_reached_under_one_name() {
        let expanded = expanded(
            "  web: { image: web, links: ['worker:jobs', none], depends_on: { worker: { condition: service_healthy } } }
  worker: { image: worker, scale: 3, networks: { default: { ipv4_address: 10.1.2.3 } }, healthcheck: { test: [CMD, x] } }
  none: { image: none, scale: 0 }
",
        )
        .expect("good");
        let names: Vec<&str> = expanded.spec.components.keys().map(ComponentName::as_str).collect();
        assert_eq!(names, ["web", "worker", "worker-2", "worker-3"]);
        let web = &expanded.spec.components["web"];
        let links: Vec<String> = web.links.iter().map(|link| format!("{}:{}", link.component, link.alias)).collect();
        assert_eq!(links, ["worker:jobs", "worker-2:jobs", "worker-3:jobs"]);
        assert_eq!(
            web.depends_on.keys().map(ComponentName::as_str).collect::<Vec<_>>(),
            ["worker", "worker-2", "worker-3"]
        );
        let other = ComponentName::new("worker-2").expect("valid");
        assert_eq!(expanded.spec.aliases(&other), ["jobs", "worker-2"]);
        let endpoint = &expanded.spec.components[&other].networks["default"];
        assert_eq!((&endpoint.aliases[..], endpoint.ipv4_address), (&["worker".to_owned()][..], None));
        let meant = expanded.named(&["worker", "web"].map(|name| ComponentName::new(name).expect("valid")).into());
        assert_eq!(meant.len(), 4);
        assert_eq!(expanded.spec.expanded().expect("again").spec, expanded.spec, "it is done once");
    }

    #[test]
    fn what_takes_the_traffic_may_have_no_container() {
        let expanded = expanded("  web: { image: web, scale: 0 }\n  db: { image: db }\n").expect("good");
        assert_eq!(expanded.spec.components.keys().map(ComponentName::as_str).collect::<Vec<_>>(), ["db"]);
    }

    #[test]
    fn what_there_is_once_cannot_be_had_by_several() {
        for (services, why) in [
            ("  web: { image: web, ports: ['80:80'], scale: 2 }\n", "claims port 80"),
            ("  web: { image: web, scale: 2 }\n  web-2: { image: web }\n", "component `web-2`"),
        ] {
            let error = expanded(services).expect_err(why);
            assert!(error.message().contains(why) && error.hint().is_some(), "{error:?}");
        }
        // A file that says so is refused when it is read; a program may say it all the same.
        let mut named = spec("  web: { image: web, container_name: one }\n");
        named.components.values_mut().for_each(|it| it.replicas = Some(2));
        let error = named.expanded().expect_err("one name");
        assert!(error.message().contains("`container_name`") && error.hint().is_some(), "{error:?}");
    }
}
