//! `ramp`, and the keys beside it that say how long its stages last.

use std::collections::BTreeMap;
use std::time::Duration;

use super::gate;
use super::keys;
use super::reader::{Cursor, Entry, Reader};
use super::settings_values::{sessions, whole_millis};
use super::tree::Value;
use crate::environment::GateSpec;
use crate::routing::Share;
use crate::settings::{AutoRamp, ReleaseSettings, Stage};
use crate::value;

/// The first share of a candidate whose ramp follows the evidence.
const FIRST_AUTO_SHARE: Share = Share::percent(1);

/// The keys of `release` that belong to the ramp, each with its place.
#[derive(Default)]
pub(super) struct Draft<'t> {
    ramp: Option<Cursor<'t>>,
    every: Option<Cursor<'t>>,
    after: Option<Cursor<'t>>,
    harm_budget: Option<Cursor<'t>>,
}

impl<'t> Draft<'t> {
    /// Takes an entry of `release`, if it is one of these keys.
    pub(super) fn takes(&mut self, entry: &Entry<'t>) -> bool {
        let place = match entry.key.text.as_str() {
            "ramp" => &mut self.ramp,
            "every" => &mut self.every,
            "after" => &mut self.after,
            "harm_budget" => &mut self.harm_budget,
            _ => return false,
        };
        *place = Some(entry.value.clone());
        true
    }

    /// Returns what is asked at the end of each stage that has such a gate.
    pub(super) fn put_into(self, reader: &mut Reader<'t>, release: &mut ReleaseSettings) -> BTreeMap<usize, GateSpec> {
        let mut gates = BTreeMap::new();
        if let Some(cursor) = self.ramp.as_ref().filter(|cursor| is_auto(cursor)).cloned() {
            self.put_auto_into(reader, &cursor, release);
            return gates;
        }
        if let Some(budget) = &self.harm_budget {
            let hint = "write `ramp: auto` next to it, or remove `harm_budget`";
            reader.wrong(budget, "only a ramp that follows the evidence has a `harm_budget`", hint);
        }
        let every = self.every.and_then(|at| reader.value(&at, whole_millis));
        let after = self.after.and_then(|at| reader.value(&at, sessions));
        let default =
            Stage { every: every.unwrap_or(release.ramp[0].every), after: after.unwrap_or(0), ..release.ramp[0] };
        match self.ramp.and_then(|cursor| read_stages(reader, &cursor, default, &mut gates)) {
            Some(stages) => release.ramp = stages,
            None => {
                release.ramp.iter_mut().for_each(|stage| *stage = Stage { share: stage.share, ..default });
                if let Some(last) = release.ramp.last_mut() {
                    last.after = 0;
                }
            }
        }
        gates
    }

    /// `ramp: auto`.
    fn put_auto_into(self, reader: &mut Reader<'t>, cursor: &Cursor<'t>, release: &mut ReleaseSettings) {
        // Its variables are filled in, as everywhere.
        reader.filled(cursor);
        for (key, place) in [("every", &self.every), ("after", &self.after)] {
            if let Some(place) = place {
                let message = format!("with `ramp: auto` the evidence says how long a share is kept, and not `{key}`");
                let hint = format!("remove `{key}`, or write the stages out, such as `ramp: [10%, 50%, 100%]`");
                reader.wrong(place, message, hint);
            }
        }
        let budget = self.harm_budget.and_then(|at| reader.number(&at, 1));
        release.auto = Some(budget.map_or_else(AutoRamp::default, |harm_budget| AutoRamp { harm_budget }));
        let stages = [FIRST_AUTO_SHARE, Share::FULL];
        release.ramp = stages.map(|share| Stage::new(share, Duration::ZERO)).to_vec();
    }
}

fn is_auto(cursor: &Cursor<'_>) -> bool {
    cursor.node.scalar() == Some("auto")
}

/// `[10%, 50%, 100%]`, growing, the last 100 %. An item may be `{ share, every, after, gate }`.
fn read_stages<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
    default: Stage,
    gates: &mut BTreeMap<usize, GateSpec>,
) -> Option<Vec<Stage>> {
    if let Value::Scalar(_) = cursor.node.value {
        let hint = "write the stages out, such as `ramp: [10%, 50%, 100%]`, or `ramp: auto`";
        reader.wrong(cursor, "`ramp` is a text, where a list or `auto` is expected", hint);
        return None;
    }
    let items = reader.items(cursor)?;
    let mut stages: Vec<Stage> = Vec::new();
    for item in &items {
        let (stage, asked) = read_stage(reader, item, default)?;
        gates.extend(asked.map(|asked| (stages.len(), asked)));
        let share = stage.share;
        if share.is_zero() {
            let hint = "begin with a larger share, such as `1%`";
            reader.wrong(item, "a stage of 0% gives the candidate nothing to do", hint);
            return None;
        }
        if let Some(last) = stages.last().map(|stage| stage.share).filter(|last| *last >= share) {
            let message = format!("the stage {share} does not follow {last}: a ramp only grows");
            reader.wrong(item, message, "put the stages into growing order");
            return None;
        }
        stages.push(stage);
    }
    if stages.last().map(|stage| stage.share) != Some(Share::FULL) {
        reader.wrong(cursor, "the ramp does not end with 100%", "add `100%` as the last stage");
        return None;
    }
    Some(stages)
}

fn read_stage<'t>(reader: &mut Reader<'t>, item: &Cursor<'t>, default: Stage) -> Option<(Stage, Option<GateSpec>)> {
    if !matches!(item.node.value, Value::Map(_)) {
        let share = reader.value(item, value::percentage)?;
        return Some((of_share(share, default), None));
    }
    let share = item.child("share");
    let share = match &share {
        Some(at) => reader.value(at, value::percentage)?,
        None => {
            reader.known_entries(item, &keys::STAGE)?;
            reader.wrong(item, "a stage has no `share`", "add it, such as `{ share: 10%, every: 10m }`");
            return None;
        }
    };
    let (mut stage, mut asked) = (of_share(share, default), None);
    for entry in reader.known_entries(item, &keys::STAGE)? {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        if share == Share::FULL && key != "share" {
            let message = format!("the last stage of a ramp has no `{key}`");
            let hint = format!(
                "remove it; `settle` next to `ramp` says how long the full share is held, and `{key}` may stand in the stage before"
            );
            reader.wrong(at, message, hint);
            continue;
        }
        match key {
            "share" => {}
            "every" => stage.every = reader.value(at, whole_millis).unwrap_or(stage.every),
            "after" => stage.after = reader.value(at, sessions).unwrap_or(stage.after),
            "gate" => (stage.gate, asked) = gate::read(reader, at).unwrap_or_default(),
            other => keys::unread(other),
        }
    }
    Some((stage, asked))
}

/// A stage with nothing of its own. The last one waits for no sessions: `settle` ends it.
fn of_share(share: Share, default: Stage) -> Stage {
    let after = if share == Share::FULL { 0 } else { default.after };
    Stage { share, after, ..default }
}
