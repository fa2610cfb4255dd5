//! Walking the tree: cursors that know their key path, values with variables filled in, and all errors collected.

use std::collections::{BTreeMap, BTreeSet};

use std::path::{Path, PathBuf};

use super::dotenv;
use super::file::Files;
use super::keys::{Keys, Verdict};
use super::load::Origin;
use super::number;
use super::template::Filled;
use super::tree::{Key, Mark, Node, Value};
use super::variables::{Lookup, Variables};
use crate::error::{Error, ErrorKind, Place, Result};

/// What is lost of a key that is not supported yet.
const ASKED_FOR: &str = "what it asks for";
/// What becomes of a variable whose value is a comment.
pub(super) const COMMENT: &str = "that it is a comment: Compose takes it for the value";
/// What becomes of what Compose hands to the engine as it is.
pub(super) const REFUSED_BY_ENGINE: &str = "the engine refuses it";
/// More keys than a hint lists.
const MANY: usize = 12;

/// Something in the file that is read and has no effect, or another thing worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What there is to say.
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

    /// A text as the file has it, with its variables; empty if it is no text.
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
    /// The files that what is read stands in, by the number in a mark.
    origins: &'t [Origin],
    files: &'t dyn Files,
    /// With the mark in the compose file, which orders them; an error's place may be in another file.
    errors: Vec<(Mark, Error)>,
    pub(super) notes: Vec<Note>,
    told_unset: BTreeSet<String>,
    /// Whether what is read is to run. Compose looks whether keys fit together only then.
    pub(super) runs: bool,
}

impl<'t> Reader<'t> {
    pub(super) fn new(origins: &'t [Origin], files: &'t dyn Files) -> Self {
        Self { origins, files, errors: Vec::new(), notes: Vec::new(), told_unset: BTreeSet::new(), runs: true }
    }

