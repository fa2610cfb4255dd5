//! Makes an environment from the tree: variables, components, settings, and how they fit together.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::Reason;
use super::components::known_names;
use super::declared::Declared;
use super::file::ComposeFile;
use super::fit::{check_release, find_entry, relate};
use super::hidden;
use super::keys;
use super::load::load;
use super::reader::{COMMENT, Cursor, Note, REFUSED_BY_ENGINE, Reader, listed};
use super::relations::Dependency as Required;
use super::resolve_options::{Purpose, ResolveOptions, TAG};
use super::service;
use super::template::Filled;
use super::tree::{Mark, Node, Value};
use super::variables::Variables;
use super::written::written;
use super::x_haddock;
use crate::environment::{
    Component, Dependency, DependencyCondition, EnvironmentSpec, Link, ReleaseSettings, ServiceSettings, VolumesFrom,
};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::{ComponentName, ServiceName};

/// How a file without components fails later in Compose.
const NOTHING_TO_RUN: &str = "there is nothing to run";
/// In the file, this variable holds the environment's name. If `.env` sets it, it wins over the file's `name`.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// A resolved compose file, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The service's name: from `x-haddock.service`, else from `COMPOSE_PROJECT_NAME` in `.env`, else from the file's
    /// `name`, else from its directory.
    pub name: ServiceName,
    /// The environment.
    pub spec: EnvironmentSpec,
    /// Why each component is versioned or shared.
    pub reasons: BTreeMap<ComponentName, Reason>,
    /// The components of the file that the environment does not have: none of their profiles is active, or they are
    /// left out as [`ResolveOptions::only`] says.
    pub inactive: BTreeSet<ComponentName>,
    /// Keys that have no effect, variables that are not set, and the like, in the order of the file.
    pub notes: Vec<Note>,
}

/// What a file is given from outside.
struct Outer {
    /// The release's variables, the caller's, and those of `.env`, in this order of precedence.
    variables: Variables,
    /// `COMPOSE_PROJECT_NAME` from `.env`. The caller's variable does not count: production must not depend on who
    /// calls.
    project: Option<String>,
}

impl ComposeFile {
    /// Fills in the variables and checks everything.
    ///
    /// In the result, `expose` of a component holds every TCP port that others or the locator may reach: its own
    /// `expose`, the container side of its `ports`, and the port of the entry. As in Compose, `depends_on` also holds
    /// its links, and the components whose namespaces or volumes it uses.
    ///
    /// # Errors
    /// The first error in the order of the file: [`ComposeFile`](ErrorKind::ComposeFile),
    /// [`NotSupported`](ErrorKind::NotSupported), [`InvalidValue`](ErrorKind::InvalidValue),
    /// [`InvalidName`](ErrorKind::InvalidName), [`InvalidImageReference`](ErrorKind::InvalidImageReference), each with
    /// its place. No error holds the value of a variable.
    pub fn resolve(&self, options: &ResolveOptions) -> Result<Resolved> {
        self.check(options).map_err(|mut errors| errors.swap_remove(0))
    }

