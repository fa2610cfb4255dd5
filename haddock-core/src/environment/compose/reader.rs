//! Reads values from the tree. A cursor knows its key path, variables are filled in, and all errors are collected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::dotenv;
use super::file::Files;
use super::keys::{Keys, Verdict};
use super::source_file::SourceFile;
use super::template::Filled;
use super::tree::{Key, Mark, Node, Value};
use super::variables::{Lookup, Variables};
use crate::error::{Error, ErrorKind, Place, Result};

/// What would be lost if a key that is not supported yet were ignored.
const ASKED_FOR: &str = "what it asks for";
/// What is lost if the value of a variable is only a comment.
pub(super) const COMMENT: &str = "that the value is only a comment, which Compose takes for the value";
/// How a value fails later if Compose hands it to the engine unchecked.
pub(super) const REFUSED_BY_ENGINE: &str = "the engine refuses it";
/// How many keys a hint lists.
const MAX_LISTED_KEYS: usize = 12;

/// A remark on the file: a key that has no effect, or something else that people should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What to know.
    pub message: String,
    /// Where.
    pub place: Place,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A node and the path of keys that leads to it.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    pub(super) node: &'t Node,
    pub(super) path: String,
}

impl<'t> Cursor<'t> {
    fn key(&self, key: &str, node: &'t Node) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { node, path }
    }

    fn index(&self, index: usize, node: &'t Node) -> Self {
        Self { node, path: format!("{}[{index}]", self.path) }
    }

    /// The value of a key of a mapping, if it has that key.
    pub(super) fn child(&self, key: &str) -> Option<Self> {
        self.node.get(key).map(|node| self.key(key, node))
    }

    /// The last part of the path, for messages.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    /// A text as it stands in the file, with its variables not filled in; empty if this is no text.
    pub(super) fn written(&self) -> &'t str {
        match &self.node.value {
            Value::Scalar(scalar) => scalar.written.as_ref().map_or(&scalar.text, |written| &written.text),
            _ => "",
        }
    }

    /// The variables that a text mentions.
    pub(super) fn mentions(&self) -> Vec<String> {
        match &self.node.value {
            Value::Scalar(scalar) => scalar.written.as_ref().map(|written| written.names.clone()).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }
}

/// An entry of a mapping.
pub(super) struct Entry<'t> {
    pub(super) key: &'t Key,
    pub(super) value: Cursor<'t>,
}

pub(super) struct Reader<'t> {
    /// The files that were read. A mark holds the index of its file.
    sources: &'t [SourceFile],
    files: &'t dyn Files,
    /// Each error with its mark, which orders them. The place in an error may be in a file of variables.
    errors: Vec<(Mark, Error)>,
    pub(super) notes: Vec<Note>,
    told_unset: BTreeSet<String>,
    /// Whether the component that is read is to run. Only then Compose checks whether its keys fit together.
    pub(super) runs: bool,
}

impl<'t> Reader<'t> {
    pub(super) fn new(sources: &'t [SourceFile], files: &'t dyn Files) -> Self {
        Self { sources, files, errors: Vec::new(), notes: Vec::new(), told_unset: BTreeSet::new(), runs: true }
    }

