//! What runs during a release, and who is notified: `release.before`, `release.hooks` and `notify`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::classify::Reason;
use super::components::no_such_component;
use super::keys;
use super::reader::{Cursor, Reader};
use super::service;
use super::settings_values::more_than_zero;
use super::tree::Value;
use crate::container::Sensitive;
use crate::environment::{Before, Entry, GateSpec, Hook, HookCommand, Receiver};
use crate::error::{Error, ErrorKind};
use crate::name::ComponentName;

/// The settings as they were read, before the components are known.
#[derive(Default)]
pub(super) struct Draft<'t> {
    pub(super) before: Option<DraftBefore<'t>>,
    hooks: BTreeMap<Hook, DraftHook<'t>>,
    pub(super) gates: BTreeMap<usize, GateSpec>,
    notify: Vec<Receiver>,
}

pub(super) struct DraftBefore<'t> {
    pub(super) component: String,
    cursor: Cursor<'t>,
    within: Duration,
}

struct DraftHook<'t> {
    component: Option<(String, Cursor<'t>)>,
    command: Vec<Sensitive>,
    within: Duration,
}

/// The settings once they are checked against the components.
#[derive(Default)]
pub(super) struct CheckedHooks {
    pub(super) before: Option<Before>,
    pub(super) hooks: BTreeMap<Hook, HookCommand>,
    pub(super) gates: BTreeMap<usize, GateSpec>,
    pub(super) notify: Vec<Receiver>,
}

impl<'t> Draft<'t> {
    /// `migrate`, or `{ component, within }`.
    pub(super) fn read_before(&mut self, reader: &mut Reader<'t>, cursor: &Cursor<'t>) {
        let (mut named, mut within) = (None, Before::DEFAULT_WITHIN);
        if let Value::Scalar(_) = cursor.node.value {
            named = reader.text(cursor).map(|text| (text, cursor.clone()));
        } else {
            for entry in reader.known_entries(cursor, &keys::BEFORE).unwrap_or_default() {
                match entry.key.text.as_str() {
                    "component" => named = reader.text(&entry.value).map(|text| (text, entry.value)),
                    "within" => within = reader.value(&entry.value, more_than_zero).unwrap_or(within),
                    other => keys::unread(other),
                }
            }
            if named.is_none() && reader.error_count() == 0 {
                reader.wrong(cursor, "`before` names no component", "write `before: { component: migrate }`");
            }
        }
        self.before = named.map(|(component, cursor)| DraftBefore { component, cursor, within });
    }

    /// `{ serving, draining }`.
    pub(super) fn read_hooks(&mut self, reader: &mut Reader<'t>, cursor: &Cursor<'t>) {
        for entry in reader.known_entries(cursor, &keys::RELEASE_HOOKS).unwrap_or_default() {
            let hook = if entry.key.text == "serving" { Hook::Serving } else { Hook::Draining };
            if let Some(draft) = read_hook(reader, &entry.value) {
                self.hooks.insert(hook, draft);
            }
        }
    }

    /// `[url or command]`.
    pub(super) fn read_notify(&mut self, reader: &mut Reader<'t>, cursor: &Cursor<'t>) {
        for item in reader.items(cursor).unwrap_or_default() {
            self.notify.extend(reader.value(&item, |text| {
                match text.trim() {
                    "" => Err(Error::new(ErrorKind::InvalidValue, "an entry of `notify` is empty")
                        .with_hint("write a URL, or a command")),
                    text => Ok(Receiver::new(text)),
                }
            }));
        }
    }

