//! From the tree to a resolved environment: variables, components, settings, and how they fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::classify::{self, Facts, Reason};
use super::file::ComposeFile;
use super::haddock;
use super::keys::{self, nearest};
use super::reader::{Cursor, Note, Reader, listed};
use super::service::{self, Outside};
use super::tree::Value;
use super::variables::Variables;
use crate::environment::{Component, DependencyCondition, Entry, EnvironmentSpec, Link, ServiceSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::{ComponentName, ServiceName};

/// The variable that [`ResolveOptions::tag`] sets.
const TAG: &str = "TAG";

/// What a compose file is resolved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// An environment by itself, such as one for tests: every component has a copy of its own there.
    #[default]
    Environment,
    /// A release: versions run side by side, so a versioned component must not claim what there is only once.
    Release,
}

/// What fills in a compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolveOptions {
    /// The caller's environment. It wins over `.env`.
    pub variables: Variables,
    /// The tag that the release names: the value of `TAG`. It wins over the environment.
    pub tag: Option<String>,
    /// Further variables that the release names. An image that mentions one makes its component versioned.
    pub release_variables: BTreeMap<String, String>,
    /// Images that take the place of the file's, by component.
    pub images: BTreeMap<ComponentName, ImageReference>,
    /// Files of variables instead of the `.env` next to the compose file; later ones win. Relative paths start at the
    /// compose file's directory.
    pub env_files: Vec<PathBuf>,
    /// What for.
    pub purpose: Purpose,
}

/// A resolved compose file, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The environment.
    pub spec: EnvironmentSpec,
    /// Why each component is versioned or shared.
    pub reasons: BTreeMap<ComponentName, Reason>,
    /// What is read and has no effect, and variables that are not set, in the order of the file.
    pub notes: Vec<Note>,
}

impl ComposeFile {
    /// Fills in the variables and checks everything.
    ///
    /// In the result, `expose` of a component holds every TCP port that others or the locator may reach: its own
    /// `expose`, the container side of its `ports`, and the port of the entry. `depends_on` holds its links, too, as
    /// Compose has it.
    ///
    /// # Errors
    /// The first error in the order of the file: [`ComposeFile`](ErrorKind::ComposeFile),
    /// [`NotSupported`](ErrorKind::NotSupported), [`InvalidValue`](ErrorKind::InvalidValue),
    /// [`InvalidName`](ErrorKind::InvalidName), [`InvalidImageReference`](ErrorKind::InvalidImageReference), each with
    /// its place. No error holds the value of a variable.
    pub fn resolve(&self, options: &ResolveOptions) -> Result<Resolved> {
        self.check(options).map_err(|mut errors| errors.swap_remove(0))
    }

    /// As [`resolve`](Self::resolve), with all errors, in the order of the file. There is at least one.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve).
    pub fn check(&self, options: &ResolveOptions) -> std::result::Result<Resolved, Vec<Error>> {
        let outer = self.outer_variables(options).map_err(|error| vec![error])?;
        let lookup = |name: &str| outer.get(name);
        let mut reader = Reader::new(&self.name, &lookup);
        let resolved = self.read_all(&mut reader, &outer, options);
        let Reader { mut errors, mut notes, .. } = reader;
        match resolved {
            Some((spec, reasons)) if errors.is_empty() => {
                notes.sort_by_key(|note| (note.place.line, note.place.column));
                Ok(Resolved { spec, reasons, notes })
            }
            _ => {
                debug_assert!(!errors.is_empty(), "what cannot be resolved has an error");
                errors.sort_by_key(|error| error.place().map(|place| (place.line, place.column)));
                Err(errors)
            }
        }
    }

    /// The release's variables, the caller's, and those of `.env`, in this order of precedence.
    fn outer_variables(&self, options: &ResolveOptions) -> Result<Variables> {
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
        let dot_env = [PathBuf::from(".env")];
        let paths = if options.env_files.is_empty() { &dot_env[..] } else { &options.env_files };
        for path in paths {
            let outer = |name: &str| own.get(name).or_else(|| files.get(name)).map(str::to_owned);
            match self.variables_file(path, &outer)? {
                Some(file) => file.iter().for_each(|(name, value)| files.set(name, value.expose())),
                None if options.env_files.is_empty() => {}
                None => {
                    let message = format!("file `{}` of variables does not exist", path.display());
                    return Err(Error::new(ErrorKind::NotFound, message).with_hint("check the path"));
                }
            }
        }
        own.iter().for_each(|(name, value)| files.set(name, value.expose()));
        Ok(files)
    }