    /// The value of a variable in the file that the cursor is in.
    pub(super) fn variable(&self, cursor: &Cursor<'_>, name: &str) -> Option<&'t str> {
        self.sources[cursor.node.at.file].variables.get(name)
    }

    /// A path that the file names. A relative path starts where those of its file do.
    pub(super) fn path(&self, cursor: &Cursor<'_>, path: impl AsRef<Path>) -> PathBuf {
        self.sources[cursor.node.at.file].directory.join(path)
    }

    /// The folder that is built if the file names none.
    pub(super) fn project(&self, cursor: &Cursor<'_>) -> &'t Path {
        &self.sources[cursor.node.at.file].project
    }

    /// The labels of a file; `None` if there is no such file. A value may mention only names of the lines above it.
    pub(super) fn labels_file(&self, cursor: &Cursor<'_>, path: &Path) -> Result<Option<Variables>> {
        let origin = &self.sources[cursor.node.at.file];
        let path = origin.directory.join(path);
        let Some(text) = self.files.read(&path)? else { return Ok(None) };
        let shown = path.strip_prefix(&origin.directory).unwrap_or(&path).display().to_string();
        dotenv::parse(&shown, &text, &|_| None, &|_| None).map(Some)
    }

    /// The variables of a file; `None` if there is no such file. A variable that a value mentions is looked up among
    /// the caller's, in `own`, in the lines above, and in `inner`, in this order.
    pub(super) fn variables_file(
        &self,
        cursor: &Cursor<'_>,
        path: &Path,
        format: dotenv::Format,
        own: Lookup<'_>,
        inner: Lookup<'_>,
    ) -> Result<Option<Variables>> {
        let origin = &self.sources[cursor.node.at.file];
        let path = origin.directory.join(path);
        let Some(text) = self.files.read(&path)? else { return Ok(None) };
        let shown = path.strip_prefix(&origin.directory).unwrap_or(&path).display().to_string();
        let outer = |name: &str| origin.variables.get(name).map(str::to_owned);
        match format {
            // A line `NAME` without a value gets the caller's value, and never one of `own` or `inner`.
            dotenv::Format::Dotenv => {
                dotenv::parse_with(&shown, &text, &outer, &|name| outer(name).or_else(|| own(name)), inner)
            }
            dotenv::Format::Raw => dotenv::parse_raw(&shown, &text, &outer),
        }
        .map(Some)
    }

    pub(super) fn place(&self, at: Mark, path: &str) -> Place {
        at.place(&self.sources[at.file].name, path)
    }

    /// Records an error at a value.
    pub(super) fn fail(
        &mut self,
        cursor: &Cursor<'_>,
        kind: ErrorKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.fail_with(cursor, Error::new(kind, message).with_hint(hint));
    }

    pub(super) fn wrong(&mut self, cursor: &Cursor<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.fail(cursor, ErrorKind::ComposeFile, message, hint);
    }

    /// Records that keys do not fit together. For a component that is not to run this is no error.
    pub(super) fn unfit(&mut self, cursor: &Cursor<'_>, message: impl Into<String>, hint: impl Into<String>) {
        if self.runs {
            self.wrong(cursor, message, hint);
        }
    }

    /// Records an error at a value that Compose accepts, with what Compose drops or what fails later.
    pub(super) fn stricter(
        &mut self,
        cursor: &Cursor<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
        lost: &str,
    ) {
        let error = Error::new(ErrorKind::ComposeFile, message).with_hint(hint).stricter_than_compose(lost);
        self.fail_with(cursor, error);
    }

    pub(super) fn unsupported(&mut self, cursor: &Cursor<'_>, what: impl std::fmt::Display, hint: impl Into<String>) {
        let error = Error::new(ErrorKind::NotSupported, format!("{what} not supported yet")).with_hint(hint);
        self.fail_with(cursor, error.stricter_than_compose(ASKED_FOR));
    }

    /// Records an error. An error that has a place already, in a file of variables, keeps it.
    pub(super) fn fail_with(&mut self, cursor: &Cursor<'_>, error: Error) {
        let error = match error.place() {
            Some(_) => error,
            None => error.at(self.place(cursor.node.at, &cursor.path)),
        };
        self.errors.push((cursor.node.at, error));
    }

    /// Records an error at this mark. The error has its place already, or needs none.
    pub(super) fn fail_at(&mut self, at: Mark, error: Error) {
        self.errors.push((at, error));
    }

    /// How much was noted so far, for [`forget_notes`](Self::forget_notes).
    pub(super) fn noted(&self) -> (usize, BTreeSet<String>) {
        (self.notes.len(), self.told_unset.clone())
    }

    /// Forgets the notes since [`noted`](Self::noted).
    pub(super) fn forget_notes(&mut self, (count, told_unset): (usize, BTreeSet<String>)) {
        self.notes.truncate(count);
        self.told_unset = told_unset;
    }

    /// Removes and returns all errors after the first `count`.
    pub(super) fn errors_since(&mut self, count: usize) -> Vec<(Mark, Error)> {
        self.errors.split_off(count)
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Errors and notes in the order of the file.
    pub(super) fn finish(mut self) -> (Vec<Error>, Vec<Note>) {
        self.errors.sort_by_key(|(at, _)| *at);
        // An alias has the mark of its anchor. Of equal errors at one mark, keep the last: its path is the alias's.
        self.errors.dedup_by(|later, before| {
            let same = later.0 == before.0 && later.1.message() == before.1.message();
            if same {
                std::mem::swap(later, before);
            }
            same
        });
        self.notes.sort_by_key(|note| (note.place.line, note.place.column));
        (self.errors.into_iter().map(|(_, error)| error).collect(), self.notes)
    }

    fn fail_at_key(&mut self, entry: &Entry<'_>, kind: ErrorKind, message: String, hint: String) {
        let place = self.place(entry.key.at, &entry.value.path);
        self.fail_at(entry.key.at, Error::new(kind, message).with_hint(hint).at(place));
    }

    pub(super) fn mistyped(&mut self, cursor: &Cursor<'_>, expected: &str, hint: &str) {
        let name = if cursor.path.is_empty() { "the file".to_owned() } else { format!("`{}`", cursor.name()) };
        let is = match &cursor.node.value {
            Value::Null => "empty",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        };
        let hint = if cursor.is_null() { format!("{hint}, or remove the key") } else { hint.to_owned() };
        self.wrong(cursor, format!("{name} is {is}, where {expected} is expected"), hint);
    }

    pub(super) fn note(&mut self, cursor: &Cursor<'_>, message: impl Into<String>) {
        let place = self.place(cursor.node.at, &cursor.path);
        self.notes.push(Note { message: message.into(), place });
    }

    /// The entries of a mapping that may have any keys.
    pub(super) fn entries(&mut self, cursor: &Cursor<'t>) -> Option<Vec<Entry<'t>>> {
        match &cursor.node.value {
            Value::Map(entries) => {
                Some(entries.iter().map(|(key, node)| Entry { key, value: cursor.key(&key.text, node) }).collect())
            }
            _ => {
                self.mistyped(cursor, "a mapping", "write `key: value` lines below it");
                None
            }
        }
    }

    /// The entries of a section of the file, without extensions (`x-…`).
    pub(super) fn declarations(&mut self, cursor: &Cursor<'t>) -> Vec<Entry<'t>> {
        let entries = self.entries(cursor).unwrap_or_default();
        entries.into_iter().filter(|entry| !entry.key.text.starts_with("x-")).collect()
    }

    /// The entries of a mapping that may have only these keys. Any other key is an error.
    pub(super) fn known_entries(&mut self, cursor: &Cursor<'t>, keys: &Keys) -> Option<Vec<Entry<'t>>> {
        let mut known = Vec::new();
        for entry in self.entries(cursor)? {
            let key = &entry.key.text;
            match keys.judge(key) {
                Verdict::Supported => known.push(entry),
                Verdict::Extension => self.check_texts(&entry.value),
                Verdict::Planned(hint) => {
                    let message = format!("`{key}` is not supported yet");
                    let place = self.place(entry.key.at, &entry.value.path);
                    let error = Error::new(ErrorKind::NotSupported, message).with_hint(hint).at(place);
                    self.fail_at(entry.key.at, error.stricter_than_compose(ASKED_FOR));
                }
                Verdict::Misplaced => {
                    let message = format!("`{key}` does not belong into {}", keys.what);
                    let hint = "our settings are called `x-haddock` and stand at the top level of the file".to_owned();
                    self.fail_at_key(&entry, ErrorKind::ComposeFile, message, hint);
                }
                Verdict::Unknown(meant) => {
                    let hint = match meant {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None if keys.supported.len() > MAX_LISTED_KEYS => {
                            format!("the keys of {} are listed in docs/reference/compose-file.md", keys.what)
                        }
                        None => format!("the keys here are {}", listed(keys.supported)),
                    };
                    let message = format!("`{key}` is not a key of {}", keys.what);
                    self.fail_at_key(&entry, ErrorKind::ComposeFile, message, hint);
                }
            }
        }
        Some(known)
    }

    /// Reports variables that cannot be filled in, in texts that Haddock does not use: Compose fills in all texts.
    pub(super) fn check_texts(&mut self, cursor: &Cursor<'t>) {
        match &cursor.node.value {
            Value::Null => {}
            Value::Scalar(scalar) => {
                if scalar.written.as_ref().is_some_and(|written| written.filled.is_err()) {
                    self.filled(cursor);
                }
            }
            Value::List(_) => self.items(cursor).into_iter().flatten().for_each(|item| self.check_texts(&item)),
            Value::Map(_) => self.entries(cursor).into_iter().flatten().for_each(|it| self.check_texts(&it.value)),
        }
    }

    pub(super) fn items(&mut self, cursor: &Cursor<'t>) -> Option<Vec<Cursor<'t>>> {
        match &cursor.node.value {
            Value::List(items) => {
                Some(items.iter().enumerate().map(|(index, node)| cursor.index(index, node)).collect())
            }
            _ => {
                self.mistyped(cursor, "a list", "write `- value` lines below it, or `[value, value]`");
                None
            }
        }
    }

    /// A text, number or boolean with its variables filled in.
    pub(super) fn filled(&mut self, cursor: &Cursor<'_>) -> Option<Filled> {
        let Value::Scalar(scalar) = &cursor.node.value else {
            self.mistyped(cursor, "a text", "write a value after the `:`");
            return None;
        };
        let Some(written) = &scalar.written else {
            return Some(Filled { text: scalar.text.clone(), ..Filled::default() });
        };
        match &written.filled {
            Ok(filled) => {
                for name in &filled.unset {
                    if self.told_unset.insert(name.clone()) {
                        self.note(cursor, format!("variable `{name}` is not set and is taken as empty"));
                    }
                }
                // A merge may have split the text at a `=`. Then the part counts, and not the whole.
                Some(Filled { text: scalar.text.clone(), ..filled.clone() })
            }
            Err(flaw) => {
                match flaw.is_empty {
                    true => self.stricter(cursor, flaw.message.clone(), flaw.hint.clone(), COMMENT),
                    false => self.wrong(cursor, flaw.message.clone(), flaw.hint.clone()),
                }
                None
            }
        }
    }
}

/// `a`, `b` and `c`.
pub(super) fn listed<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
