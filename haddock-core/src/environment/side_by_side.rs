//! What two versions of a component cannot both have: a port of the host, data that they write, a name. Pure.

use super::{Component, EnvironmentSpec};
use crate::container::{Mount, MountKind, PublishedPort};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

/// What is wrong, and the hint what to do.
pub(crate) type Conflict = (String, String);

pub(crate) fn of_mount(name: &ComponentName, mount: &Mount) -> Option<Conflict> {
    let what = match (mount.kind, &mount.source) {
        _ if mount.read_only => return None,
        (MountKind::Volume, Some(volume)) => format!("volume `{volume}`"),
        (MountKind::Bind, Some(path)) => format!("folder `{path}` of the host"),
        _ => return None,
    };
    Some((
        format!("versioned component `{name}` writes to {what}, as would every other version of it"),
        format!("list `{name}` under `x-haddock.shared`, or mount it to read only, with `:ro`"),
    ))
}

pub(crate) fn of_name(name: &ComponentName, own: Option<&str>) -> Option<Conflict> {
    own.map(|own| {
        (
            format!("versioned component `{name}` has the name `{own}`, which only one container can have"),
            format!("remove `container_name`, or list `{name}` under `x-haddock.shared`"),
        )
    })
}

pub(crate) fn of_replicas(name: &ComponentName, replicas: Option<u32>) -> Option<Conflict> {
    replicas.filter(|replicas| *replicas != 1).map(|_| {
        (
            format!("versioned component `{name}` has `replicas`"),
            "remove it, and set `x-haddock.release.replicas`: that many instances of the whole".to_owned(),
        )
    })
}

pub(crate) fn of_port(name: &ComponentName, port: &PublishedPort) -> Option<Conflict> {
    let (host, inside) = (port.host?, port.container);
    Some((
        format!("versioned component `{name}` claims port {host} of the host, which only one version can have"),
        format!("write `\"{inside}\"` and let the gateway listen on {host}, or list `{name}` under `x-haddock.shared`"),
    ))
}

fn first(name: &ComponentName, component: &Component) -> Option<Conflict> {
    let mut mounts = component.mounts.iter().filter_map(|mount| of_mount(name, mount));
    let mut ports = component.ports.iter().filter_map(|port| of_port(name, port));
    mounts
        .next()
        .or_else(|| of_name(name, component.container_name.as_deref()))
        .or_else(|| of_replicas(name, component.replicas))
        .or_else(|| ports.next())
}

impl EnvironmentSpec {
    /// Checks that versions of it can run side by side. Those of a compose file that was resolved for a release can. If
    /// it was resolved for an environment by name, maybe not.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) with the first thing that speaks against it, and what to do about it.
    pub fn check_side_by_side(&self) -> Result<()> {
        let wrong = |(message, hint): Conflict| Err(Error::new(ErrorKind::ComposeFile, message).with_hint(hint));
        let versioned = self.versioned();
        for (name, component) in &self.components {
            if versioned.contains(name) {
                if let Some(conflict) = first(name, component) {
                    return wrong(conflict);
                }
                continue;
            }
            let others = component.depends_on.keys().chain(component.links.iter().map(|link| &link.component));
            if let Some(other) = others.into_iter().find(|other| versioned.contains(*other)) {
                let message =
                    format!("`{name}` is shared and cannot need `{other}`, of which every version has its own");
                return wrong((message, format!("remove it, or list `{other}` under `x-haddock.shared`, too")));
            }
        }
        match self.entry().filter(|entry| !versioned.contains(&entry.component)) {
            None => Ok(()),
            Some(entry) => wrong((
                format!(
                    "the entry `{}` is shared, so a release would bring nothing that takes traffic",
                    entry.component
                ),
                format!("write `${{TAG}}` in its image, or name an image for `{}`", entry.component),
            )),
        }
    }
}
