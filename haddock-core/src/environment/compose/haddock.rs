//! `x-haddock`: the settings of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hooks;
use super::keys;
use super::ports::port;
use super::reader::{Cursor, Reader};
use super::tree::Value;
use crate::container::Sensitive;
use crate::environment::idle::IdlePolicy;
use crate::environment::{Drain, Entry, Production, Queue, Readiness, ReleaseSettings, Stage, Target, value};
use crate::error::{Error, ErrorKind};
use crate::name::{ComponentName, ServiceName};
use crate::routing::{SameSite, SessionPolicy, Share};

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
    pub(super) told: hooks::Draft<'t>,
}

/// `production`, each name with its place.
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
            "session" => draft.session = read_session(reader, at).unwrap_or_default(),
            "shared" => draft.shared = read_names(reader, at),
            "link_variables" => draft.link_variables = read_names(reader, at),
            "health_interval" => draft.health_interval = reader.value(at, more_than_zero),
            "idle" => draft.idle = read_idle(reader, at),
            "production" => draft.production = read_production(reader, at),
            "notify" => draft.told.read_notify(reader, at),
            _ => draft.release = read_release(reader, at, &mut draft.told).unwrap_or_default(),
        }
    }
    draft
}

/// A list of components, each with its place.
fn read_names<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<(String, Cursor<'t>)> {
    let items = reader.items(cursor).unwrap_or_default();
    items.into_iter().filter_map(|item| Some((reader.text(&item)?, item))).collect()
}

fn invalid(message: String, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(hint)
}

fn entry_of(text: &str) -> Result<(String, u16), Error> {
    match text.split_once(':') {
        Some((component, number)) if !component.is_empty() => Ok((component.to_owned(), port(number)?)),
        _ => Err(invalid(
            format!("entry `{text}` is not a component and its port"),
            "write `component:port`, such as `proxy:8080`",
        )),
    }
}

/// A duration that outlives being kept as whole milliseconds.
fn whole_millis(text: &str) -> Result<Duration, Error> {
    let duration = value::duration(text)?;
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(invalid(format!("duration `{text}` is not a whole number of milliseconds"), "write `1ms` or more"));
    }
    Ok(duration)
}

pub(super) fn more_than_zero(text: &str) -> Result<Duration, Error> {
    match whole_millis(text)? {
        Duration::ZERO => Err(invalid(format!("duration `{text}` is zero"), "write a longer one, such as `10m`")),
        duration => Ok(duration),
    }
}

fn path(text: &str) -> Result<String, Error> {
    if !text.starts_with('/') {
        return Err(invalid(format!("path `{text}` does not begin with `/`"), format!("write `/{text}`")));
    }
    if let Some(bad) =
        text.chars().find(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#') || !c.is_ascii())
    {
        return Err(invalid(
            format!("path `{text}` contains {bad:?}"),
            "write the path alone, without query, as it is sent",
        ));
    }
    Ok(text.to_owned())
}

/// What may stand in a `Host` header.
fn host(text: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match text.chars().find(|c| !plain(*c)) {
        Some(bad) => {
            Err(invalid(format!("host `{text}` contains {bad:?}"), "write the host alone, such as `shop.example`"))
        }
        None if text.is_empty() => Err(invalid("the host is empty".to_owned(), "write a host, such as `shop.example`")),
        None => Ok(text.to_owned()),
    }
}

fn same_site(text: &str) -> Result<SameSite, Error> {
    match text {
        "none" => Ok(SameSite::None),
        "lax" => Ok(SameSite::Lax),
        "strict" => Ok(SameSite::Strict),
        _ => Err(invalid(format!("`{text}` is not what a cookie can be"), "write `none`, `lax` or `strict`")),
    }
}

/// The host of a cookie. A dot before it, as older cookies had one, means nothing (RFC 6265, 5.2.3).
fn cookie_domain(text: &str) -> Result<String, Error> {
    let domain = text.strip_prefix('.').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if domain.is_empty() || !domain.chars().all(plain) {
        return Err(invalid(
            format!("`{text}` is not a host that a cookie can be for"),
            "write the host alone, without a port, such as `example.com`",
        ));
    }
    Ok(domain.to_ascii_lowercase())
}

fn cookie_path(text: &str) -> Result<String, Error> {
    let path = path(text)?;
    if path.contains(';') {
        return Err(invalid(format!("path `{path}` contains `;`, which ends it in a cookie"), "write a path without"));
    }
    Ok(path)
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
            _ => ready.within = reader.value(&entry.value, more_than_zero).unwrap_or(ready.within),
        }
    }
    Some(ready)
}

/// `{ idle, ignore, same_site, domain, path, partitioned }`.
fn read_session<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<SessionPolicy> {
    let mut session = SessionPolicy::default();
    if let Value::Scalar(_) = cursor.node.value {
        let hint = "remove it: sessions are known by the gateway's own cookie; or write `session: { idle: 30m }`";
        reader.unsupported(cursor, "an application's own cookie is", hint);
        return None;
    }
    for entry in reader.known_entries(cursor, &keys::SESSION)? {
        match entry.key.text.as_str() {
            "idle" => session.idle = reader.value(&entry.value, more_than_zero).unwrap_or(session.idle),
            "same_site" => session.cookie.same_site = reader.value(&entry.value, same_site).unwrap_or_default(),
            "domain" => session.cookie.domain = reader.value(&entry.value, cookie_domain),
            "path" => session.cookie.path = reader.value(&entry.value, cookie_path),
            "partitioned" => session.cookie.partitioned = reader.boolean(&entry.value).unwrap_or_default(),
            _ => {
                let items = reader.items(&entry.value).unwrap_or_default();
                session.ignore = items.iter().filter_map(|item| reader.value(item, path)).collect();
            }
        }
    }
    Some(session)
}

