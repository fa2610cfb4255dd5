//! How components fit together: what they say about each other, which one is the entry, and what two versions cannot
//! both have.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::{self, Facts, Reason};
use super::components::{known_names, no_such_component};
use super::reader::{Cursor, Reader, listed};
use super::resolve_options::{Purpose, ResolveOptions, TAG};
use super::service;
use super::x_haddock;
use crate::environment::{Entry, side_by_side};
use crate::name::ComponentName;

/// Checks what components say about each other, and tells which are versioned.
pub(super) fn relate(
    reader: &mut Reader<'_>,
    services: &Cursor<'_>,
    drafts: &BTreeMap<ComponentName, service::Draft<'_>>,
    settings: &x_haddock::Draft<'_>,
    options: &ResolveOptions,
) -> BTreeMap<ComponentName, Reason> {
    let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
    let shared = known_names(reader, &settings.shared, &known);
    for (name, draft) in drafts {
        for (to, cursor) in draft.others() {
            if to == name.as_str() {
                let message = format!("component `{name}` names itself");
                reader.stricter(cursor, message, "remove it", "nothing would start");
            } else if !known.contains(to) && (draft.requires(to) || services.node.get(to).is_none()) {
                no_such_component(reader, cursor, to, &known);
            }
        }
    }
    for draft in drafts.values() {
        let contexts = draft.body.build.iter().flat_map(|build| build.additional_contexts.values());
        for of in contexts.filter_map(|context| context.strip_prefix("service:")) {
            if drafts.get(of).is_none_or(|other| other.body.build.is_none()) {
                let at = draft.cursor.child("build").unwrap_or_else(|| draft.cursor.clone());
                let message = format!("`additional_contexts` names `{of}`, which has no `build`");
                reader.wrong(&at, message, "name a component with `build`");
            }
        }
    }
    check_cycles(reader, drafts);
    check_container_names(reader, drafts);
    let facts = drafts.iter().map(|(name, draft)| {
        let facts = Facts {
            mentions: draft
                .image_mentions
                .iter()
                .map(String::as_str)
                .find(|variable| *variable == TAG || options.release_variables.contains_key(*variable)),
            image_given: options.images.contains_key(name),
            links: draft.reaches().filter_map(|to| drafts.get_key_value(to)).map(|(name, _)| name).collect(),
            listed: shared.contains(name.as_str()),
            before: settings.told.before.as_ref().is_some_and(|before| before.component == name.as_str()),
        };
        (name, facts)
    });
    let reasons = classify::classify(&facts.collect());
    if options.purpose == Purpose::Environment {
        return reasons;
    }
    for (name, draft) in drafts {
        if reasons.get(name).is_some_and(Reason::is_versioned) {
            continue;
        }
        for (to, cursor) in draft.others() {
            if reasons.get(to).is_some_and(Reason::is_versioned) {
                let message = format!("`{name}` is shared and cannot need `{to}`, of which every version has its own");
                let hint = format!("remove it, or list `{to}` under `x-haddock.shared`, too");
                reader.wrong(cursor, message, hint);
            }
        }
    }
    reasons
}