    fn read_all<'t>(
        &'t self,
        reader: &mut Reader<'t>,
        outer: &Variables,
        options: &ResolveOptions,
    ) -> Option<(EnvironmentSpec, BTreeMap<ComponentName, Reason>)> {
        let root = Cursor { node: &self.tree, path: String::new() };
        if root.is_null() {
            reader.wrong(&root, "the file is empty", "write `services:` and the components below it");
            return None;
        }
        let (mut name, mut services, mut settings) = (None, None, haddock::Draft::default());
        for entry in reader.known_entries(&root, &keys::FILE)? {
            match entry.key.text.as_str() {
                "name" => name = reader.filled(&entry.value).map(|filled| (filled, entry.value)),
                "version" => reader.note(&entry.value, "`version` is obsolete and has no effect"),
                "services" => services = Some(entry.value),
                _ => settings = haddock::read(reader, &entry.value),
            }
        }
        let Some(services) = services else {
            reader.wrong(&root, "the file has no `services`", "write `services:` and the components below it");
            return None;
        };
        let drafts = self.read_services(reader, &services, outer, options);
        let service = settings.service.clone().or_else(|| self.service_name(reader, &root, name));
        let reasons = relate(reader, &drafts, &settings, options);
        let entry = find_entry(reader, &root, &drafts, &settings);
        if options.purpose == Purpose::Release {
            check_release(reader, &drafts, &reasons, entry.as_ref());
        }
        if !reader.errors.is_empty() {
            return None;
        }
        let entry = entry?;
        let mut components = BTreeMap::new();
        for (name, draft) in drafts {
            let component =
                component(draft, reasons.get(&name)?.is_versioned(), (name == entry.component).then_some(entry.port))?;
            components.insert(name, component);
        }
        let settings = ServiceSettings {
            service: service?,
            entry,
            ready: settings.ready,
            session: settings.session,
            release: settings.release,
        };
        Some((EnvironmentSpec { settings, components }, reasons))
    }

    fn read_services<'t>(
        &'t self,
        reader: &mut Reader<'t>,
        services: &Cursor<'t>,
        outer: &Variables,
        options: &ResolveOptions,
    ) -> BTreeMap<ComponentName, service::Draft<'t>> {
        let lookup = |name: &str| outer.get(name).map(str::to_owned);
        let read = |path: &Path| self.variables_file(path, &lookup);
        let outside = Outside { read: &read, images: &options.images };
        let mut drafts = BTreeMap::new();
        let Some(entries) = reader.entries(services) else { return drafts };
        if entries.is_empty() {
            reader.wrong(services, "`services` has no components", "write at least one below it");
        }
        for entry in entries {
            match ComponentName::new(&entry.key.text) {
                Ok(name) => {
                    if let Some(draft) = service::read(reader, &name, &entry.value, &outside) {
                        drafts.insert(name, draft);
                    }
                }
                Err(error) => {
                    let place = reader.place(entry.key.at, &entry.value.path);
                    reader.errors.push(error.at(place));
                }
            }
        }
        for name in options.images.keys().filter(|name| !drafts.contains_key(*name)) {
            if services.node.get(name.as_str()).is_none() {
                let known: Vec<&str> = drafts.keys().map(ComponentName::as_str).collect();
                let error =
                    Error::new(ErrorKind::NotFound, format!("an image is given for `{name}`, which is no component"));
                reader.errors.push(error.with_hint(format!("the components are {}", listed(known))));
            }
        }
        drafts
    }

    /// The file's `name`, else the directory's.
    fn service_name(
        &self,
        reader: &mut Reader<'_>,
        root: &Cursor<'_>,
        name: Option<(super::template::Filled, Cursor<'_>)>,
    ) -> Option<ServiceName> {
        const HINT: &str = "set `x-haddock.service` to a name of lower-case letters, digits and `-`, at most 40";
        if let Some((filled, cursor)) = name {
            return match ServiceName::new(&filled.text) {
                Ok(name) => Some(name),
                Err(error) => {
                    reader.refuse(&cursor, &filled, error.with_hint(HINT));
                    None
                }
            };
        }
        // As Compose derives a project's name, but for `_`, which a service's name cannot have.
        let directory =
            self.directory.file_name().unwrap_or_default().to_string_lossy().to_lowercase().replace('_', "-");
        let kept: String = directory.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        match ServiceName::new(kept.trim_start_matches('-')) {
            Ok(name) => Some(name),
            Err(_) => {
                reader.wrong(root, "the service has no name, and the directory's cannot be one", HINT);
                None
            }
        }
    }
}

