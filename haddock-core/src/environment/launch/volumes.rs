//! Volumes without a name: those of `volumes: [/path]`, and those that an image wants.
//!
//! An engine gives them random names, and forgets whose they are when their container is gone. So Haddock gives them
//! names and labels before the container is made, and the next container finds them again.

use std::collections::BTreeMap;

use super::LaunchPlan;
use crate::container::{ContainerSpec, Identity, Mount, MountKind, Selector, VolumeSpec, label};
use crate::error::Result;
use crate::name::{ComponentName, InstanceId, JournalId};
use crate::runtime::ContainerRuntime;

/// How many characters of a path are in the name of a volume.
const MAX_PATH_LENGTH: usize = 40;

impl LaunchPlan {
    /// Makes the volumes without a name of a container that is about to be made, or takes those of the container whose
    /// place it takes. On a runtime without volumes nothing is done.
    pub(super) async fn name_volumes(
        &self,
        runtime: &dyn ContainerRuntime,
        name: &ComponentName,
        spec: &mut ContainerSpec,
    ) -> Result<()> {
        if !runtime.capabilities().volumes {
            return Ok(());
        }
        for path in runtime.image_volumes(&spec.image).await? {
            if !is_covered(spec, &path) {
                spec.mounts.push(Mount::new(MountKind::Volume, path));
            }
        }
        for mount in spec.mounts.iter_mut().filter(|it| it.kind == MountKind::Volume && it.source.is_none()) {
            let volume = self.anonymous(name, &mount.target);
            runtime.create_volume(&volume).await?;
            mount.source = Some(volume.name);
        }
        Ok(())
    }

    fn anonymous(&self, component: &ComponentName, path: &str) -> VolumeSpec {
        let generation = self.generations.get(component).map(|it| format!("-{it}")).unwrap_or_default();
        let identity = Identity::environment(&self.journal, &self.instance).component(component);
        let mut labels = BTreeMap::from([(label::ANONYMOUS.to_owned(), path.to_owned())]);
        if let Some(name) = &self.name {
            labels.insert(label::NAME.to_owned(), name.to_string());
        }
        let name = format!("{}-{component}{generation}_{}", self.prefix(), readable(path));
        VolumeSpec { name, identity, labels, ..VolumeSpec::default() }
    }
}

/// Removes the volumes without a name of an environment that is gone: what its components kept there is lost.
/// `generation`: only those of these.
///
/// # Errors
/// The first error of the runtime. All that can be removed is removed nevertheless.
pub(crate) async fn remove_anonymous(
    runtime: &dyn ContainerRuntime,
    journal: &JournalId,
    instance: &InstanceId,
    generations: Option<&BTreeMap<ComponentName, String>>,
) -> Result<()> {
    let ours = Selector::environment(journal, instance);
    let mut removed = Ok(());
    for volume in runtime.volumes(&ours).await? {
        let is_one = ours.matches(&volume.labels) && volume.labels.contains_key(label::ANONYMOUS);
        let goes = generations.is_none_or(|all| all.values().any(|one| volume.name.contains(&format!("-{one}_"))));
        if is_one && goes {
            removed = removed.and(runtime.remove_volume(&volume.name).await);
        }
    }
    removed
}

/// Whether something else is mounted at that path.
fn is_covered(spec: &ContainerSpec, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let memory = spec.options.tmpfs.iter().map(|it| it.split_once(':').map_or(it.as_str(), |(target, _)| target));
    let mut mounted = spec.mounts.iter().map(|mount| mount.target.as_str()).chain(memory);
    mounted.any(|target| target.trim_end_matches('/') == path)
}

/// A path as a part of a name. If the name does not show which path it was, a number is added.
fn readable(path: &str) -> String {
    let path = path.trim_end_matches('/').trim_start_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut text: String = path.chars().map(|c| if plain(c) { c } else { '-' }).take(MAX_PATH_LENGTH).collect();
    if path.chars().any(|c| !plain(c) && c != '/') || path.chars().count() > MAX_PATH_LENGTH {
        // FNV-1a (Fowler, Noll, Vo): the same wherever it is computed.
        let number = path.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        text.push_str(&format!("-{number:08x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_readable_and_told_apart() {
        assert_eq!(readable("/var/lib/data"), "var-lib-data");
        assert_eq!(readable("/var/lib/data/"), "var-lib-data");
        let all =
            ["/a/b", "/a-b", "/a b", "/ä/b", &format!("/{}", "long/".repeat(20)), &format!("/{}x", "long/".repeat(20))];
        let mut names: Vec<String> = all.iter().map(|path| readable(path)).collect();
        assert!(names.iter().all(|name| name.len() < 60 && name.is_ascii()), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len(), "{names:?}");
    }
}
