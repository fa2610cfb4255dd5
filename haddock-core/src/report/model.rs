//! The data of a page.

use crate::routing::Share;
use crate::time::Timestamp;

/// What a page shows.
///
/// ```
/// use haddock_core::report::{Line, Mark, Page, Tone};
/// use haddock_core::{Share, Timestamp};
///
/// let at = |minute: u64| Timestamp::from_millis(minute * 60_000);
/// let mut page = Page::new("shop: release of version 2", at(0), at(60));
/// page.lines.push(Line {
///     shares: vec![(at(0), Share::ZERO), (at(10), Share::percent(10)), (at(20), Share::FULL)],
///     live: vec![(at(10), Some(0)), (at(30), Some(250)), (at(60), Some(400))],
///     ..Line::new("version 2")
/// });
/// page.marks.push(Mark::new(at(20), Tone::Good, "full share", "version 2 gets all new sessions"));
/// assert!(page.html().starts_with("<!DOCTYPE html>"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// A sentence below the heading, such as images and commit; may be empty.
    pub subtitle: String,
    /// How it ended, or how it stands.
    pub conclusion: Option<Conclusion>,
    /// The few figures that matter most, in order.
    pub facts: Vec<Fact>,
    /// How points in time are written.
    pub scale: Scale,
    /// Where the charts begin.
    pub from: Timestamp,
    /// Where they end.
    pub to: Timestamp,
    /// The versions, oldest first.
    pub lines: Vec<Line>,
    /// When nothing was recorded.
    pub gaps: Vec<Gap>,
    /// What happened, oldest first. If there are too many to be told apart, some neutral ones are left out, and the page
    /// says how many.
    pub marks: Vec<Mark>,
    /// Figures in full.
    pub tables: Vec<Table>,
    /// What else a reader has to know, such as what is not known.
    pub notes: Vec<String>,
}

impl Page {
    /// A page with nothing but a heading, for this time.
    #[must_use]
    pub fn new(title: impl Into<String>, from: Timestamp, to: Timestamp) -> Self {
        Self {
            title: title.into(),
            subtitle: String::new(),
            conclusion: None,
            facts: Vec::new(),
            scale: Scale::Utc,
            from,
            to,
            lines: Vec::new(),
            gaps: Vec::new(),
            marks: Vec::new(),
            tables: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// How points in time are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// By date and time of day, in UTC.
    Utc,
    /// As the time since this one, for what did not really happen.
    Since(Timestamp),
}

/// Whether something is good news. It decides colour and shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Neither.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// Something went wrong.
    Bad,
}

/// How it ended, or how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// Whether that is good news.
    pub tone: Tone,
    /// In a word, such as `settled`.
    pub word: String,
    /// In a sentence.
    pub text: String,
}

/// A figure that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Of what, such as `until the full share`.
    pub label: String,
    /// The value with its unit, such as `23 min`.
    pub value: String,
    /// What else is to be said of it, such as a range; may be empty.
    pub note: String,
}

impl Fact {
    /// A figure without a note.
    #[must_use]
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), note: String::new() }
    }
}

/// A version over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name, such as `version 2`.
    pub name: String,
    /// Whether the page is about it.
    pub candidate: bool,
    /// Its share of new sessions, each from that time on, oldest first. Before the first, it is zero.
    pub shares: Vec<(Timestamp, Share)>,
    /// Its live sessions at these times, oldest first; `None`: unknown from that time on.
    pub live: Vec<(Timestamp, Option<u64>)>,
}

impl Line {
    /// A version of which nothing is known yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), candidate: false, shares: Vec::new(), live: Vec::new() }
    }

    /// The share at that time.
    #[must_use]
    pub fn share_at(&self, at: Timestamp) -> Share {
        let until = self.shares.partition_point(|(from, _)| *from <= at);
        until.checked_sub(1).map_or(Share::ZERO, |last| self.shares[last].1)
    }

    /// The live sessions that were last counted at that time; `None` if unknown.
    #[must_use]
    pub fn live_at(&self, at: Timestamp) -> Option<u64> {
        let until = self.live.partition_point(|(from, _)| *from <= at);
        until.checked_sub(1).and_then(|last| self.live[last].1)
    }
}

/// A time in which nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Whether it is good news.
    pub tone: Tone,
    /// What, in one or two words, such as `stage 10%`.
    pub label: String,
    /// What, in a sentence.
    pub text: String,
}

impl Mark {
    /// Something that happened.
    #[must_use]
    pub fn new(at: Timestamp, tone: Tone, label: impl Into<String>, text: impl Into<String>) -> Self {
        Self { at, tone, label: label.into(), text: text.into() }
    }
}

/// Figures in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The heads of its columns.
    pub head: Vec<String>,
    /// Its rows. The first cell of each says what the row is about; the others are figures.
    pub rows: Vec<Vec<String>>,
}