/// Checks what components say about each other, and tells which are versioned.
fn relate(
    reader: &mut Reader<'_>,
    drafts: &BTreeMap<ComponentName, service::Draft<'_>>,
    settings: &haddock::Draft<'_>,
    options: &ResolveOptions,
) -> BTreeMap<ComponentName, Reason> {
    let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
    let shared = haddock::shared_names(reader, settings, &known);
    for (name, draft) in drafts {
        let links = draft.links.iter().map(|link| (&link.to, &link.cursor));
        for (to, cursor) in draft.depends_on.iter().map(|other| (&other.on, &other.cursor)).chain(links) {
            if to == name.as_str() {
                reader.wrong(cursor, format!("component `{name}` names itself"), "remove it");
            } else if !known.contains(to.as_str()) {
                no_such_component(reader, cursor, to, &known);
            }
        }
    }
    check_cycles(reader, drafts);
    let facts = drafts.iter().map(|(name, draft)| {
        let facts = Facts {
            mentions: draft
                .image_mentions
                .iter()
                .map(String::as_str)
                .find(|variable| *variable == TAG || options.release_variables.contains_key(*variable)),
            image_given: options.images.contains_key(name),
            links: draft
                .links
                .iter()
                .filter_map(|link| drafts.get_key_value(link.to.as_str()))
                .map(|(name, _)| name)
                .collect(),
            listed: shared.contains(name.as_str()),
        };
        (name, facts)
    });
    let reasons = classify::classify(&facts.collect());
    for (name, draft) in drafts {
        if reasons.get(name).is_some_and(Reason::is_versioned) {
            continue;
        }
        let links = draft.links.iter().map(|link| (&link.to, &link.cursor));
        for (to, cursor) in draft.depends_on.iter().map(|other| (&other.on, &other.cursor)).chain(links) {
            if reasons.get(to.as_str()).is_some_and(Reason::is_versioned) {
                let message = format!("`{name}` is shared and cannot need `{to}`, of which every version has its own");
                let hint = format!("remove it, or list `{to}` under `x-haddock.shared`, too");
                reader.wrong(cursor, message, hint);
            }
        }
    }
    reasons
}

pub(super) fn no_such_component(reader: &mut Reader<'_>, cursor: &Cursor<'_>, name: &str, known: &BTreeSet<&str>) {
    // As it is written: a variable's value is not shown.
    let written = match &cursor.node.value {
        Value::Scalar(text) => text.as_str(),
        _ => name,
    };
    let hint = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the components are {}", listed(known)),
    };
    reader.wrong(cursor, format!("`{written}` names no component"), hint);
}

/// Components that wait for each other, by `depends_on` or links, would never start.
fn check_cycles(reader: &mut Reader<'_>, drafts: &BTreeMap<ComponentName, service::Draft<'_>>) {
    let needs = |name: &str| {
        drafts.get(name).into_iter().flat_map(|draft| {
            draft
                .depends_on
                .iter()
                .map(|other| other.on.as_str())
                .chain(draft.links.iter().map(|link| link.to.as_str()))
        })
    };
    // Take away what needs nothing that is left, until nothing can be taken.
    let mut left: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
    loop {
        let free: Vec<&str> = left
            .iter()
            .copied()
            .filter(|name| !needs(name).any(|other| other != *name && left.contains(other)))
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|name| _ = left.remove(name));
    }
    let Some(&first) = left.first() else { return };
    let mut path = vec![first];
    loop {
        let last = path[path.len() - 1];
        let next = needs(last)
            .find(|other| *other != last && left.contains(other))
            .expect("what is left needs something left");
        if let Some(begin) = path.iter().position(|name| *name == next) {
            path.drain(..begin);
            path.push(next);
            break;
        }
        path.push(next);
    }
    let cursor = drafts[path[0]].cursor.clone();
    let message = format!("components wait for each other: `{}`", path.join("` → `"));
    reader.wrong(&cursor, message, "remove one of these `depends_on` or links");
}