    /// As [`resolve`](Self::resolve), but returns all errors, at least one, in the order of the file.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve).
    pub fn check(&self, options: &ResolveOptions) -> std::result::Result<Resolved, Vec<Error>> {
        let mut outer = self.outer(options).map_err(|error| vec![error])?;
        let name = match &options.environment {
            Some(name) => Some(name.to_string()),
            // An error in the name is reported below.
            None => self.name_given(&outer).ok().map(|(name, project)| match options.purpose {
                Purpose::Environment => project,
                Purpose::Release => name.to_string(),
            }),
        };
        if let Some(name) = name {
            outer.variables.set(PROJECT_NAME, name);
        }
        let loaded = load(self, &outer.variables).map_err(|error| vec![error])?;
        let mut reader = Reader::new(&loaded.origins, &*self.files);
        let resolved = self.read_tree(&mut reader, &loaded.tree, &outer, options);
        // Errors in components that are not to run are not reported.
        if options.only.is_empty() {
            hidden::check(&mut reader, &loaded.hidden);
        }
        let (errors, notes) = reader.finish();
        match resolved {
            Some((name, spec, reasons)) if errors.is_empty() => {
                let mut written = written(&loaded.tree);
                // Only texts of components that the environment has.
                let there = |path: &String| match path.strip_prefix("services.") {
                    Some(rest) => spec
                        .components
                        .keys()
                        .any(|name| rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))),
                    None => true,
                };
                written.retain(|path, _| there(path));
                let inactive = inactive(&loaded.tree, &spec);
                Ok(Resolved { name, spec: EnvironmentSpec { written, ..spec }, reasons, inactive, notes })
            }
            _ => {
                debug_assert!(!errors.is_empty(), "what cannot be resolved has an error");
                Err(errors)
            }
        }
    }

    /// The service's name, without resolving the rest: from `x-haddock.service`, else from `COMPOSE_PROJECT_NAME` in
    /// `.env`, else from the file's `name`, else from its directory.
    ///
    /// # Errors
    /// [`InvalidName`](ErrorKind::InvalidName) and the like, with the place.
    pub fn service_name(&self, options: &ResolveOptions) -> Result<ServiceName> {
        self.name_given(&self.outer(options)?).map(|(name, _)| name)
    }

    /// The service's name, and the name that the project has in Compose.
    fn name_given(&self, outer: &Outer) -> Result<(ServiceName, String)> {
        let loaded = load(self, &outer.variables)?;
        let mut reader = Reader::new(&loaded.origins, &*self.files);
        let root = Cursor { node: &loaded.tree, path: String::new() };
        let set = root.child("x-haddock").and_then(|ours| ours.child("service"));
        let name = match set {
            Some(service) => reader.value(&service, |text| ServiceName::new(text)).map(|name| (name.to_string(), name)),
            None => {
                let name = root.child("name").and_then(|name| Some((reader.filled(&name)?, name)));
                self.derived_name(&mut reader, &root, name, outer)
            }
        };
        let (mut errors, _) = reader.finish();
        name.map(|(project, name)| (name, project)).ok_or_else(|| errors.swap_remove(0))
    }

    /// What the file is given from outside.
    fn outer(&self, options: &ResolveOptions) -> Result<Outer> {
        let mut own = options.variables.clone();
        for (name, value) in &options.release_variables {
            own.set(name, value);
        }
        if let Some(tag) = &options.tag {
            // Any repository will do: the tag's rules are the same everywhere.
            let any = ImageReference::parse("image").expect("a valid name");
            any.with_tag(tag).map_err(|error| {
                let reason = error.message().split_once(": ").map_or("", |(_, reason)| reason);
                let error = Error::new(ErrorKind::InvalidValue, format!("`{tag}` cannot be a tag: {reason}"));
                error.with_hint("use letters, digits, `_`, `.` and `-`, at most 128")
            })?;
            own.set(TAG, tag);
        }
        let mut files = Variables::default();
        let paths = if options.env_files.is_empty() { &self.dot_env[..] } else { &options.env_files };
        for path in paths {
            let outer = |name: &str| own.get(name).or_else(|| files.get(name)).map(str::to_owned);
            match self.variables_file(path, &outer, &|_| None)? {
                Some(file) => file.iter().for_each(|(name, value)| files.set(name, value.expose())),
                None if options.env_files.is_empty() => {}
                None => {
                    let message = format!("file `{}` of variables does not exist", path.display());
                    return Err(Error::new(ErrorKind::NotFound, message).with_hint("check the path"));
                }
            }
        }
        let project = files.get(PROJECT_NAME).filter(|name| !name.is_empty()).map(str::to_owned);
        own.iter().for_each(|(name, value)| files.set(name, value.expose()));
        Ok(Outer { variables: files, project })
    }

    fn read_tree<'t>(
        &self,
        reader: &mut Reader<'t>,
        tree: &'t Node,
        outer: &Outer,
        options: &ResolveOptions,
    ) -> Option<(ServiceName, EnvironmentSpec, BTreeMap<ComponentName, Reason>)> {
        let root = Cursor { node: tree, path: String::new() };
        if root.is_null() {
            reader.wrong(&root, "the file is empty", "write `services:` and the components below it");
            return None;
        }
        let (mut name, mut services, mut settings) = (None, None, x_haddock::Draft::default());
        let mut declared = Declared::default();
        let mut plain = true;
        for entry in reader.known_entries(&root, &keys::FILE)? {
            match entry.key.text.as_str() {
                "name" => name = reader.filled(&entry.value).map(|filled| (filled, entry.value)),
                "version" => {
                    if reader.text(&entry.value).is_some() {
                        reader.note(&entry.value, "`version` is obsolete and has no effect");
                    }
                }
                "services" => services = Some(entry.value),
                "x-haddock" => {
                    plain = false;
                    settings = x_haddock::read(reader, &entry.value);
                }
                section => declared.read(reader, section, &entry.value),
            }
        }
        let Some(services) = services else {
            reader.stricter(
                &root,
                "the file has no `services`",
                "write `services:` and the components below it",
                NOTHING_TO_RUN,
            );
            return None;
        };
        let drafts = read_services(reader, &services, &outer.variables, options);
        let service =
            settings.service.clone().or_else(|| self.derived_name(reader, &root, name, outer).map(|(_, name)| name));
        let reasons = relate(reader, &services, &drafts, &settings, options);
        drafts.values().for_each(|draft| declared.check(reader, draft));
        let entry = find_entry(reader, &root, &drafts, &settings, options.purpose);
        let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
        let linked: BTreeSet<String> =
            known_names(reader, &settings.link_variables, &known).into_iter().map(str::to_owned).collect();
        let told = std::mem::take(&mut settings.told).told(reader, &drafts, &reasons, entry.as_ref());
        let production = x_haddock::production(reader, settings.production.take(), &known, entry.as_ref());
        if options.purpose == Purpose::Release {
            check_release(reader, &drafts, &reasons, entry.as_ref());
        }
        if reader.error_count() > 0 {
            return None;
        }
        let service = service?;
        let least = settings.health_interval.filter(|_| options.purpose == Purpose::Environment);
        let mut components = BTreeMap::new();
        for (name, draft) in drafts {
            let port = entry.as_ref().filter(|entry| entry.component == name).map(|entry| entry.port);
            let built = || ImageReference::parse(&format!("{service}-{name}").to_lowercase());
            let Some(image) = draft.image.clone().or_else(|| built().ok()) else {
                let message = format!("`{name}` has no `image`, and its name cannot be made into that of an image");
                reader.stricter(&draft.cursor, message, "add `image: repository:tag`", REFUSED_BY_ENGINE);
                return None;
            };
            let versioned = reasons.get(&name)?.is_versioned();
            let link_variables = linked.contains(name.as_str());
            let mut component = Component { image, versioned, link_variables, ..component(draft, port) };
            if let (Some(check), Some(least)) = (&mut component.health_check, least) {
                check.check_at_most_every(least);
            }
            components.insert(name, component);
        }
        let (idle, follow) = (settings.idle, settings.follow);
        let settings = entry.map(|entry| ServiceSettings {
            service: service.clone(),
            entry,
            ready: settings.ready,
            session: settings.session,
            release: ReleaseSettings {
                before: told.before,
                hooks: told.hooks.keys().copied().collect(),
                ..settings.release
            },
            notify: told.notify.len(),
        });
        let (hooks, gates, notify) = (told.hooks, told.gates, told.notify);
        let spec = EnvironmentSpec {
            settings,
            idle,
            plain,
            production,
            hooks,
            gates,
            notify,
            follow,
            components,
            ..Default::default()
        };
        Some((service, declared.of(spec), reasons))
    }

    /// The name that the project has in Compose, and the service's name: from `.env`, else from the file's `name`, else
    /// from the directory.
    fn derived_name(
        &self,
        reader: &mut Reader<'_>,
        root: &Cursor<'_>,
        name: Option<(Filled, Cursor<'_>)>,
        outer: &Outer,
    ) -> Option<(String, ServiceName)> {
        const HINT: &str = "set `x-haddock.service` to a name of lower-case letters, digits and `-`, at most 40";
        if let Some(project) = &outer.project {
            let name = ServiceName::new(project.replace('_', "-")).ok();
            if name.is_none() {
                reader.wrong(root, format!("`{PROJECT_NAME}` of `.env` is no name for a service"), HINT);
            }
            return name.map(|name| (project.clone(), name));
        }
        if let Some((filled, cursor)) = &name
            && filled.text.is_empty()
            && !cursor.written().is_empty()
        {
            reader.wrong(cursor, "the name is empty once its variables are filled in", "set them, or write a default");
            return None;
        }
        if let Some((filled, cursor)) = name.filter(|(filled, _)| !filled.text.is_empty()) {
            reader.quoted(&cursor)?;
            let project = project_name(&filled.text);
            let named = service_name(&project);
            if named.is_none() {
                let error = ServiceName::new(&filled.text).err();
                let error = error.unwrap_or_else(|| Error::new(ErrorKind::InvalidName, "the name has no letter"));
                reader.refuse(&cursor, &filled, error.with_hint(HINT));
            }
            return named.map(|name| (project, name));
        }
        let project = project_name(&self.directory.file_name().unwrap_or_default().to_string_lossy());
        let named = service_name(&project);
        if named.is_none() {
            reader.wrong(root, "the service has no name, and the directory's cannot be one", HINT);
        }
        named.map(|name| (project, name))
    }
}

