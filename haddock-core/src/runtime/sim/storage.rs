//! Volumes, and what is written in them and in containers.

use std::collections::BTreeMap;

use super::SimEngine;
use super::made::Made;
use super::volume::{MountPoint, SimVolume};
use crate::container::{ContainerId, ContainerSpec, Mount, MountKind, Selector, Volume, VolumeSpec};
use crate::error::{Error, ErrorKind, Result};

impl SimEngine {
    /// Creates a volume; takes one of the same name and identity.
    ///
    /// # Errors
    /// [`ErrorKind::NameTaken`].
    pub fn create_volume(&mut self, spec: &VolumeSpec) -> Result<()> {
        if let Some(existing) = self.volumes.get(&spec.name) {
            if spec.identity.is_carried_by(&existing.volume.labels) {
                return Ok(());
            }
            let message = format!("the name `{}` is taken by a volume of somebody else", spec.name);
            return Err(Error::new(ErrorKind::NameTaken, message));
        }
        let volume = Volume { name: spec.name.clone(), labels: spec.all_labels() };
        self.volumes.insert(spec.name.clone(), SimVolume { volume, anonymous: false, files: BTreeMap::new() });
        Ok(())
    }

    /// Every volume, with what is in it.
    pub fn volumes(&self) -> impl Iterator<Item = &SimVolume> {
        self.volumes.values()
    }

    /// The volumes that the selector matches.
    #[must_use]
    pub fn list_volumes(&self, selector: &Selector) -> Vec<Volume> {
        let all = self.volumes.values().map(|it| &it.volume);
        all.filter(|volume| selector.matches(&volume.labels)).cloned().collect()
    }

    /// Removes a volume. Returns whether it existed.
    ///
    /// # Errors
    /// [`ErrorKind::RuntimeRefused`] while a container has it.
    pub fn remove_volume(&mut self, name: &str) -> Result<bool> {
        if self.made.values().any(|made| made.mounts.iter().any(|mount| mount.volume == name)) {
            let message = format!("volume `{name}` cannot be removed: a container has it");
            return Err(Error::new(ErrorKind::RuntimeRefused, message));
        }
        Ok(self.volumes.remove(name).is_some())
    }

    /// What a container was told to mount.
    #[must_use]
    pub fn mounts(&self, id: &ContainerId) -> &[Mount] {
        self.made.get(id).map_or(&[], |made| &made.spec.mounts)
    }

    /// Where a container has which volume.
    #[must_use]
    pub fn mount_points(&self, id: &ContainerId) -> &[MountPoint] {
        self.made.get(id).map_or(&[], |made| &made.mounts)
    }

    /// Writes a file within a container: into the volume that is mounted there, else into the container itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn write(&mut self, id: &ContainerId, path: &str, text: impl Into<String>) -> Result<()> {
        let made = self.made.get_mut(id).ok_or_else(|| super::engine::not_found(id))?;
        let files = match mounted(made, path) {
            Some((volume, within)) => {
                let volume = volume.to_owned();
                let volume = self.volumes.get_mut(&volume).expect("a volume stays while a container has it");
                volume.files.insert(within.to_owned(), text.into());
                return Ok(());
            }
            None => &mut made.files,
        };
        files.insert(path.to_owned(), text.into());
        Ok(())
    }

    /// The files that were written within a container but outside its volumes, by path.
    ///
    /// # Panics
    /// If there is no such container.
    #[must_use]
    pub fn files(&self, id: &ContainerId) -> &BTreeMap<String, String> {
        &self.made[id].files
    }

    /// A file within a container.
    #[must_use]
    pub fn read(&self, id: &ContainerId, path: &str) -> Option<&str> {
        let made = self.made.get(id)?;
        match mounted(made, path) {
            Some((volume, within)) => self.volumes.get(volume)?.files.get(within).map(String::as_str),
            None => made.files.get(path).map(String::as_str),
        }
    }

    /// Gives a new container its volumes, as an engine does. Named volumes are made if they do not exist. For each path
    /// at which the container or its image wants an unnamed one, it gets a volume of its own.
    pub(super) fn mount(&mut self, spec: &ContainerSpec) -> Vec<MountPoint> {
        let mut wanted: Vec<(String, Option<String>)> = Vec::new();
        for mount in &spec.mounts {
            if mount.kind == MountKind::Volume {
                wanted.push((mount.target.clone(), mount.source.clone()));
            }
        }
        for path in self.images.volumes(&spec.image) {
            let tmpfs = spec.options.tmpfs.iter().any(|it| it.split(':').next() == Some(path));
            if !tmpfs && !spec.mounts.iter().any(|mount| mount.target == *path) {
                wanted.push((path.clone(), None));
            }
        }
        let mut made = Vec::new();
        for (target, named) in wanted {
            let anonymous = named.is_none();
            let volume = named.unwrap_or_else(|| {
                self.counter += 1;
                format!("{:064x}", self.counter)
            });
            let new = || Volume { name: volume.clone(), labels: BTreeMap::new() };
            let entry = self.volumes.entry(volume.clone());
            entry.or_insert_with(|| SimVolume { volume: new(), anonymous, files: BTreeMap::new() });
            made.push(MountPoint { target, volume, anonymous });
        }
        made
    }

    /// Removes the volumes that were made for a container that is gone, unless another container has them now.
    pub(super) fn drop_anonymous(&mut self, mounts: &[MountPoint]) {
        for mount in mounts.iter().filter(|mount| mount.anonymous) {
            // A volume that is in use stays.
            let _ = self.remove_volume(&mount.volume);
        }
    }
}

/// Which volume a path of a container is in, and where within it.
fn mounted<'m>(made: &'m Made, path: &'m str) -> Option<(&'m str, &'m str)> {
    let within = |mount: &'m MountPoint| {
        let rest = path.strip_prefix(mount.target.trim_end_matches('/'))?.strip_prefix('/')?;
        Some((mount.target.len(), (mount.volume.as_str(), rest)))
    };
    made.mounts.iter().filter_map(within).max_by_key(|(length, _)| *length).map(|(_, found)| found)
}
