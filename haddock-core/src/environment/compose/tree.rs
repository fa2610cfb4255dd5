//! A compose file as a tree that knows where each key and value stands.

use std::sync::Arc;

use super::template::{Filled, Flaw};
use crate::error::Place;

/// File, line and column; the latter from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// Which of the files that were read.
    pub(super) file: usize,
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Mark {
    pub(super) const fn start(file: usize) -> Self {
        Self { file, line: 1, column: 1 }
    }

    /// The place, in a file that messages call so.
    pub(super) fn place(self, file: &str, key: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column, key: key.to_owned() }
    }
}

/// A value and where it stands. What an alias brings in stands where its anchor is.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) value: Value,
    pub(super) tag: Option<Tag>,
}

/// What the Compose Specification lets a file say about a value that an earlier file gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// It is taken away.
    Reset,
    /// This one takes its place whole.
    Override,
}

/// What YAML knows. Numbers and booleans are kept as they were written: `1.10` stays `1.10`.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A text, its variables filled in once [`fill`](super::fill) has been there.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it stands there as a number or a boolean, without quotes.
    pub(super) bare: bool,
    /// Of one that has variables, or was meant to.
    pub(super) written: Option<Arc<Written>>,
}

/// How a text with variables stands in the file.
pub(super) struct Written {
    pub(super) text: String,
    /// The variables that it mentions.
    pub(super) names: Vec<String>,
    /// What came of it, or why nothing did.
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

    /// Takes a key out of a mapping.
    pub(super) fn remove(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        let found = entries.iter().position(|(name, _)| name.text == key)?;
        Some(entries.remove(found).1)
    }

    /// Adds a key to a mapping; to what is empty, too.
    pub(super) fn insert(&mut self, key: Key, node: Node) {
        match &mut self.value {
            Value::Map(entries) => entries.push((key, node)),
            Value::Null => self.value = Value::Map(vec![(key, node)]),
            Value::Scalar(_) | Value::List(_) => {}
        }
    }

    /// Whether both say the same, wherever they stand.
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
