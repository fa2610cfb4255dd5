//! Texts that a later file overrides. Compose fills in and splits the texts of each file before it merges the files. So
//! it refuses a wrong text even if nobody would see its value.

use std::collections::BTreeSet;

use super::reader::{COMMENT, Cursor, Reader};
use super::tree::{Node, Value};
use super::{mounts, ports};

/// A text that may be wrong by itself, and the keys that lead to it.
pub(super) struct OverriddenText {
    path: Vec<String>,
    node: Node,
}

/// The texts of a file that may be wrong by themselves: those that could not be filled in, and mounts and ports in the
/// short form. `only_filled` leaves out mounts and ports: Compose does not split those of a file that is only extended.
pub(super) fn watched(tree: &Node, only_filled: bool, watched: &mut Vec<OverriddenText>) {
    // A list of open nodes in place of recursion, because files may be nested deep.
    let mut open: Vec<(Vec<String>, &Node)> = vec![(Vec::new(), tree)];
    while let Some((path, node)) = open.pop() {
        let below = |key: String| [path.clone(), vec![key]].concat();
        match &node.value {
            Value::Null => {}
            Value::Scalar(scalar) => {
                let flawed = scalar.written.as_ref().is_some_and(|written| written.filled.is_err());
                if flawed || !only_filled && Short::of(&path).is_some() {
                    watched.push(OverriddenText { path, node: node.clone() });
                }
            }
            Value::List(items) => {
                open.extend(items.iter().enumerate().map(|(index, item)| (below(format!("[{index}]")), item)));
            }
            Value::Map(entries) => open.extend(entries.iter().map(|(key, value)| (below(key.text.clone()), value))),
        }
    }
}

/// Those texts that are not in the merged tree.
pub(super) fn hidden(mut watched: Vec<OverriddenText>, tree: &Node) -> Vec<OverriddenText> {
    let (mut there, mut open) = (BTreeSet::new(), vec![tree]);
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Null => {}
            Value::Scalar(_) => _ = there.insert(node.at),
            Value::List(items) => open.extend(items),
            Value::Map(entries) => open.extend(entries.iter().map(|(_, value)| value)),
        }
    }
    watched.retain(|text| !there.contains(&text.node.at));
    watched
}

/// Reports those texts that Compose refuses.
pub(super) fn check<'t>(reader: &mut Reader<'t>, hidden: &'t [OverriddenText]) {
    let (errors, before) = (reader.error_count(), reader.noted());
    for text in hidden {
        let cursor = Cursor { node: &text.node, path: text.path.join(".").replace(".[", "[") };
        match Short::of(&text.path) {
            Some(Short::Mount) => mounts::check_short(reader, &cursor),
            Some(Short::Port) => ports::check_short(reader, &cursor),
            None => _ = reader.filled(&cursor),
        }
    }
    reader.forget_notes(before);
    for (at, error) in reader.errors_since(errors) {
        if error.lost_in_compose().is_none_or(|lost| lost == COMMENT) {
            reader.fail_at(at, error);
        }
    }
}

/// A key with a short form that Compose splits before it merges.
enum Short {
    Mount,
    Port,
}

impl Short {
    fn of(path: &[String]) -> Option<Self> {
        match path {
            [services, _, key, _] if services == "services" => match key.as_str() {
                "volumes" => Some(Self::Mount),
                "ports" => Some(Self::Port),
                _ => None,
            },
            _ => None,
        }
    }
}
