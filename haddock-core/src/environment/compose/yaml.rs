//! Reads the YAML of a compose file into a tree.

use std::panic::resume_unwind;
use std::thread;

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{
    DuplicateKeyPolicy, Error as YamlError, MergeKeyPolicy, MessageFormatter, NonFiniteFloatPolicy, Spanned,
};

use super::tree::{Key, Mark, Node, Scalar, Tag, Value};
use crate::error::{Error, ErrorKind};

/// The stack for reading a file. Without optimisation, the deepest file that is accepted needs more than the 2 MiB that a
/// thread usually has.
const STACK_BYTES: usize = 16 << 20;

/// Reads the YAML documents of a file; there is at least one. Each is merged over those before it. `file` is the index
/// of the file, for its marks, and `name` its name for messages.
pub(super) fn parse(file: usize, name: &str, text: &str) -> Result<Vec<Node>, Error> {
    let read = || documents(file, name, text);
    thread::scope(|scope| match thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, read) {
        Ok(reader) => reader.join().unwrap_or_else(|panic| resume_unwind(panic)),
        // The system cannot start another thread. The stack of this one is large enough for any file that people write.
        Err(_) => read(),
    })
}

fn documents(file: usize, name: &str, text: &str) -> Result<Vec<Node>, Error> {
    let options = || {
        serde_saphyr::options! {
            with_snippet: false,
            strict_booleans: true,
            duplicate_keys: DuplicateKeyPolicy::Error,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
            // `<<` is handled below, where more is known about the value.
            merge_keys: MergeKeyPolicy::AsOrdinary,
            // The parser does not know `!reset` and `!override`; see `tag`.
            reject_unsupported_tags: false,
            // Large files of an organisation have a few thousand nodes. This limit is far above that, and a file at the
            // limit is still read quickly. The depth limits the recursion below. Files with many aliases of few anchors
            // are common.
            budget: serde_saphyr::budget! { max_nodes: 100_000, max_depth: 40, enforce_alias_anchor_ratio: false },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        }
    };
    let failed = |error: &YamlError| translate(name, error);
    let raws: Vec<Spanned<Raw>> = match serde_saphyr::from_str_with_options(text, options()) {
        Ok(raw) => vec![raw],
        Err(error) if is_second_document(&error) => {
            let read: Vec<Spanned<Raw>> =
                serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| failed(&error))?;
            // The parser skips empty documents. Compose refuses them.
            if read.len() < 2 || text.trim_end().ends_with("\n---") {
                return Err(failed(&error));
            }
            read
        }
        Err(error) => return Err(failed(&error)),
    };
    raws.into_iter().map(|raw| document(file, name, text, raw)).collect()
}

fn is_second_document(error: &YamlError) -> bool {
    match error {
        YamlError::AliasError { error, .. } => is_second_document(error),
        error => matches!(error, YamlError::MultipleDocuments { .. }),
    }
}

fn document(file: usize, name: &str, text: &str, raw: Spanned<Raw>) -> Result<Node, Error> {
    let root = Source { file, text, tags: true }.node(raw).map_err(|(at, refusal)| {
        let (message, hint) = match refusal {
            Refusal::Key => ("a key is a list or a mapping".to_owned(), "write a plain text before the `:`"),
            Refusal::KeyKind(key) => (
                format!("the key `{key}` is a number, a boolean or nothing, where a text is expected"),
                "put it in quotes",
            ),
            Refusal::Merge => {
                ("`<<` does not name a mapping".to_owned(), "give it an alias such as `*name` of a mapping")
            }
            Refusal::Tag(tag) => (format!("the tag `{tag}` is not supported"), "write `!reset`, `!override` or no tag"),
        };
        Error::new(ErrorKind::ComposeFile, message).with_hint(hint).at(at.place(name, ""))
    })?;
    Ok(match root.value {
        // For an empty file, the parser gives the place where it ends.
        Value::Null => Node { at: Mark::start(file), ..root },
        _ => root,
    })
}

/// A value before numbers are put back as they were written.
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

/// Why a value is refused.
enum Refusal {
    Key,
    KeyKind(String),
    Merge,
    Tag(String),
}

/// The text that values are read from.
#[derive(Clone, Copy)]
struct Source<'s> {
    file: usize,
    text: &'s str,
    /// Whether values may have tags. Keys have none.
    tags: bool,
}