/// The entry that the file names; else the only component with ports, else the only one that exposes any.
fn find_entry(
    reader: &mut Reader<'_>,
    root: &Cursor<'_>,
    drafts: &BTreeMap<ComponentName, service::Draft<'_>>,
    settings: &haddock::Draft<'_>,
) -> Option<Entry> {
    if let Some(entry) = &settings.entry {
        let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
        let Some((name, _)) = drafts.get_key_value(entry.component.as_str()) else {
            no_such_component(reader, &entry.cursor, &entry.component, &known);
            return None;
        };
        return Some(Entry { component: name.clone(), port: entry.port });
    }
    // What is wrong with the settings or a component has been told already.
    if !reader.errors.is_empty() {
        return None;
    }
    let with = |ports: fn(&service::Draft<'_>) -> BTreeSet<u16>| -> Vec<(&ComponentName, BTreeSet<u16>)> {
        drafts.iter().map(|(name, draft)| (name, ports(draft))).filter(|(_, ports)| !ports.is_empty()).collect()
    };
    let mut candidates = with(|draft| draft.ports.iter().map(|port| port.container).collect());
    if candidates.is_empty() {
        candidates = with(|draft| draft.expose.iter().copied().collect());
    }
    let (message, example) = match candidates.as_slice() {
        [(name, ports)] if ports.len() == 1 => {
            return Some(Entry { component: (*name).clone(), port: *ports.first().expect("one port") });
        }
        [] => ("no component has a port, so none can take the traffic".to_owned(), "component:8080".to_owned()),
        [(name, ports)] => (
            format!("`{name}` has the ports {}, and only one can take the traffic", listed(ports)),
            format!("{name}:{}", ports.first().expect("not empty")),
        ),
        [(first, ports), ..] => (
            format!(
                "{} have ports, and only one component can take the traffic",
                listed(candidates.iter().map(|(name, _)| name))
            ),
            format!("{first}:{}", ports.first().expect("not empty")),
        ),
    };
    reader.wrong(root, message, format!("say which: `x-haddock: {{ entry: \"{example}\" }}`"));
    None
}

/// What a release can not do twice.
fn check_release(
    reader: &mut Reader<'_>,
    drafts: &BTreeMap<ComponentName, service::Draft<'_>>,
    reasons: &BTreeMap<ComponentName, Reason>,
    entry: Option<&Entry>,
) {
    let versioned = |name: &ComponentName| reasons.get(name).is_some_and(Reason::is_versioned);
    for (name, draft) in drafts.iter().filter(|(name, _)| versioned(name)) {
        let Some((at, port)) = draft.ports_at.as_ref().zip(draft.ports.iter().find(|port| port.host.is_some())) else {
            continue;
        };
        let (host, inside) = (port.host.unwrap_or_default(), port.container);
        let message =
            format!("versioned component `{name}` claims port {host} of the host, which only one version can have");
        let hint = format!(
            "write `\"{inside}\"` and let the gateway listen on {host}, or list `{name}` under `x-haddock.shared`"
        );
        reader.wrong(at, message, hint);
    }
    if let Some(entry) = entry.filter(|entry| !versioned(&entry.component)) {
        let name = &entry.component;
        let cursor = drafts[name].cursor.clone();
        let message = format!("the entry `{name}` is shared, so a release would bring nothing that takes traffic");
        let hint = format!(
            "write `${{TAG}}` in its image, name an image for `{name}` in the release, or link it to what is versioned"
        );
        reader.wrong(&cursor, message, hint);
    }
}

fn component(draft: service::Draft<'_>, versioned: bool, entry_port: Option<u16>) -> Option<Component> {
    let mut expose: BTreeSet<u16> = draft.expose.into_iter().collect();
    expose.extend(draft.ports.iter().map(|port| port.container));
    expose.extend(entry_port);
    let name = |text: &str| ComponentName::new(text).expect("checked to be a component");
    let mut depends_on: BTreeMap<ComponentName, DependencyCondition> =
        draft.depends_on.iter().map(|other| (name(&other.on), other.condition)).collect();
    for link in &draft.links {
        depends_on.entry(name(&link.to)).or_insert(DependencyCondition::Started);
    }
    Some(Component {
        image: draft.image?,
        versioned,
        entrypoint: draft.entrypoint,
        command: draft.command,
        environment: draft.environment,
        expose: expose.into_iter().collect(),
        ports: draft.ports,
        depends_on,
        links: draft.links.into_iter().map(|link| Link { component: name(&link.to), alias: link.alias }).collect(),
        health_check: draft.health_check,
        labels: draft.labels,
        stop_grace_period: draft.stop_grace_period,
        stop_signal: draft.stop_signal,
    })
}