/// `{ stop_after, remove_after }`.
fn read_idle<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<IdlePolicy> {
    let mut idle = IdlePolicy::default();
    for entry in reader.known_entries(cursor, &keys::IDLE)? {
        let time = reader.value(&entry.value, more_than_zero);
        match entry.key.text.as_str() {
            "stop_after" => idle.stop_after = time,
            _ => idle.remove_after = time,
        }
    }
    if let (Some(stop), Some(remove)) = (idle.stop_after, idle.remove_after)
        && remove < stop
    {
        reader.wrong(cursor, "it is removed before it is stopped", "make `remove_after` the longer one");
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
            _ => {
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
        }
    }
    Some(production)
}

/// The settings of production, each name with an error if there is no such component.
pub(super) fn production(
    reader: &mut Reader<'_>,
    draft: Option<DraftProduction<'_>>,
    known: &BTreeSet<&str>,
    entry: Option<&Entry>,
) -> Option<Production> {
    let DraftProduction { links, without, variables } = draft?;
    let mut check = |name: &str, cursor: &Cursor<'_>, gone: bool| {
        if !known.contains(name) {
            super::fit::no_such_component(reader, cursor, name, known);
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
) -> Option<ReleaseSettings> {
    let mut release = ReleaseSettings::default();
    let (mut ramp, mut every) = (None, None);
    for entry in reader.known_entries(cursor, &keys::RELEASE)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "replicas" => release.replicas = reader.number(at, 1).unwrap_or(release.replicas),
            "ramp" => ramp = read_ramp(reader, at),
            "every" => every = reader.value(at, whole_millis),
            "settle" => release.settle = reader.value(at, whole_millis).unwrap_or(release.settle),
            "drain" => release.drain = read_drain(reader, at).unwrap_or_default(),
            "queue" => release.queue = reader.value(at, queue).unwrap_or_default(),
            "before" => told.read_before(reader, at),
            "hooks" => told.read_hooks(reader, at),
            "max_versions" => release.max_versions = reader.number(at, 2).unwrap_or(release.max_versions),
            _ => release.unresponsive_for = reader.value(at, more_than_zero).unwrap_or(release.unresponsive_for),
        }
    }
    if let Some(shares) = ramp {
        release.ramp = shares.into_iter().map(|share| Stage { share, hold: release.ramp[0].hold }).collect();
    }
    if let Some(every) = every {
        release.ramp.iter_mut().for_each(|stage| stage.hold = every);
    }
    Some(release)
}

/// `[10%, 50%, 100%]`, growing, the last 100 %.
fn read_ramp<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Vec<Share>> {
    if cursor.node.scalar() == Some("auto") {
        reader.unsupported(
            cursor,
            "`ramp: auto` is",
            "write the stages out: `ramp: [10%, 50%, 100%]` and `every: 10m`",
        );
        return None;
    }
    let items = reader.items(cursor)?;
    let mut shares: Vec<Share> = Vec::new();
    for item in &items {
        if let Value::Map(_) = item.node.value {
            let hint = "write the shares alone, as in `ramp: [10%, 50%, 100%]`, and how long each is held as `every: 10m` next to `ramp`";
            reader.wrong(item, "a stage is a mapping, where a percentage is expected", hint);
            return None;
        }
        let share = reader.value(item, value::percentage)?;
        if share.is_zero() {
            reader.wrong(
                item,
                "a stage of 0% gives the candidate nothing to do",
                "begin with a larger share, such as `1%`",
            );
            return None;
        }
        if let Some(last) = shares.last().filter(|last| **last >= share) {
            let message = format!("the stage {share} does not follow {last}: a ramp only grows");
            reader.wrong(item, message, "put the stages into growing order");
            return None;
        }
        shares.push(share);
    }
    if shares.last() != Some(&Share::FULL) {
        reader.wrong(cursor, "the ramp does not end with 100%", "add `100%` as the last stage");
        return None;
    }
    Some(shares)
}

fn read_drain<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Drain> {
    let mut drain = Drain::default();
    for entry in reader.known_entries(cursor, &keys::DRAIN)? {
        drain.evict_after = reader.value(&entry.value, more_than_zero);
    }
    Some(drain)
}

fn queue(text: &str) -> Result<Queue, Error> {
    match text {
        "newest" => Ok(Queue::Newest),
        "supersede" => Ok(Queue::Supersede),
        _ => Err(invalid(format!("`{text}` is not what a newer release can do"), "write `newest` or `supersede`")),
    }
}

/// The component names of a list, each with an error if there is no such component.
pub(super) fn known_names<'d>(
    reader: &mut Reader<'_>,
    names: &'d [(String, Cursor<'_>)],
    known: &BTreeSet<&str>,
) -> BTreeSet<&'d str> {
    let mut found = BTreeSet::new();
    for (name, cursor) in names {
        match known.contains(name.as_str()) {
            true => _ = found.insert(name.as_str()),
            false => super::fit::no_such_component(reader, cursor, name, known),
        }
    }
    found
}
