//! `x-haddock`: the settings of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::components::no_such_component;
use super::follow;
use super::guard;
use super::hooks;
use super::keys;
use super::ramp;
use super::reader::{Cursor, Reader};
use super::session;
use super::settings_values::{entry_of, header, host, more_than_zero, path, queue, whole_millis};
use super::tree::Value;
use crate::container::Sensitive;
use crate::environment::idle::IdlePolicy;
use crate::environment::{FollowSettings, Production, Target};
use crate::name::{ComponentName, ServiceName};
use crate::routing::SessionPolicy;
use crate::settings::{Drain, Entry, Readiness, ReleaseSettings};

/// The settings as they were read, before the components are known.
#[derive(Default)]
pub(super) struct Draft<'t> {
    pub(super) service: Option<ServiceName>,
    pub(super) entry: Option<DraftEntry<'t>>,
    pub(super) ready: Readiness,
    pub(super) session: SessionPolicy,
    pub(super) shared: Vec<(String, Cursor<'t>)>,
    pub(super) link_variables: Vec<(String, Cursor<'t>)>,
    pub(super) release: ReleaseSettings,
    pub(super) health_interval: Option<Duration>,
    pub(super) idle: Option<IdlePolicy>,
    pub(super) production: Option<DraftProduction<'t>>,
    pub(super) follow: Option<FollowSettings>,
    pub(super) told: hooks::Draft<'t>,
}

/// The settings under `production`. Each name has its place in the file.
#[derive(Default)]
pub(super) struct DraftProduction<'t> {
    links: Vec<(String, Cursor<'t>, Option<Target>)>,
    without: Vec<(String, Cursor<'t>)>,
    variables: Vec<(String, Cursor<'t>, BTreeMap<String, Sensitive>)>,
}

/// `entry: component:port`.
pub(super) struct DraftEntry<'t> {
    pub(super) component: String,
    pub(super) port: u16,
    pub(super) cursor: Cursor<'t>,
}

pub(super) fn read<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Draft<'t> {
    let mut draft = Draft::default();
    let mut guard = guard::Draft::default();
    let (mut draining_header, mut count) = (None, None);
    for entry in reader.known_entries(cursor, &keys::HADDOCK).unwrap_or_default() {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "service" => draft.service = reader.value(at, |text| ServiceName::new(text)),
            "entry" => {
                draft.entry = reader.value(at, entry_of).map(|(component, port)| DraftEntry {
                    component,
                    port,
                    cursor: at.clone(),
                });
            }
            "ready" => draft.ready = read_ready(reader, at).unwrap_or_default(),
            "session" => (draft.session, count) = session::read(reader, at).unwrap_or_default(),
            "shared" => draft.shared = read_names(reader, at),
            "link_variables" => draft.link_variables = read_names(reader, at),
            "guard" => guard = guard::read(reader, at).unwrap_or_default(),
            "health_interval" => draft.health_interval = reader.value(at, more_than_zero),
            "idle" => draft.idle = read_idle(reader, at),
            "production" => draft.production = read_production(reader, at),
            "follow" => draft.follow = follow::read(reader, at),
            "notify" => draft.told.read_notify(reader, at),
            "release" => {
                draft.release = read_release(reader, at, &mut draft.told, &mut draining_header).unwrap_or_default()
            }
            other => keys::unread(other),
        }
    }
    draft.release.guard = guard.put_into(&mut draft.session);
    draft.session.draining_header = draining_header;
    draft.release.count = count;
    draft
}

/// A list of components, each with its place.
fn read_names<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<(String, Cursor<'t>)> {
    let items = reader.items(cursor).unwrap_or_default();
    items.into_iter().filter_map(|item| Some((reader.text(&item)?, item))).collect()
}

/// `/health`, or `{ http, host, within }`.
fn read_ready<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Readiness> {
    let mut ready = Readiness::default();
    if let Value::Scalar(_) = cursor.node.value {
        ready.http = reader.value(cursor, path);
        return Some(ready);
    }
    for entry in reader.known_entries(cursor, &keys::READY)? {
        match entry.key.text.as_str() {
            "http" => ready.http = reader.value(&entry.value, path),
            "host" => ready.host = reader.value(&entry.value, host),
            "within" => ready.within = reader.value(&entry.value, more_than_zero).unwrap_or(ready.within),
            other => keys::unread(other),
        }
    }
    Some(ready)
}