/// Components that wait for each other, by `depends_on` or links, would never start.
fn check_cycles(reader: &mut Reader<'_>, drafts: &BTreeMap<ComponentName, service::Draft<'_>>) {
    let needs = |name: &str| drafts.get(name).into_iter().flat_map(|draft| draft.others().map(|(to, _)| to));
    // Remove components that need nothing that is left, until none can be removed. What remains is in a circle or needs
    // one.
    let mut left: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
    for &name in &left {
        for other in needs(name).filter(|&other| other != name && left.contains(other)) {
            needed_by.entry(other).or_default().push(name);
            *missing.entry(name).or_default() += 1;
        }
    }
    let mut free: Vec<&str> = left.iter().copied().filter(|name| !missing.contains_key(name)).collect();
    while let Some(name) = free.pop() {
        left.remove(name);
        for &other in needed_by.get(name).into_iter().flatten() {
            let count = missing.get_mut(other).expect("counted above");
            *count -= 1;
            if *count == 0 {
                free.push(other);
            }
        }
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
    reader.stricter(&cursor, message, "remove one of these `depends_on` or links", "nothing would start");
}

/// The entry that the file names; else the only TCP port that is published; else, if none is published, the only port
/// that is exposed. A release needs an entry.
pub(super) fn find_entry(
    reader: &mut Reader<'_>,
    root: &Cursor<'_>,
    drafts: &BTreeMap<ComponentName, service::Draft<'_>>,
    settings: &x_haddock::Draft<'_>,
    purpose: Purpose,
) -> Option<Entry> {
    if let Some(entry) = &settings.entry {
        let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
        let Some((name, _)) = drafts.get_key_value(entry.component.as_str()) else {
            no_such_component(reader, &entry.cursor, &entry.component, &known);
            return None;
        };
        return Some(Entry { component: name.clone(), port: entry.port });
    }
    // Errors in the settings or in a component have been reported already.
    if reader.error_count() > 0 {
        return None;
    }
    let with = |ports: fn(&service::Draft<'_>) -> BTreeSet<u16>| -> Vec<(&ComponentName, BTreeSet<u16>)> {
        drafts.iter().map(|(name, draft)| (name, ports(draft))).filter(|(_, ports)| !ports.is_empty()).collect()
    };
    let mut candidates =
        with(|draft| draft.body.ports.iter().filter(|it| it.protocol.is_tcp()).map(|it| it.container).collect());
    if candidates.is_empty() {
        candidates = with(|draft| draft.body.expose.iter().copied().collect());
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
    if purpose == Purpose::Environment {
        return None;
    }
    reader.wrong(root, message, format!("say which: `x-haddock: {{ entry: \"{example}\" }}`"));
    None
}

/// Two components cannot have one container's name.
fn check_container_names(reader: &mut Reader<'_>, drafts: &BTreeMap<ComponentName, service::Draft<'_>>) {
    let mut of: BTreeMap<&str, &ComponentName> = BTreeMap::new();
    for (name, draft) in drafts {
        let (Some(container), Some(at)) = (&draft.body.container_name, &draft.container_name_at) else { continue };
        if let Some(other) = of.insert(container, name) {
            let message = format!("`{name}` has the container name of `{other}`");
            reader.wrong(at, message, "give one of them another, or remove both: each is reached as its component");
        }
    }
}

/// Reports what two versions of a component cannot both have: data that they write, a name, a port of the host.
fn check_side_by_side(reader: &mut Reader<'_>, name: &ComponentName, draft: &service::Draft<'_>) {
    let name_at = draft.container_name_at.as_ref().unwrap_or(&draft.cursor);
    let ports_at = draft.ports_at.as_ref().unwrap_or(&draft.cursor);
    let mounts = draft.mounts.iter().map(|(mount, at)| (at, side_by_side::of_mount(name, mount)));
    let own = side_by_side::of_name(name, draft.body.container_name.as_deref());
    let replicas = side_by_side::of_replicas(name, draft.body.replicas);
    let port = draft.body.ports.iter().find_map(|port| side_by_side::of_port(name, port));
    let others = [(name_at, own), (&draft.cursor, replicas), (ports_at, port)];
    for (at, conflict) in mounts.chain(others) {
        if let Some((message, hint)) = conflict {
            reader.wrong(at, message, hint);
        }
    }
}

/// Reports what keeps two versions from running side by side, and an entry that is shared.
pub(super) fn check_release(
    reader: &mut Reader<'_>,
    drafts: &BTreeMap<ComponentName, service::Draft<'_>>,
    reasons: &BTreeMap<ComponentName, Reason>,
    entry: Option<&Entry>,
) {
    let versioned = |name: &ComponentName| reasons.get(name).is_some_and(Reason::is_versioned);
    for (name, draft) in drafts.iter().filter(|(name, _)| versioned(name)) {
        check_side_by_side(reader, name, draft);
        for from in &draft.volumes_from {
            let writable = drafts.get(from.of.as_str()).filter(|_| from.mode.as_deref() != Some("ro"));
            let conflict =
                writable.and_then(|other| other.mounts.iter().find_map(|(it, _)| side_by_side::of_mount(name, it)));
            if let Some((message, hint)) = conflict {
                reader.wrong(&from.cursor, message, hint);
            }
        }
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
