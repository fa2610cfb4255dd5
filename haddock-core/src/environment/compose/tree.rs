//! The YAML of a compose file as a tree that knows where each key and value stands.

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{DuplicateKeyPolicy, Error as YamlError, MessageFormatter, NonFiniteFloatPolicy, Spanned};

use crate::error::{Error, ErrorKind, Place};

/// Line and column, both from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Mark {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    pub(super) fn place(self, file: &str, key: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column, key: key.to_owned() }
    }
}

/// A value and where it stands. What an alias brings in stands where its anchor is.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) value: Value,
}

/// What YAML knows. Numbers and booleans are kept as they were written: `1.10` stays `1.10`.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) at: Mark,
    pub(super) text: String,
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node),
            _ => None,
        }
    }
}

/// Reads one YAML document.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        // Large files of an organisation have a few thousand nodes; this is far beyond, and still soon read. The depth
        // bounds the recursion below.
        budget: serde_saphyr::budget! { max_nodes: 100_000, max_depth: 40 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| translate(file, &error))?;
    let root = node(raw, text).map_err(|at| {
        Error::new(ErrorKind::ComposeFile, "a key is a list or a mapping")
            .with_hint("write a plain text before the `:`")
            .at(at.place(file, ""))
    })?;
    Ok(match root.value {
        // The parser says where an empty file ends.
        Value::Null => Node { at: Mark::START, ..root },
        _ => root,
    })
}

/// A value before numbers are given back their spelling.
enum Raw {
    Null,
    /// A boolean or number, as a text that means the same.
    Typed(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> de::Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Fails with the mark of a key that is a list or a mapping.
fn node(raw: Spanned<Raw>, source: &str) -> Result<Node, Mark> {
    let at = Mark { line: raw.defined.line().max(1), column: raw.defined.column().max(1) };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(text),
        Raw::Typed(text) => Value::Scalar(spelling(&raw.defined, source).unwrap_or(text)),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, source)).collect::<Result<_, _>>()?),
        Raw::Map(entries) => {
            let entry = |(name, value)| {
                let name = node(name, source)?;
                let text = match name.value {
                    Value::Scalar(text) => text,
                    Value::Null => String::new(),
                    Value::List(_) | Value::Map(_) => return Err(name.at),
                };
                Ok((Key { at: name.at, text }, node(value, source)?))
            };
            Value::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { at, value })
}

/// How the number or boolean was written, unless it was quoted and made one by a tag.
fn spelling(location: &serde_saphyr::Location, source: &str) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    let text = source.get(start..start.checked_add(length)?)?.trim();
    (!text.is_empty() && !text.contains(['"', '\'', '!', '&', '*', '\n'])).then(|| text.to_owned())
}

/// Puts the YAML library's error into our words.
fn translate(file: &str, error: &YamlError) -> Error {
    let inner = match error {
        YamlError::AliasError { error, .. } => error,
        other => other,
    };
    let at = inner
        .location()
        .or(error.location())
        .map_or(Mark::START, |location| Mark { line: location.line().max(1), column: location.column().max(1) });
    let (key, message, hint) = match inner {
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.clone().unwrap_or_default();
            let message = format!("key `{key}` stands here a second time");
            (key, message, "keep one of them")
        }
        YamlError::MultipleDocuments { .. } => {
            (String::new(), "a second YAML document begins".to_owned(), "keep one, without a line `---` between")
        }
        YamlError::UnknownAnchor { .. } => {
            (String::new(), "the alias names no anchor above it".to_owned(), "define it first, as in `&name`")
        }
        YamlError::RecursiveReferencesRequireWeakTypes { .. } => {
            (String::new(), "the alias stands inside its own anchor".to_owned(), "write out what is meant")
        }
        YamlError::MergeValueNotMapOrSeqOfMaps { .. } => {
            (String::new(), "`<<` does not name a mapping".to_owned(), "give it an alias such as `*name` of a mapping")
        }
        YamlError::UnsupportedTag { tag, .. } => (
            String::new(),
            format!("the tag `{tag}` is not supported"),
            "remove it: there is only one file, nothing to reset or override",
        ),
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => (
            String::new(),
            "the file is too large, too deeply nested, or its aliases unfold to too much".to_owned(),
            "a compose file has at most 100000 nodes, 40 deep",
        ),
        other => {
            let message = serde_saphyr::UserMessageFormatter.format_message(other).into_owned();
            let hint = advice(&message);
            (String::new(), format!("not valid YAML: {message}"), hint)
        }
    };
    Error::new(ErrorKind::ComposeFile, message).with_hint(hint).at(at.place(file, &key))
}

/// What is usually behind a message of the YAML parser.
fn advice(message: &str) -> &'static str {
    let has = |text| message.contains(text);
    if has("mapping values are not allowed") {
        "look for a missing `:` or a wrong indentation here or one line above; quote a text that contains `: `"
    } else if has("tabs") {
        "indent with spaces"
    } else if has("unexpected character") {
        "quote the text that begins with this character"
    } else if has("quoted scalar") {
        "look for a quote that is not closed, or for one within the text"
    } else if has("did not find expected") {
        "indent this line like its neighbours"
    } else if has("':' indicator") {
        "look for a `[` or `{` that is not closed"
    } else {
        "look at this line and the one above"
    }
}
