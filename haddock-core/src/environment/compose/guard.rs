//! `x-haddock.guard`: what counts as failed and slow, and how a candidate is judged.

use std::time::Duration;

use super::keys;
use super::reader::{Cursor, Reader};
use super::settings_values::{chance, header, more_than_zero, path, tolerance};
use super::tree::Value;
use crate::routing::{FailedPolicy, SessionPolicy, StatusRange};
use crate::settings::GuardSettings;

/// The settings under `guard`. What is counted belongs to the policy of sessions, because locators count it.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) settings: GuardSettings,
    failed: FailedPolicy,
    slow: Option<Duration>,
}

impl Draft {
    pub(super) fn put_into(self, session: &mut SessionPolicy) -> GuardSettings {
        session.failed = self.failed;
        session.slow = self.slow;
        self.settings
    }
}

pub(super) fn read<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Draft> {
    if let Value::Scalar(_) = cursor.node.value {
        let hint = "write `guard: { acts: false }` for a guard that only tells what it finds";
        reader.wrong(cursor, "`guard` is a text, where a mapping is expected", hint);
        return None;
    }
    let mut draft = Draft::default();
    for entry in reader.known_entries(cursor, &keys::GUARD)? {
        let (at, settings) = (&entry.value, &mut draft.settings);
        match entry.key.text.as_str() {
            "acts" => settings.acts = reader.boolean(at).unwrap_or(settings.acts),
            "false_alarm" => settings.false_alarm = reader.value(at, chance).unwrap_or(settings.false_alarm),
            "tolerate" => settings.tolerate = reader.value(at, tolerance).unwrap_or(settings.tolerate),
            "at_most" => settings.at_most = reader.value(at, tolerance).unwrap_or(settings.at_most),
            "failed" => draft.failed = read_failed(reader, at).unwrap_or_default(),
            "slow" => draft.slow = read_slow(reader, at, settings),
            other => keys::unread(other),
        }
    }
    Some(draft)
}

/// `{ status, except, paths, except_paths, header }`.
fn read_failed<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<FailedPolicy> {
    let mut failed = FailedPolicy::default();
    for entry in reader.known_entries(cursor, &keys::FAILED)? {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "status" => failed.status = each(reader, at, str::parse::<StatusRange>),
            "except" => failed.except = each(reader, at, str::parse::<StatusRange>),
            "paths" => failed.paths = each(reader, at, path),
            "except_paths" => failed.except_paths = each(reader, at, path),
            "header" => failed.header = reader.value(at, header),
            other => keys::unread(other),
        }
    }
    Some(failed)
}

fn each<'t, T>(reader: &mut Reader<'t>, cursor: &Cursor<'t>, read: impl Fn(&str) -> crate::Result<T>) -> Vec<T> {
    let items = reader.items(cursor).unwrap_or_default();
    items.iter().filter_map(|item| reader.value(item, &read)).collect()
}

/// `2s`, or `{ after, tolerate }`.
fn read_slow<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>, settings: &mut GuardSettings) -> Option<Duration> {
    if let Value::Scalar(_) = cursor.node.value {
        return reader.value(cursor, more_than_zero);
    }
    let (mut after, mut is_given) = (None, false);
    for entry in reader.known_entries(cursor, &keys::SLOW)? {
        match entry.key.text.as_str() {
            "after" => (after, is_given) = (reader.value(&entry.value, more_than_zero), true),
            "tolerate" => {
                settings.tolerate_slow = reader.value(&entry.value, tolerance).unwrap_or(settings.tolerate_slow);
            }
            other => keys::unread(other),
        }
    }
    if !is_given {
        let hint = "add `after`, such as `slow: { after: 2s, tolerate: 5% }`, or remove `slow`";
        reader.wrong(cursor, "`slow` does not say after which time a request is slow", hint);
    }
    after
}