/// A project's name as Compose makes it: lower case, and only letters, digits, `-` and `_`.
fn project_name(text: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = text.chars().filter(kept).collect::<String>().to_ascii_lowercase();
    name.trim_start_matches(['-', '_']).to_owned()
}

/// A service's name from a project's. It cannot have `_`, or more than 40 characters.
fn service_name(project: &str) -> Option<ServiceName> {
    let kept: String = project.replace('_', "-").chars().take(40).collect();
    ServiceName::new(kept.trim_end_matches('-')).ok()
}

/// The components of the file that the environment does not have.
fn inactive(tree: &Node, spec: &EnvironmentSpec) -> BTreeSet<ComponentName> {
    let Some(Value::Map(services)) = tree.get("services").map(|services| &services.value) else {
        return BTreeSet::new();
    };
    let names = services.iter().filter_map(|(key, _)| ComponentName::new(&key.text).ok());
    names.filter(|name| !spec.components.contains_key(name)).collect()
}

/// The components that the environment has: those without profiles, and those with an active profile.
fn read_services<'t>(
    reader: &mut Reader<'t>,
    services: &Cursor<'t>,
    outer: &Variables,
    options: &ResolveOptions,
) -> BTreeMap<ComponentName, service::Draft<'t>> {
    let mut profiles = options.profiles.clone();
    if profiles.is_empty() {
        let named = outer.get("COMPOSE_PROFILES").unwrap_or_default().split(',').map(str::trim);
        profiles.extend(named.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    let (mut drafts, mut broken) = (BTreeMap::new(), Vec::new());
    let Some(entries) = reader.entries(services) else { return drafts };
    if entries.is_empty() {
        reader.stricter(services, "`services` has no components", "write at least one below it", NOTHING_TO_RUN);
    }
    for entry in entries {
        let of = entry.value.child("profiles").map(|profiles| reader.texts(&profiles)).unwrap_or_default();
        // An empty profile, for instance from a variable that is not set, is always active.
        let active = |profile: &String| profile.is_empty() || profiles.contains(profile);
        if !of.is_empty() && !profiles.contains("*") && !of.iter().any(active) {
            check_inactive(reader, &entry.key.text, &entry.value);
            continue;
        }
        let errors = reader.error_count();
        match ComponentName::new(&entry.key.text) {
            Ok(name) => {
                if let Some(draft) = service::read(reader, &name, &entry.value, options.images.get(&name)) {
                    drafts.insert(name, draft);
                }
            }
            Err(error) => {
                let place = reader.place(entry.key.at, &entry.value.path);
                reader.fail_at(entry.key.at, error.at(place));
            }
        }
        let wrong = reader.errors_since(errors);
        if !wrong.is_empty() {
            broken.push((entry.key.text.as_str(), wrong));
        }
    }
    leave_out(reader, &mut drafts, broken, &options.only);
    for name in options.images.keys().filter(|name| !drafts.contains_key(*name)) {
        if services.node.get(name.as_str()).is_none() {
            let known: Vec<&str> = drafts.keys().map(ComponentName::as_str).collect();
            let error =
                Error::new(ErrorKind::NotFound, format!("an image is given for `{name}`, which is no component"));
            reader.fail_at(Mark::start(0), error.with_hint(format!("the components are {}", listed(known))));
        }
    }
    drafts
}

/// Reports what Compose refuses in a component that has no active profile.
fn check_inactive<'t>(reader: &mut Reader<'t>, name: &str, cursor: &Cursor<'t>) {
    let (errors, before) = (reader.error_count(), reader.noted());
    let any = ComponentName::new(name).unwrap_or_else(|_| ComponentName::new("component").expect("a valid name"));
    // It needs an image only if it is to run.
    let image = ImageReference::parse("image").expect("a valid name");
    let given = if cursor.node.get("image").is_some() { None } else { Some(&image) };
    reader.runs = false;
    service::read(reader, &any, cursor, given);
    reader.runs = true;
    reader.forget_notes(before);
    for (at, error) in reader.errors_since(errors) {
        // Compose does not read its files of variables. So they may be missing or wrong.
        let here = error.place().is_none_or(|place| *place == reader.place(at, &place.key));
        let of_file = error.kind() == ErrorKind::NotFound || !here;
        if error.lost_in_compose().is_none_or(|lost| lost == COMMENT) && !of_file {
            reader.fail_at(at, error);
        }
    }
}