    /// Checks the names of components. A name that does not fit is an error.
    pub(super) fn told(
        self,
        reader: &mut Reader<'t>,
        drafts: &BTreeMap<ComponentName, service::Draft<'t>>,
        reasons: &BTreeMap<ComponentName, Reason>,
        entry: Option<&Entry>,
    ) -> CheckedHooks {
        let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
        let before = self.before.and_then(|before| before.check(reader, drafts, reasons, entry));
        let mut hooks = BTreeMap::new();
        for (hook, DraftHook { component, command, within }) in self.hooks {
            let component = match component {
                None => None,
                Some((name, cursor)) if !known.contains(name.as_str()) => {
                    no_such_component(reader, &cursor, &name, &known);
                    continue;
                }
                Some((name, cursor)) => {
                    let shared = !reasons.get(name.as_str()).is_some_and(Reason::is_versioned);
                    if shared && entry.is_none_or(|entry| entry.component.as_str() != name) {
                        let message = format!("`{name}` is shared, so no version has one of its own to tell");
                        reader.wrong(&cursor, message, "name a component that every version has its own of");
                    }
                    ComponentName::new(name).ok()
                }
            };
            hooks.insert(hook, HookCommand { component, command, within });
        }
        CheckedHooks { before, hooks, gates: self.gates, notify: self.notify }
    }
}

impl<'t> DraftBefore<'t> {
    fn check(
        self,
        reader: &mut Reader<'t>,
        drafts: &BTreeMap<ComponentName, service::Draft<'t>>,
        reasons: &BTreeMap<ComponentName, Reason>,
        entry: Option<&Entry>,
    ) -> Option<Before> {
        let Self { component: name, cursor, within } = self;
        let Some((component, draft)) = drafts.get_key_value(name.as_str()) else {
            let known: BTreeSet<&str> = drafts.keys().map(ComponentName::as_str).collect();
            no_such_component(reader, &cursor, &name, &known);
            return None;
        };
        if entry.is_some_and(|entry| entry.component == *component) {
            let message = format!("`{name}` takes the traffic, so it cannot end before there is any");
            reader.wrong(&cursor, message, "name a component that does its work and ends");
        }
        if matches!(reasons.get(component), Some(Reason::Listed)) {
            let message = format!("`{name}` is shared, and every version brings its own of what runs before it");
            reader.wrong(&cursor, message, format!("remove `{name}` from `x-haddock.shared`"));
        }
        for (to, at) in draft.others() {
            let is_entry = entry.is_some_and(|entry| entry.component.as_str() == to);
            if is_entry || reasons.get(to).is_some_and(Reason::is_versioned) {
                let message = format!("`{name}` runs before a version is launched, and cannot need its `{to}`");
                reader.wrong(at, message, format!("remove it, or list `{to}` under `x-haddock.shared`"));
            }
        }
        Some(Before { component: component.clone(), within })
    }
}

/// A command, or `{ component, command, within }`.
fn read_hook<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<DraftHook<'t>> {
    let mut hook = DraftHook { component: None, command: Vec::new(), within: HookCommand::DEFAULT_WITHIN };
    match cursor.node.value {
        Value::Map(_) => {
            for entry in reader.known_entries(cursor, &keys::HOOK)? {
                let at = &entry.value;
                match entry.key.text.as_str() {
                    "component" => hook.component = reader.text(at).map(|text| (text, at.clone())),
                    "command" => hook.command = read_command(reader, at),
                    "within" => hook.within = reader.value(at, more_than_zero).unwrap_or(hook.within),
                    other => keys::unread(other),
                }
            }
        }
        _ => hook.command = read_command(reader, cursor),
    }
    if hook.command.is_empty() {
        if reader.error_count() == 0 {
            reader.wrong(cursor, "there is no command", "write one, such as `curl -fsS -X POST localhost:8080/drain`");
        }
        return None;
    }
    Some(hook)
}

/// A text for the shell, or a list of words.
pub(super) fn read_command<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<Sensitive> {
    let words = match cursor.node.value {
        Value::Scalar(_) => match reader.text(cursor) {
            Some(text) if !text.trim().is_empty() => vec!["/bin/sh".to_owned(), "-c".to_owned(), text],
            _ => Vec::new(),
        },
        _ => reader.texts(cursor),
    };
    words.into_iter().map(Sensitive::new).collect()
}