    /// The variable, as the file knows it in which the value stands.
    pub(super) fn variable(&self, cursor: &Cursor<'_>, name: &str) -> Option<&'t str> {
        self.origins[cursor.node.at.file].variables.get(name)
    }

    /// A path that the file names, seen from where its relative paths start.
    pub(super) fn path(&self, cursor: &Cursor<'_>, path: impl AsRef<Path>) -> PathBuf {
        self.origins[cursor.node.at.file].directory.join(path)
    }

    /// The folder that a build has where the file names none.
    pub(super) fn project(&self, cursor: &Cursor<'_>) -> &'t Path {
        &self.origins[cursor.node.at.file].project
    }

    /// The variables of a file in which nothing is filled in but by the lines above; `None` if there is no such file.
    pub(super) fn labels_file(&self, cursor: &Cursor<'_>, path: &Path) -> Result<Option<Variables>> {
        let origin = &self.origins[cursor.node.at.file];
        let path = origin.directory.join(path);
        let Some(text) = self.files.read(&path)? else { return Ok(None) };
        let shown = path.strip_prefix(&origin.directory).unwrap_or(&path).display().to_string();
        dotenv::parse(&shown, &text, &|_| None, &|_| None).map(Some)
    }

    /// The variables of a file; `None` if there is no such file. Its values may mention the caller's variables, those of
    /// `own`, and then of `inner`.
    pub(super) fn variables_file(
        &self,
        cursor: &Cursor<'_>,
        path: &Path,
        format: dotenv::Format,
        own: Lookup<'_>,
        inner: Lookup<'_>,
    ) -> Result<Option<Variables>> {
        let origin = &self.origins[cursor.node.at.file];
        let path = origin.directory.join(path);
        let Some(text) = self.files.read(&path)? else { return Ok(None) };
        let shown = path.strip_prefix(&origin.directory).unwrap_or(&path).display().to_string();
        let outer = |name: &str| origin.variables.get(name).map(str::to_owned);
        match format {
            // A line `NAME` takes the caller's value alone.
            dotenv::Format::Dotenv => {
                dotenv::parse_with(&shown, &text, &outer, &|name| outer(name).or_else(|| own(name)), inner)
            }
            dotenv::Format::Raw => dotenv::parse_raw(&shown, &text, &outer),
        }
        .map(Some)
    }

    pub(super) fn place(&self, at: Mark, path: &str) -> Place {
        at.place(&self.origins[at.file].name, path)
    }

    /// Takes down an error at a value.
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

    /// Takes down that keys do not fit together, which is no error of what is not to run.
    pub(super) fn unfit(&mut self, cursor: &Cursor<'_>, message: impl Into<String>, hint: impl Into<String>) {
        if self.runs {
            self.wrong(cursor, message, hint);
        }
    }

    /// Takes down an error at a value that Compose takes, with what is lost there or goes wrong later.
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

    /// Takes down an error; one that has a place, in another file, keeps it.
    pub(super) fn fail_with(&mut self, cursor: &Cursor<'_>, error: Error) {
        let error = match error.place() {
            Some(_) => error,
            None => error.at(self.place(cursor.node.at, &cursor.path)),
        };
        self.errors.push((cursor.node.at, error));
    }

    /// Takes down an error that belongs to this mark and needs no place or has one.
    pub(super) fn fail_at(&mut self, at: Mark, error: Error) {
        self.errors.push((at, error));
    }

    /// What was noted so far.
    pub(super) fn noted(&self) -> (usize, BTreeSet<String>) {
        (self.notes.len(), self.told_unset.clone())
    }

    /// Forgets what was noted since.
    pub(super) fn forget_notes(&mut self, (count, told_unset): (usize, BTreeSet<String>)) {
        self.notes.truncate(count);
        self.told_unset = told_unset;
    }

    /// Takes back the errors since there were so many.
    pub(super) fn errors_since(&mut self, count: usize) -> Vec<(Mark, Error)> {
        self.errors.split_off(count)
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Errors and notes in the order of the file.
    pub(super) fn finish(mut self) -> (Vec<Error>, Vec<Note>) {
        self.errors.sort_by_key(|(at, _)| *at);
        // What an alias puts elsewhere is told there, not where its anchor is.
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

    pub(super) fn note(&mut self, cursor: &Cursor<'_>, message: impl Into<String>) {
        let place = self.place(cursor.node.at, &cursor.path);
        self.notes.push(Note { message: message.into(), place });
    }

    /// The entries of a mapping with free keys.
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

    /// What a section of the file declares, without extensions.
    pub(super) fn declarations(&mut self, cursor: &Cursor<'t>) -> Vec<Entry<'t>> {
        let entries = self.entries(cursor).unwrap_or_default();
        entries.into_iter().filter(|entry| !entry.key.text.starts_with("x-")).collect()
    }

    /// The entries of a mapping with these keys; errors for all others.
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
                        None if keys.supported.len() > MANY => {
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

    /// Tells which variables of texts cannot be filled in that are nobody's here: Compose fills in all.
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
                // What a merge has split is the text, not what it was split from.
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

    /// A text. As Compose has it, a number or a boolean is none, unless it is in quotes.
    pub(super) fn text(&mut self, cursor: &Cursor<'_>) -> Option<String> {
        self.quoted(cursor)?;
        self.any_text(cursor)
    }

    /// A text, a number or a boolean.
    pub(super) fn any_text(&mut self, cursor: &Cursor<'_>) -> Option<String> {
        self.filled(cursor).map(|filled| filled.text)
    }

    /// Fails at a number or a boolean.
    pub(super) fn quoted(&mut self, cursor: &Cursor<'_>) -> Option<()> {
        match &cursor.node.value {
            Value::Scalar(scalar) if scalar.bare => {
                let message = format!("`{}` is a number or a boolean, where a text is expected", scalar.text);
                self.wrong(cursor, message, format!("put it in quotes: `\"{}\"`", scalar.text));
                None
            }
            _ => Some(()),
        }
    }

    /// As [`value`](Self::value), of what is written as a text.
    pub(super) fn word<T>(&mut self, cursor: &Cursor<'_>, read: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let value = self.value(cursor, read)?;
        self.quoted(cursor)?;
        Some(value)
    }

    /// A text that `read` understands. Of a text with variables only the spelling in the file is ever shown.
    pub(super) fn value<T>(&mut self, cursor: &Cursor<'_>, read: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let filled = self.filled(cursor)?;
        match read(&filled.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(cursor, &filled, error);
                None
            }
        }
    }

    /// Takes down the error of a filled text, without the values of its variables.
    pub(super) fn refuse(&mut self, cursor: &Cursor<'_>, filled: &Filled, error: Error) {
        let error = match &cursor.node.value {
            Value::Scalar(_) if filled.from_variables => {
                let message = format!("`{}` is not valid once its variables are filled in", cursor.written());
                let hint = format!("{}; their values are not shown", expected(error.kind()));
                let shown = Error::new(error.kind(), message).with_hint(hint);
                error.lost_in_compose().into_iter().fold(shown, Error::stricter_than_compose)
            }
            _ => error,
        };
        self.fail_with(cursor, error);
    }

    /// A boolean, also in the words of YAML 1.1, as Compose has it.
    pub(super) fn boolean(&mut self, cursor: &Cursor<'_>) -> Option<bool> {
        self.value(cursor, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" => Ok(true),
            "false" | "no" | "n" | "off" => Ok(false),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is neither `true` nor `false`"))
                .with_hint("write `true` or `false`")),
        })
    }

    /// As [`value`](Self::value), of what may stand there as a number: YAML's other spellings of it are read as such.
    pub(super) fn numeric<T>(&mut self, cursor: &Cursor<'_>, read: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let spelled = match &cursor.node.value {
            Value::Scalar(scalar) if scalar.bare => number::plain(&scalar.text),
            _ => None,
        };
        self.value(cursor, |text| read(spelled.as_deref().unwrap_or(text)))
    }

    /// Fails at a number with a point or an exponent, where Compose takes whole ones alone, or drops it.
    pub(super) fn not_fraction(&mut self, cursor: &Cursor<'_>) -> Option<()> {
        match &cursor.node.value {
            Value::Scalar(scalar) if scalar.bare && number::is_fraction(&scalar.text) => {
                let message = format!("`{}` is a number with a point, where a text is expected", scalar.text);
                let hint = format!("put it in quotes: `\"{}\"`", scalar.text);
                self.stricter(cursor, message, hint, "Compose drops it without a word");
                None
            }
            _ => Some(()),
        }
    }

    /// Fails at a text, where a number without quotes is expected.
    pub(super) fn unquoted(&mut self, cursor: &Cursor<'_>) -> Option<()> {
        match &cursor.node.value {
            Value::Scalar(scalar) if !scalar.bare => {
                let hint = "write the number without quotes, and without a variable";
                self.wrong(cursor, format!("`{}` is a text, where a number is expected", cursor.name()), hint);
                None
            }
            _ => Some(()),
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn number(&mut self, cursor: &Cursor<'_>, least: u32) -> Option<u32> {
        self.numeric(cursor, |text| match text.parse::<u32>() {
            Ok(number) if number >= least => Ok(number),
            _ => {
                let message = format!("`{text}` is not a whole number of at least {least}");
                let error = Error::new(ErrorKind::InvalidValue, message);
                let error = error.with_hint(format!("write a whole number, such as `{}`", least.max(1)));
                match number::is_fraction(text) {
                    true => Err(error.stricter_than_compose("what stands behind the point")),
                    false => Err(error),
                }
            }
        })
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

    /// Whether it is a list rather than a mapping; an error and `None` if it is neither.
    pub(super) fn is_list(&mut self, cursor: &Cursor<'_>) -> Option<bool> {
        match cursor.node.value {
            Value::List(_) => Some(true),
            Value::Map(_) => Some(false),
            _ => {
                self.mistyped(cursor, "a list or a mapping", "write `- value` or `key: value` lines below it");
                None
            }
        }
    }

    /// The texts of a list.
    pub(super) fn texts(&mut self, cursor: &Cursor<'t>) -> Vec<String> {
        let items = self.items(cursor).unwrap_or_default();
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    /// The texts of a list, each once, where it stands first; of those that are the same up to a `=`, the last.
    pub(super) fn unique_texts(&mut self, cursor: &Cursor<'t>) -> Vec<String> {
        let name = |text: &str| text.split_once('=').map_or(text, |(name, _)| name).to_owned();
        let mut unique: Vec<String> = Vec::new();
        for text in self.texts(cursor) {
            match unique.iter_mut().find(|before| name(before) == name(&text)) {
                Some(before) => *before = text,
                None => unique.push(text),
            }
        }
        unique
    }

    /// The texts of a list in which none may stand twice.
    pub(super) fn distinct_texts(&mut self, cursor: &Cursor<'t>) -> Vec<String> {
        let texts = self.texts(cursor);
        if let Some(index) = (1..texts.len()).find(|index| texts[..*index].contains(&texts[*index])) {
            let message = format!("entry {} of `{}` stands there before", index + 1, cursor.name());
            self.wrong(cursor, message, "keep one of them");
        }
        texts
    }

    /// Options of a driver: a mapping of texts and numbers.
    pub(super) fn options(&mut self, cursor: &Cursor<'t>) -> BTreeMap<String, String> {
        self.options_with(cursor, false)
    }

    /// As [`options`](Self::options); without a value they are empty.
    pub(super) fn options_or_empty(&mut self, cursor: &Cursor<'t>) -> BTreeMap<String, String> {
        self.options_with(cursor, true)
    }

    fn options_with(&mut self, cursor: &Cursor<'t>, may_be_empty: bool) -> BTreeMap<String, String> {
        let mut options = BTreeMap::new();
        for entry in self.entries(cursor).unwrap_or_default() {
            match &entry.value.node.value {
                Value::Null if may_be_empty => _ = options.insert(entry.key.text.clone(), String::new()),
                Value::Scalar(scalar) if scalar.bare && matches!(scalar.text.as_str(), "true" | "false") => {
                    self.quoted(&entry.value);
                }
                _ => {
                    if let Some(text) = self.any_text(&entry.value) {
                        options.insert(entry.key.text.clone(), text);
                    }
                }
            }
        }
        options
    }

    /// Names with values: a mapping, or a list of `name=value`. Without a value it is empty.
    pub(super) fn pairs(&mut self, cursor: &Cursor<'t>) -> BTreeMap<String, String> {
        let Some(is_list) = self.is_list(cursor) else { return BTreeMap::new() };
        if is_list {
            let items = self.items(cursor).unwrap_or_default();
            let pairs = items.iter().filter_map(|item| self.pair(item));
            let split = |text: String| match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (text, String::new()),
            };
            return pairs.map(split).collect();
        }
        let mut pairs = BTreeMap::new();
        for entry in self.entries(cursor).unwrap_or_default() {
            let value = if entry.value.is_null() { Some(String::new()) } else { self.any_text(&entry.value) };
            pairs.extend(value.map(|value| (entry.key.text.clone(), value)));
        }
        pairs
    }

    /// An item of a list of `name=value`.
    pub(super) fn pair(&mut self, cursor: &Cursor<'_>) -> Option<String> {
        if let Value::Map(_) = cursor.node.value {
            self.mistyped(
                cursor,
                "`name=value`",
                "write `- name=value`, or `name: value` without the `-` in each line",
            );
            return None;
        }
        self.text(cursor)
    }
}

/// What a value of that kind should look like.
fn expected(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidImageReference => "an image is `registry/repository:tag`",
        ErrorKind::InvalidName => "names have letters, digits and `-`, and begin with a letter or a digit",
        _ => "look at what they are set to",
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
