//! Merging one description over another: several files, and what a component extends.
//!
//! The rules are those of the Compose Specification ("Merge") as Compose carries them out: mappings are merged, lists
//! are put one after the other, all else is replaced; a few keys have rules of their own.

use super::tree::{Key, Node, Scalar, Tag, Value};

/// How the values of a key are merged.
enum Rule {
    /// Mappings by key, lists one after the other, the rest replaced.
    Plain,
    /// The later one takes the place of the earlier.
    Replace,
    /// `name=value` or a mapping: by name.
    Pairs,
    /// A list of names or a mapping: by name, each name without settings having these.
    Names,
    /// One text or a list: one after the other.
    Sequence,
    /// A context, or a mapping that has one.
    Build,
    /// By key, if the driver is the same.
    Logging,
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, key @ ..] => match key {
            ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
            ["annotations" | "environment" | "labels" | "sysctls" | "storage_opt"]
            | ["build", "args" | "labels" | "additional_contexts"]
            | ["deploy", "labels"] => Rule::Pairs,
            ["depends_on" | "networks" | "models"] => Rule::Names,
            ["dns" | "dns_opt" | "dns_search" | "tmpfs" | "env_file" | "label_file"] => Rule::Sequence,
            ["build"] => Rule::Build,
            ["logging"] => Rule::Logging,
            _ => Rule::Plain,
        },
        ["networks" | "volumes", _, "labels"] => Rule::Pairs,
        _ => Rule::Plain,
    }
}

/// A value that cannot be put over the earlier one: they are of different kinds.
pub(super) struct Mismatch {
    pub(super) at: super::tree::Mark,
    pub(super) path: String,
}

/// Puts `over` over `base`; both stand at `path`.
pub(super) fn merge(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Mismatch> {
    match over.tag {
        Some(Tag::Override | Tag::Reset) => return Ok(over),
        None => {}
    }
    if let (Value::Null, _) = (&base.value, &over.value) {
        return Ok(over);
    }
    let (base, over) = match rule(path) {
        Rule::Replace => return Ok(over),
        Rule::Pairs => (pairs(base), pairs(over)),
        Rule::Names => (names(base, path), names(over, path)),
        Rule::Sequence => (sequence(base), sequence(over)),
        Rule::Build => (build(base), build(over)),
        Rule::Logging => {
            let driver = |node: &Node| node.get("driver").and_then(Node::scalar).map(str::to_owned);
            match (driver(&base), driver(&over)) {
                (Some(base), Some(over_)) if base != over_ => return Ok(over),
                _ => (base, over),
            }
        }
        Rule::Plain => (base, over),
    };
    // An empty value says nothing.
    if let Value::Null = over.value {
        return Ok(base);
    }
    let at = over.at;
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(mappings(base, over, path)?),
        // `extra_hosts` and the like: a mapping over a list is a list, too.
        (Value::List(mut base), Value::List(mut over)) => {
            base.append(&mut over);
            Value::List(base)
        }
        (Value::List(mut base), Value::Map(over)) if is_hosts(path) => {
            base.extend(over.into_iter().map(|(key, node)| pair_text(&key, &node)));
            Value::List(base)
        }
        (Value::Map(base), Value::List(mut over)) if is_hosts(path) => {
            let mut items: Vec<Node> = base.iter().map(|(key, node)| pair_text(key, node)).collect();
            items.append(&mut over);
            Value::List(items)
        }
        (Value::Scalar(_), Value::Scalar(over)) => Value::Scalar(over),
        _ => return Err(Mismatch { at, path: path.join(".") }),
    };
    Ok(Node::new(at, value))
}

fn is_hosts(path: &[String]) -> bool {
    path.last().is_some_and(|key| key == "extra_hosts")
}

fn pair_text(key: &Key, node: &Node) -> Node {
    Node::text(key.at, format!("{}={}", key.text, node.scalar().unwrap_or_default()))
}

fn mappings(
    mut base: Vec<(Key, Node)>,
    over: Vec<(Key, Node)>,
    path: &mut Vec<String>,
) -> Result<Vec<(Key, Node)>, Mismatch> {
    for (key, node) in over {
        let found = base.iter().position(|(name, _)| name.text == key.text);
        match (found, node.tag) {
            (Some(found), Some(Tag::Reset)) => drop(base.remove(found)),
            (None, Some(Tag::Reset)) => {}
            (Some(found), _) => {
                path.push(key.text.clone());
                let (name, before) = base.remove(found);
                let merged = merge(before, node, path)?;
                path.pop();
                base.insert(found, (Key { at: key.at, ..name }, merged));
            }
            (None, _) => base.push((key, node)),
        }
    }
    Ok(base)
}

/// Takes away what is reset: where nothing was there before, nothing is there after.
pub(super) fn without_resets(mut node: Node) -> Node {
    strip(&mut node);
    node
}

fn strip(node: &mut Node) {
    match &mut node.value {
        Value::Map(entries) => {
            entries.retain(|(_, value)| value.tag != Some(Tag::Reset));
            entries.iter_mut().for_each(|(_, value)| strip(value));
        }
        Value::List(items) => {
            items.retain(|item| item.tag != Some(Tag::Reset));
            items.iter_mut().for_each(strip);
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

/// A mapping from a list of `name=value`.
fn pairs(node: Node) -> Node {
    let Value::List(items) = node.value else { return node };
    let mut entries: Vec<(Key, Node)> = Vec::new();
    for item in items {
        let Value::Scalar(scalar) = item.value else { return Node::new(node.at, Value::Null) };
        let (name, value) = match scalar.text.split_once('=') {
            Some((name, value)) => {
                let value = Scalar { text: value.to_owned(), bare: false, written: scalar.written.clone() };
                (name.to_owned(), Value::Scalar(value))
            }
            None => (scalar.text.clone(), Value::Null),
        };
        let entry = (Key { at: item.at, text: name }, Node::new(item.at, value));
        match entries.iter_mut().find(|(key, _)| key.text == entry.0.text) {
            Some(before) => *before = entry,
            None => entries.push(entry),
        }
    }
    Node::new(node.at, Value::Map(entries))
}

/// A mapping from a list of names.
fn names(node: Node, path: &[String]) -> Node {
    let Value::List(items) = node.value else { return node };
    let depends = path.last().is_some_and(|key| key == "depends_on");
    let entry = |item: Node| {
        let (at, text) = (item.at, item.scalar()?.to_owned());
        let condition = (Key { at, text: "condition".to_owned() }, Node::text(at, "service_started"));
        // Without settings a dependency has this one; a network has none.
        let settings = if depends { Value::Map(vec![condition]) } else { Value::Null };
        Some((Key { at, text }, Node::new(at, settings)))
    };
    Node::new(node.at, Value::Map(items.into_iter().filter_map(entry).collect()))
}

fn sequence(node: Node) -> Node {
    match node.value {
        Value::Scalar(_) => Node::new(node.at, Value::List(vec![node])),
        _ => node,
    }
}

fn build(node: Node) -> Node {
    match node.value {
        Value::Scalar(_) => {
            let key = Key { at: node.at, text: "context".to_owned() };
            Node::new(node.at, Value::Map(vec![(key, node)]))
        }
        _ => node,
    }
}