/// `{ stop_after, remove_after }`.
fn read_idle<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<IdlePolicy> {
    let mut idle = IdlePolicy::default();
    for entry in reader.known_entries(cursor, &keys::IDLE)? {
        let time = reader.value(&entry.value, more_than_zero);
        match entry.key.text.as_str() {
            "stop_after" => idle.stop_after = time,
            "remove_after" => idle.remove_after = time,
            other => keys::unread(other),
        }
    }
    if let (Some(stop), Some(remove)) = (idle.stop_after, idle.remove_after)
        && remove < stop
    {
        reader.wrong(cursor, "`remove_after` is shorter than `stop_after`", "make `remove_after` the longer one");
    }
    Some(idle)
}

/// `{ links, without, variables }`.
fn read_production<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<DraftProduction<'t>> {
    let mut production = DraftProduction::default();
    for entry in reader.known_entries(cursor, &keys::PRODUCTION)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "links" => {
                for link in reader.entries(at).unwrap_or_default() {
                    let target = reader.value(&link.value, str::parse);
                    production.links.push((link.key.text.clone(), link.value, target));
                }
            }
            "without" => production.without = read_names(reader, at),
            "variables" => {
                for of in reader.entries(at).unwrap_or_default() {
                    let mut all = BTreeMap::new();
                    for variable in reader.entries(&of.value).unwrap_or_default() {
                        if let Some(value) = reader.filled(&variable.value) {
                            all.insert(variable.key.text.clone(), Sensitive::new(value.text));
                        }
                    }
                    production.variables.push((of.key.text.clone(), of.value, all));
                }
            }
            other => keys::unread(other),
        }
    }
    Some(production)
}

/// The settings of production. A name that is no component is an error.
pub(super) fn production(
    reader: &mut Reader<'_>,
    draft: Option<DraftProduction<'_>>,
    known: &BTreeSet<&str>,
    entry: Option<&Entry>,
) -> Option<Production> {
    let DraftProduction { links, without, variables } = draft?;
    let mut check = |name: &str, cursor: &Cursor<'_>, gone: bool| {
        if !known.contains(name) {
            no_such_component(reader, cursor, name, known);
            return None;
        }
        if gone && entry.is_some_and(|entry| entry.component.as_str() == name) {
            reader.wrong(cursor, format!("`{name}` takes the traffic, so no release can do without it"), "remove it");
        }
        ComponentName::new(name).ok()
    };
    let mut production = Production::default();
    for (name, cursor, target) in links {
        production.links.extend(check(&name, &cursor, true).zip(target));
    }
    for (name, cursor) in without {
        production.without.extend(check(&name, &cursor, true));
    }
    for (name, cursor, all) in variables {
        production.variables.extend(check(&name, &cursor, false).map(|name| (name, all)));
    }
    Some(production)
}

fn read_release<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
    told: &mut hooks::Draft<'t>,
    draining_header: &mut Option<String>,
) -> Option<ReleaseSettings> {
    let mut release = ReleaseSettings::default();
    let mut ramp = ramp::Draft::default();
    for entry in reader.known_entries(cursor, &keys::RELEASE)? {
        if ramp.takes(&entry) {
            continue;
        }
        let at = &entry.value;
        match entry.key.text.as_str() {
            "replicas" => release.replicas = reader.number(at, 1).unwrap_or(release.replicas),
            "settle" => release.settle = reader.value(at, whole_millis).unwrap_or(release.settle),
            "drain" => release.drain = read_drain(reader, at, draining_header).unwrap_or_default(),
            "queue" => release.queue = reader.value(at, queue).unwrap_or_default(),
            "before" => told.read_before(reader, at),
            "hooks" => told.read_hooks(reader, at),
            "max_versions" => release.max_versions = reader.number(at, 2).unwrap_or(release.max_versions),
            "unresponsive_for" => {
                release.unresponsive_for = reader.value(at, more_than_zero).unwrap_or(release.unresponsive_for)
            }
            other => keys::unread(other),
        }
    }
    told.gates = ramp.put_into(reader, &mut release);
    Some(release)
}

/// `{ evict_after, notify_clients: { header } }`.
fn read_drain<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>, draining_header: &mut Option<String>) -> Option<Drain> {
    let mut drain = Drain::default();
    for entry in reader.known_entries(cursor, &keys::DRAIN)? {
        match entry.key.text.as_str() {
            "evict_after" => drain.evict_after = reader.value(&entry.value, more_than_zero),
            "notify_clients" => {
                for entry in reader.known_entries(&entry.value, &keys::NOTIFY_CLIENTS)? {
                    *draining_header = reader.value(&entry.value, header);
                }
            }
            other => keys::unread(other),
        }
    }
    Some(drain)
}