/// If only some components are to run, leaves out others that have errors, and what needs those. Errors in components
/// that are to run remain errors.
fn leave_out<'t>(
    reader: &mut Reader<'t>,
    drafts: &mut BTreeMap<ComponentName, service::Draft<'t>>,
    broken: Vec<(&str, Vec<(Mark, Error)>)>,
    only: &BTreeSet<ComponentName>,
) {
    let mut needed: BTreeSet<String> = only.iter().map(ToString::to_string).collect();
    let mut open: Vec<String> = needed.iter().cloned().collect();
    while let Some(name) = open.pop() {
        for (other, _) in drafts.get(name.as_str()).into_iter().flat_map(|draft| draft.others()) {
            if needed.insert(other.to_owned()) {
                open.push(other.to_owned());
            }
        }
    }
    let mut gone: Vec<String> = Vec::new();
    for (name, errors) in broken {
        if only.is_empty() || needed.contains(name) {
            errors.into_iter().for_each(|(at, error)| reader.fail_at(at, error));
            continue;
        }
        for (_, error) in errors {
            let place = error.place().cloned().unwrap_or_default();
            reader.notes.push(Note { message: format!("`{name}` is left out: {}", error.message()), place });
        }
        gone.push(name.to_owned());
    }
    while let Some(name) = gone.pop() {
        drafts.remove(name.as_str());
        let needs = |draft: &service::Draft<'_>| draft.others().any(|(to, _)| to == name && draft.requires(to));
        gone.extend(drafts.iter().filter(|(_, draft)| needs(draft)).map(|(name, _)| name.to_string()));
    }
}