impl Source<'_> {
    fn node(&self, raw: Spanned<Raw>) -> Result<Node, (Mark, Refusal)> {
        // The value of an alias has the place of its anchor. A tag would stand there, too.
        let location = raw.defined;
        let at = Mark { file: self.file, line: location.line().max(1), column: location.column().max(1) };
        let tag = self.tag(&location).map_err(|tag| (at, Refusal::Tag(tag)))?;
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Text(mut text) => {
                if self.ends_within(&location) && text.ends_with('\n') {
                    text.pop();
                }
                Value::Scalar(Scalar { text, bare: false, written: None })
            }
            Raw::Typed(text) => {
                let text = self.spelling(&location).unwrap_or(text);
                Value::Scalar(Scalar { text, bare: true, written: None })
            }
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?),
            Raw::Map(entries) => Value::Map(self.entries(entries)?),
        };
        Ok(Node { at, value, tag })
    }

    /// The entries of a mapping, and those that `<<` brings in. The mapping's own entries win.
    fn entries(&self, entries: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Result<Vec<(Key, Node)>, (Mark, Refusal)> {
        let (mut own, mut brought): (Vec<(Key, Node)>, Vec<Node>) = (Vec::new(), Vec::new());
        for (name, value) in entries {
            let merges = self.span(&name.defined).is_some_and(|(start, end)| self.text[start..end].trim() == "<<");
            let name = Source { tags: false, ..*self }.node(name)?;
            let text = match name.value {
                Value::Scalar(Scalar { text, bare: false, .. }) => text,
                Value::Scalar(scalar) => return Err((name.at, Refusal::KeyKind(scalar.text))),
                Value::Null => return Err((name.at, Refusal::KeyKind(String::new()))),
                Value::List(_) | Value::Map(_) => return Err((name.at, Refusal::Key)),
            };
            let value = self.node(value)?;
            match value.value {
                Value::List(items) if merges => brought.extend(items),
                _ if merges => brought.push(value),
                _ => own.push((Key { at: name.at, text }, value)),
            }
        }
        for node in brought {
            let Value::Map(entries) = node.value else { return Err((node.at, Refusal::Merge)) };
            for (key, value) in entries {
                if !own.iter().any(|(name, _)| name.text == key.text) {
                    own.push((key, value));
                }
            }
        }
        Ok(own)
    }

    /// The start and end of a value in the text, if the parser knows them.
    fn span(&self, location: &serde_saphyr::Location) -> Option<(usize, usize)> {
        let span = location.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        self.text.get(start..end).map(|_| (start, end))
    }

    /// Whether the value is a block of text (`|` or `>`) that ends where the file ends, without a line end. The parser
    /// adds one.
    fn ends_within(&self, location: &serde_saphyr::Location) -> bool {
        let open = !self.text.ends_with(['\n', '\r']);
        let Some((start, _)) = self.span(location).filter(|(_, end)| open && *end == self.text.len()) else {
            return false;
        };
        // `key: |-  # comment`
        let header = self.text[..start].trim_end().lines().next_back().unwrap_or_default();
        let word = header.split(" #").next().and_then(|header| header.split_whitespace().next_back());
        word.is_some_and(|word| {
            word.strip_prefix(['|', '>'])
                .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || "+-".contains(c)))
        })
    }

    /// How a number or boolean is written in the file. `None` if more than the plain value stands there, such as quotes
    /// with a tag.
    fn spelling(&self, location: &serde_saphyr::Location) -> Option<String> {
        let (start, end) = self.span(location)?;
        let text = self.text[start..end].trim();
        (!text.is_empty() && !text.contains(['"', '\'', '!', '&', '*', '\n'])).then(|| text.to_owned())
    }

    /// The tag before a value. The parser skips tags that it does not know, so the text before the value is searched.
    /// An anchor may stand between the two.
    fn tag(&self, location: &serde_saphyr::Location) -> Result<Option<Tag>, String> {
        let Some((start, _)) = self.span(location).filter(|_| self.tags) else { return Ok(None) };
        let mut before = self.text[..start].trim_end();
        loop {
            let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | '{')).next().unwrap_or("");
            if word.starts_with('&') {
                before = before[..before.len() - word.len()].trim_end();
                continue;
            }
            let lead = before[..before.len() - word.len()].trim_end();
            // What looks like a tag may be part of a comment or of another value. Then it is no tag.
            if !lead.is_empty() && !lead.ends_with([':', '-', ',', '[', '{']) {
                return Ok(None);
            }
            return match word {
                "!reset" => Ok(Some(Tag::Reset)),
                "!override" => Ok(Some(Tag::Override)),
                _ if word.starts_with('!') && !word.starts_with("!!") => Err(word.to_owned()),
                _ => Ok(None),
            };
        }
    }
}

/// Translates the YAML library's error.
fn translate(file: &str, error: &YamlError) -> Error {
    let inner = match error {
        YamlError::AliasError { error, .. } => error,
        other => other,
    };
    let at = inner.location().or(error.location()).map_or(Mark::start(0), |location| Mark {
        file: 0,
        line: location.line().max(1),
        column: location.column().max(1),
    });
    let (key, message, hint) = match inner {
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.clone().unwrap_or_default();
            let message = format!("key `{key}` stands here a second time");
            (key, message, "keep one of them")
        }
        YamlError::MultipleDocuments { .. } => {
            (String::new(), "a YAML document has nothing in it".to_owned(), "remove its line `---`")
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

/// A hint for a message of the YAML parser: what usually causes it.
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
