//! A compose file as a tree that knows where each key and value stands.

use std::sync::Arc;

use super::template::{Filled, Flaw};
use crate::error::Place;

/// File, line and column. Lines and columns are counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// The index of the file among those that were read.
    pub(super) file: usize,
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Mark {
    pub(super) const fn start(file: usize) -> Self {
        Self { file, line: 1, column: 1 }
    }

    /// The place for an error. `file` is the file's name in messages.
    pub(super) fn place(self, file: &str, key: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column, key: key.to_owned() }
    }
}

/// A value and its place. The value of an alias has the place of its anchor.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) value: Value,
    pub(super) tag: Option<Tag>,
}

/// How a file may change a value that an earlier file gave, as in the Compose Specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// The earlier value is removed.
    Reset,
    /// This value replaces the earlier one as a whole.
    Override,
}

/// A YAML value. Numbers and booleans are kept as they were written: `1.10` stays `1.10`.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A text. [`fill`](super::fill) fills in its variables.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it is a number or a boolean without quotes.
    pub(super) bare: bool,
    /// How it stands in the file, if there is a `$` in it.
    pub(super) written: Option<Arc<Written>>,
}

/// A text with variables as it stands in the file.
pub(super) struct Written {
    pub(super) text: String,
    /// The variables that it mentions.
    pub(super) names: Vec<String>,
    /// The text with its variables filled in, or why they could not be.
    pub(super) filled: Result<Filled, Flaw>,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) at: Mark,
    pub(super) text: String,
}

impl Node {
    pub(super) fn new(at: Mark, value: Value) -> Self {
        Self { at, value, tag: None }
    }

    /// A text without variables.
    pub(super) fn text(at: Mark, text: impl Into<String>) -> Self {
        Self::new(at, Value::Scalar(Scalar { text: text.into(), bare: false, written: None }))
    }

    /// The text of a scalar.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|(name, _)| name.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Removes a key from a mapping and returns its value.
    pub(super) fn remove(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        let found = entries.iter().position(|(name, _)| name.text == key)?;
        Some(entries.remove(found).1)
    }

    /// Adds a key to a mapping. An empty value becomes a mapping.
    pub(super) fn insert(&mut self, key: Key, node: Node) {
        match &mut self.value {
            Value::Map(entries) => entries.push((key, node)),
            Value::Null => self.value = Value::Map(vec![(key, node)]),
            Value::Scalar(_) | Value::List(_) => {}
        }
    }

    /// Whether both have the same content. Their places do not matter.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar(one), Value::Scalar(other)) => one.text == other.text,
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.same(other))
            }
            (Value::Map(one), Value::Map(other)) => {
                let found = |(key, node): &(Key, Node)| {
                    other.iter().any(|(name, other)| name.text == key.text && node.same(other))
                };
                one.len() == other.len() && one.iter().all(found)
            }
            _ => false,
        }
    }
}
