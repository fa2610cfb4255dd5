//! The networks, volumes, secrets and configs that the file declares, and whether those that components name are among
//! them.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::{Cursor, Reader, listed};
use super::service::Draft;
use super::{injected, mounts, networks};
use crate::container::MountKind;
use crate::environment::{DEFAULT_NETWORK, DeclaredFile, DeclaredNetwork, DeclaredVolume, EnvironmentSpec, FileUse};

#[derive(Default)]
pub(super) struct Declared {
    networks: BTreeMap<String, DeclaredNetwork>,
    volumes: BTreeMap<String, DeclaredVolume>,
    secrets: BTreeMap<String, Option<DeclaredFile>>,
    configs: BTreeMap<String, Option<DeclaredFile>>,
}

impl Declared {
    /// Reads a section of the file.
    pub(super) fn read<'t>(&mut self, reader: &mut Reader<'t>, section: &str, cursor: &Cursor<'t>) {
        let Some(entries) = reader.entries(cursor) else { return };
        for entry in entries.into_iter().filter(|entry| !entry.key.text.starts_with("x-")) {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if entry.key.text.is_empty() || !entry.key.text.chars().all(allowed) {
                let hint = "use letters, digits, `.`, `_` and `-`; `name` beside it may have others";
                reader.wrong(&entry.value, format!("`{}` cannot be a name here", entry.key.text), hint);
            }
        }
        match section {
            "networks" => self.networks = networks::read_declared(reader, cursor),
            "volumes" => self.volumes = mounts::read_declared(reader, cursor),
            "secrets" => self.secrets = injected::read_declared(reader, cursor, false),
            _ => self.configs = injected::read_declared(reader, cursor, true),
        }
    }

    /// Reports what a component names although the file does not declare it.
    pub(super) fn check(&self, reader: &mut Reader<'_>, draft: &Draft<'_>) {
        let named = draft.mounts.iter().filter(|(mount, _)| mount.kind == MountKind::Volume);
        for (volume, cursor) in named.filter_map(|(mount, cursor)| Some((mount.source.as_ref()?, cursor))) {
            missing(reader, cursor, "volume", volume, self.volumes.keys());
        }
        for (network, (_, cursor)) in draft.networks.iter().filter(|(name, _)| *name != DEFAULT_NETWORK) {
            missing(reader, cursor, "network", network, self.networks.keys());
        }
        for file in draft.body.build.iter().flat_map(|build| &build.secrets) {
            let build = draft.cursor.child("build").unwrap_or_else(|| draft.cursor.clone());
            missing(reader, &build, "secret", &file.source, self.secrets.keys());
        }
        for (what, uses, files) in
            [("secret", &draft.secrets, &self.secrets), ("config", &draft.configs, &self.configs)]
        {
            for (file, cursor) in uses {
                missing(reader, cursor, what, &file.source, files.keys());
                if let Some(None) = files.get(&file.source) {
                    let hint = "set its `file` or its `environment`";
                    reader.unsupported(cursor, format!("an external {what}, which only a swarm keeps, is"), hint);
                }
            }
        }
    }

    /// Adds to the environment those declarations that its components name.
    pub(super) fn of(self, mut spec: EnvironmentSpec) -> EnvironmentSpec {
        let components: Vec<_> = spec.components.values().collect();
        let on_default = components.iter().any(|it| it.networks.is_empty() && it.network_mode.is_none());
        let mut networks: BTreeSet<&str> =
            components.iter().flat_map(|it| it.networks.keys().map(String::as_str)).collect();
        networks.extend(on_default.then_some(DEFAULT_NETWORK));
        let volumes = components.iter().flat_map(|it| &it.mounts).filter(|mount| mount.kind == MountKind::Volume);
        let volumes: BTreeSet<&str> = volumes.filter_map(|mount| mount.source.as_deref()).collect();
        let files = |uses: fn(&crate::environment::Component) -> &Vec<FileUse>| -> BTreeSet<&str> {
            components.iter().flat_map(|it| uses(it)).map(|file| file.source.as_str()).collect()
        };
        let (mut secrets, configs) = (files(|it| &it.secrets), files(|it| &it.configs));
        let building = components.iter().filter_map(|it| it.build.as_ref()).flat_map(|build| &build.secrets);
        secrets.extend(building.map(|file| file.source.as_str()));

        let kept = |declared: BTreeMap<String, Option<DeclaredFile>>, used: &BTreeSet<&str>| {
            let used = declared.into_iter().filter(|(name, _)| used.contains(name.as_str()));
            used.filter_map(|(name, file)| Some((name, file?))).collect()
        };
        let networks = self.networks.into_iter().filter(|(name, _)| networks.contains(name.as_str())).collect();
        let volumes = self.volumes.into_iter().filter(|(name, _)| volumes.contains(name.as_str())).collect();
        let (secrets, configs) = (kept(self.secrets, &secrets), kept(self.configs, &configs));
        (spec.networks, spec.volumes, spec.secrets, spec.configs) = (networks, volumes, secrets, configs);
        spec
    }
}

fn missing<'n>(
    reader: &mut Reader<'_>,
    cursor: &Cursor<'_>,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n String> + Clone,
) {
    if known.clone().any(|other| other == name) {
        return;
    }
    let hint = match super::keys::nearest(name, known.map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("add {} under the file's `{what}s`", listed([name])),
    };
    reader.wrong(cursor, format!("the file declares no {what} `{name}`"), hint);
}
