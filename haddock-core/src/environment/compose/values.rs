//! Reads values: texts, numbers and booleans, lists of texts, and pairs. Variables are filled in.

use std::collections::BTreeMap;

use super::number;
use super::reader::{Cursor, Reader};
use super::template::Filled;
use super::tree::Value;
use crate::error::{Error, ErrorKind, Result};

impl<'t> Reader<'t> {
    /// A text. As in Compose, a number or a boolean is refused, unless it is in quotes.
    pub(super) fn text(&mut self, cursor: &Cursor<'_>) -> Option<String> {
        self.quoted(cursor)?;
        self.any_text(cursor)
    }

    /// A text, a number or a boolean.
    pub(super) fn any_text(&mut self, cursor: &Cursor<'_>) -> Option<String> {
        self.filled(cursor).map(|filled| filled.text)
    }

    /// Fails at a number or a boolean without quotes.
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

    /// As [`value`](Self::value), but fails at a number or a boolean without quotes.
    pub(super) fn word<T>(&mut self, cursor: &Cursor<'_>, read: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let value = self.value(cursor, read)?;
        self.quoted(cursor)?;
        Some(value)
    }

    /// Reads a text with `read`. If the text has variables, an error shows it only as it stands in the file.
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

    /// Records the error of a text that was filled in, without the values of its variables.
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

    /// A boolean, also in the words of YAML 1.1 such as `yes`, as in Compose.
    pub(super) fn boolean(&mut self, cursor: &Cursor<'_>) -> Option<bool> {
        self.value(cursor, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" => Ok(true),
            "false" | "no" | "n" | "off" => Ok(false),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is neither `true` nor `false`"))
                .with_hint("write `true` or `false`")),
        })
    }

    /// As [`value`](Self::value), for what may be a number. Other spellings, such as `0x1F`, are numbers, too.
    pub(super) fn numeric<T>(&mut self, cursor: &Cursor<'_>, read: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let spelled = match &cursor.node.value {
            Value::Scalar(scalar) if scalar.bare => number::plain(&scalar.text),
            _ => None,
        };
        self.value(cursor, |text| read(spelled.as_deref().unwrap_or(text)))
    }

    /// Fails at a number with a point or an exponent. Compose takes only whole numbers here, or drops such a number.
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

    /// The texts of a list, each once, at its first place. Of texts that are the same up to a `=`, the last counts.
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
            let message = format!("entry {} of `{}` repeats an earlier one", index + 1, cursor.name());
            self.wrong(cursor, message, "keep one of them");
        }
        texts
    }

    /// Options of a driver: a mapping of texts and numbers.
    pub(super) fn options(&mut self, cursor: &Cursor<'t>) -> BTreeMap<String, String> {
        self.options_with(cursor, false)
    }

    /// As [`options`](Self::options); an option without a value is empty.
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

    /// Names with values: a mapping, or a list of `name=value`. A value that is missing is empty.
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
