//! The page of a release that really happened, from what the history and the locators know of it.
//!
//! | file | part |
//! |---|---|
//! | `chosen` | which release is meant, by number, tag or commit |
//! | `period` | what the history says of the time of the release: shares, marks, how it ended |
//! | `sessions` | what the record of traffic says of its sessions |

mod chosen;
mod period;
mod sessions;

use std::collections::BTreeMap;

use super::model::{Conclusion, Fact, Line, Page, Tone};
use super::words;
use crate::error::ErrorKind;
use crate::name::{ServiceName, VersionId};
use crate::release::Progress;
use crate::time::Timestamp;

pub(crate) use chosen::{Begun, Releases};
pub(crate) use period::Period;
pub(crate) use sessions::Records;

/// Draws a release.
pub(crate) fn page(service: &ServiceName, begun: &Begun, period: &Period, records: &Records) -> Page {
    let version = begun.version;
    let what = if begun.rollback { "return to an earlier version, as" } else { "release of" };
    let mut page = Page::new(format!("{service}: {what} version {}", version.0), period.from, period.until);
    page.subtitle = subtitle(begun);
    page.marks.clone_from(&period.marks);
    page.conclusion = Some(conclusion(version, period));
    let sessions = sessions::add_up(&period.instances, records, period.from, period.until);
    page.gaps.clone_from(&sessions.gaps);
    page.lines = lines(version, period, &sessions);
    page.facts = facts(begun, period, &sessions);
    page.tables.extend(sessions.table());
    page.notes = notes(period, records, &sessions);
    page
}

fn subtitle(begun: &Begun) -> String {
    let mut parts: Vec<String> = begun.images.values().map(|image| format!("`{image}`")).collect();
    parts.extend(begun.commit.as_ref().map(|commit| format!("commit `{commit}`")));
    parts.extend(begun.by.as_ref().map(|by| format!("asked for by `{by}`")));
    parts.join(", ")
}

fn conclusion(version: VersionId, period: &Period) -> Conclusion {
    let told = |tone, word: &str, text: String| Conclusion { tone, word: word.to_owned(), text };
    let name = format!("version {}", version.0);
    match (&period.went_back, period.phase) {
        (Some(why), _) => told(Tone::Bad, "given up", why.clone()),
        (None, Some(Progress::Settled)) => {
            told(Tone::Good, "settled", format!("{name} is the known good one since then"))
        }
        (None, Some(phase @ (Progress::Aborted | Progress::Aborting))) => {
            let why = period.aborted.clone().unwrap_or_else(|| format!("{name} was aborted"));
            told(Tone::Bad, phase.name(), why)
        }
        (None, Some(phase)) => told(Tone::Neutral, phase.name(), format!("the release of {name} goes on")),
        (None, None) => told(Tone::Neutral, "unknown", format!("the history does not say what became of {name}")),
    }
}

/// The versions that had a share or sessions. Without a record, what the history counted is drawn as dots.
fn lines(version: VersionId, period: &Period, sessions: &sessions::Sessions) -> Vec<Line> {
    let mut lines: BTreeMap<VersionId, Line> = BTreeMap::new();
    for of in period.shares.keys().chain(sessions.live.keys()).chain(period.counted.keys()) {
        let new = || Line { candidate: *of == version, ..Line::new(format!("version {}", of.0)) };
        let line = lines.entry(*of).or_insert_with(new);
        line.shares = period.shares.get(of).cloned().unwrap_or_default();
        line.live = match sessions.live.get(of) {
            Some(live) => live.clone(),
            None => dots(period.counted.get(of).map(Vec::as_slice).unwrap_or_default()),
        };
    }
    let shown = |line: &Line| {
        let has_share = line.shares.iter().any(|(_, share)| !share.is_zero());
        has_share || line.candidate || line.live.iter().any(|(_, live)| live.is_some_and(|live| live > 0))
    };
    lines.into_values().filter(shown).collect()
}

/// Single counts: nobody knows what was between them.
fn dots(counted: &[(Timestamp, u64)]) -> Vec<(Timestamp, Option<u64>)> {
    let dot = |(at, live): &(Timestamp, u64)| [(*at, Some(*live)), (*at, None)];
    counted.iter().flat_map(dot).collect()
}

fn facts(begun: &Begun, period: &Period, sessions: &sessions::Sessions) -> Vec<Fact> {
    let after = |at: Option<Timestamp>| at.map_or("–".to_owned(), |at| words::lasting(at - begun.at));
    let mut facts = vec![Fact::new("until the full share", after(period.full_at))];
    if period.aborted.is_some() || period.went_back.is_some() {
        facts.push(Fact::new("until its share was given back", after(period.aborted_at)));
    } else {
        facts.push(Fact::new("until no older version was left", after(period.gone_at)));
    }
    let counts = sessions.counts.get(&begun.version);
    let value = |value: Option<u64>| value.map_or("unknown".to_owned(), words::count);
    let mut failed = Fact::new(
        format!("sessions of version {} with a failed request", begun.version.0),
        value(counts.map(|counts| counts.failed)),
    );
    if let Some(counts) = counts {
        failed.note = format!("{} began", words::count(counts.begun));
    }
    facts.push(failed);
    facts.push(Fact::new("sessions lost", words::count(period.lost)));
    facts
}

fn notes(period: &Period, records: &Records, sessions: &sessions::Sessions) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, record) in records {
        match record {
            Err(error) if error.kind() == ErrorKind::NotSupported => notes.push(format!(
                "Live sessions and figures are not known: {error}. The dots are what the history counted."
            )),
            Err(error) => notes.push(format!("Live sessions and figures are not known: locator `{name}`: {error}")),
            Ok(record) if record.is_unknown() => notes.push(format!(
                "Locator `{name}` has no record of this time: it did not record yet, or has forgotten it."
            )),
            Ok(_) => {}
        }
    }
    let unknown: std::time::Duration = sessions.gaps.iter().map(|gap| gap.to - gap.from).sum();
    if !sessions.live.is_empty() && !unknown.is_zero() {
        let lasting = words::lasting(unknown);
        notes.push(format!("Of {lasting} nothing was recorded, so the figures are lower bounds."));
    }
    if !sessions.counts.is_empty() {
        notes.push("Figures are of all sessions that began or failed within the time of this page.".to_owned());
    }
    if period.is_cut {
        notes.push("The history of the release is longer than a page shows; this is its begin.".to_owned());
    }
    notes
}