/// The component from its draft, with its relations to others.
fn component(draft: service::Draft<'_>, entry_port: Option<u16>) -> Component {
    let mut body = draft.body;
    let published = body.ports.iter().filter(|port| port.protocol.is_tcp()).map(|port| port.container);
    let expose: BTreeSet<u16> = body.expose.iter().copied().chain(published).chain(entry_port).collect();
    body.expose = expose.into_iter().collect();
    let name = |text: &str| ComponentName::new(text).expect("checked to be a component");
    // What is not required may be inactive. Then its name may be one that no component can have.
    let read = |other: &Required<'_>| Some((ComponentName::new(&other.on).ok()?, other.dependency));
    body.depends_on = draft.depends_on.iter().filter_map(read).collect();
    // As in Compose: what a component links to or joins is started before it, and the component is replaced when that
    // is.
    let implied = Dependency { restart: true, ..DependencyCondition::Started.into() };
    let joins = draft.joins.iter().map(|(to, _)| to);
    for to in draft.links.iter().map(|link| &link.to).chain(joins) {
        body.depends_on.entry(name(to)).or_insert(implied);
    }
    for from in &draft.volumes_from {
        body.depends_on.entry(name(&from.of)).or_insert_with(|| DependencyCondition::Started.into());
    }
    let volumes = draft.volumes_from.into_iter().map(|from| VolumesFrom { component: name(&from.of), mode: from.mode });
    body.volumes_from = volumes.collect();
    body.links = draft.links.into_iter().map(|link| Link { component: name(&link.to), alias: link.alias }).collect();
    body.networks = draft.networks.into_iter().map(|(name, (endpoint, _))| (name, endpoint)).collect();
    body.mounts = draft.mounts.into_iter().map(|(mount, _)| mount).collect();
    body.secrets = draft.secrets.into_iter().map(|(file, _)| file).collect();
    body.configs = draft.configs.into_iter().map(|(file, _)| file).collect();
    body
}
