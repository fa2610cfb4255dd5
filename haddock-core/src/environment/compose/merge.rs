//! Merges one tree over another: a file over those before it, or a component over the one that it extends.
//!
//! The rules are those of the Compose Specification ("Merge"), as Compose carries them out. Mappings are merged, lists
//! are joined, and everything else is replaced. A few keys have rules of their own.

use super::tree::{Key, Node, Scalar, Tag, Value};

/// How the values of a key are merged.
enum Rule {
    /// Mappings are merged by key, lists are joined, everything else is replaced.
    Plain,
    /// The later value replaces the earlier one.
    Replace,
    /// A list of `name=value`, or a mapping: merged by name.
    Pairs,
    /// A list of names, or a mapping from names to settings: merged by name. A name in a list has default settings.
    Names,
    /// One text, or a list: joined.
    Sequence,
    /// A list of paths, alone or with settings. Each path is kept once, at its first place and with its last settings.
    Paths,
    /// A text, or a mapping with this text as its `context`.
    Build,
    /// Replaced if both name a driver and the drivers differ; else merged by key.
    Logging,
    /// A mapping in which `external` may be a mapping with a `name`, as in older files.
    Declared,
    /// A list of `host=address`, or a mapping: joined, because a host may have several addresses.
    Hosts,
    /// `all`, or a list.
    Gpus,
    /// A list of subnets, merged by `subnet`.
    Subnets,
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, key @ ..] => match key {
            ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
            ["annotations" | "environment" | "labels" | "sysctls"]
            | ["build", "args" | "labels" | "additional_contexts"]
            | ["deploy", "labels"] => Rule::Pairs,
            ["depends_on" | "networks" | "models"] => Rule::Names,
            ["dns" | "dns_opt" | "dns_search" | "tmpfs" | "label_file"] => Rule::Sequence,
            ["env_file"] => Rule::Paths,
            ["build"] => Rule::Build,
            ["logging"] => Rule::Logging,
            ["extra_hosts"] | ["build", "extra_hosts"] => Rule::Hosts,
            ["gpus"] => Rule::Gpus,
            _ => Rule::Plain,
        },
        ["networks" | "volumes" | "secrets" | "configs", _] => Rule::Declared,
        [_, _, "external"] => Rule::Replace,
        ["networks" | "volumes", _, "labels"] => Rule::Pairs,
        ["networks", _, "ipam", "config"] => Rule::Subnets,
        _ => Rule::Plain,
    }
}

/// Two values cannot be merged, because they are of different kinds, such as a list and a mapping.
pub(super) struct Mismatch {
    pub(super) at: super::tree::Mark,
    pub(super) path: String,
}

/// Merges `over` over `base`. Both stand at `path`.
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
        Rule::Pairs => return by_name(pairs(base), pairs(over), path),
        Rule::Names => (names(base, path), names(over, path)),
        Rule::Sequence => (sequence(base), sequence(over)),
        Rule::Paths => return Ok(paths(base, over)),
        Rule::Build => (build(base), build(over)),
        Rule::Logging => {
            let driver = |node: &Node| node.get("driver").and_then(Node::scalar).map(str::to_owned);
            match (driver(&base), driver(&over)) {
                (Some(base), Some(over_)) if base != over_ => return Ok(over),
                _ => (base, over),
            }
        }
        Rule::Declared => (declared(base), over),
        Rule::Hosts => (hosts(base), hosts(over)),
        // `all` cannot follow a list: this ends in a mismatch.
        Rule::Gpus if matches!((&base.value, &over.value), (Value::List(_), Value::Scalar(_))) => (base, over),
        Rule::Gpus => (all(base), all(over)),
        Rule::Subnets => return subnets(base, over, path),
        Rule::Plain => (base, over),
    };
    // An empty value changes nothing.
    if let Value::Null = over.value {
        return Ok(base);
    }
    let at = over.at;
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(mappings(base, over, path)?),
        // An item that the earlier list has already is not repeated.
        (Value::List(mut base), Value::List(over)) => {
            for item in over {
                if !base.iter().any(|before| before.same(&item)) {
                    base.push(item);
                }
            }
            Value::List(base)
        }
        (Value::Scalar(_), Value::Scalar(over)) => Value::Scalar(over),
        _ => return Err(Mismatch { at, path: path.join(".") }),
    };
    Ok(Node::new(at, value))
}

/// Merges by name. The later value counts, even if it is empty.
fn by_name(base: Node, over: Node, path: &[String]) -> Result<Node, Mismatch> {
    let at = over.at;
    match (base.value, over.value) {
        (Value::Map(mut base), Value::Map(over)) => {
            for (key, node) in over {
                match base.iter().position(|(name, _)| name.text == key.text) {
                    Some(found) if node.tag == Some(Tag::Reset) => drop(base.remove(found)),
                    Some(found) => base[found] = (key, node),
                    None if node.tag == Some(Tag::Reset) => {}
                    None => base.push((key, node)),
                }
            }
            Ok(Node::new(at, Value::Map(base)))
        }
        (base, Value::Null) => Ok(Node::new(at, base)),
        _ => Err(Mismatch { at, path: path.join(".") }),
    }
}

/// See [`Rule::Paths`].
fn paths(base: Node, over: Node) -> Node {
    let at = over.at;
    let items = |node: Node| match sequence(node).value {
        Value::List(items) => items,
        _ => Vec::new(),
    };
    let path = |node: &Node| node.get("path").unwrap_or(node).scalar().map(str::to_owned);
    let mut all = items(base);
    for item in items(over) {
        match all.iter_mut().find(|before| path(before) == path(&item)) {
            Some(before) => *before = item,
            None => all.push(item),
        }
    }
    Node::new(at, Value::List(all))
}

/// A list of `host=address` from a mapping, in which a host may have a list of addresses.
fn hosts(node: Node) -> Node {
    let Value::Map(entries) = node.value else { return node };
    let pair =
        |key: &Key, node: &Node| Node::text(key.at, format!("{}={}", key.text, node.scalar().unwrap_or_default()));
    let items = entries.iter().flat_map(|(key, node)| match &node.value {
        Value::List(addresses) => addresses.iter().map(|address| pair(key, address)).collect(),
        _ => vec![pair(key, node)],
    });
    Node::new(node.at, Value::List(items.collect()))
}

/// Rewrites the older form `external: { name: … }` as the two keys `external` and `name`.
fn declared(mut node: Node) -> Node {
    let Some(Value::Map(_)) = node.get("external").map(|external| &external.value) else { return node };
    let name = node.get_mut("external").and_then(|external| {
        let name = external.remove("name");
        *external = Node::text(external.at, "true");
        name
    });
    if let Some(name) = name
        && node.get("name").is_none()
    {
        node.insert(Key { at: name.at, text: "name".to_owned() }, name);
    }
    node
}

/// Rewrites a text such as `all` as a list of one request.
fn all(node: Node) -> Node {
    let Value::Scalar(_) = node.value else { return node };
    let at = node.at;
    let request = Node::new(at, Value::Map(vec![(Key { at, text: "count".to_owned() }, node)]));
    Node::new(at, Value::List(vec![request]))
}

/// A subnet that both lists have is merged. If the later list has other subnets, they replace the earlier ones. This
/// follows Compose step by step.
fn subnets(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Mismatch> {
    let at = over.at;
    let (Value::List(bases), Value::List(overs)) = (&base.value, &over.value) else {
        return Err(Mismatch { at, path: path.join(".") });
    };
    let subnet = |node: &Node| node.get("subnet").and_then(Node::scalar).map(str::to_owned);
    let mut merged: Vec<Node> = Vec::new();
    for base in bases {
        for over in overs {
            if subnet(over) != subnet(base) && !merged.iter().any(|other| subnet(other) == subnet(over)) {
                merged.push(over.clone());
                continue;
            }
            path.push("*".to_owned());
            let both = merge(base.clone(), over.clone(), path)?;
            path.pop();
            match merged.iter_mut().find(|other| subnet(other) == subnet(&both)) {
                Some(before) => *before = both,
                None => merged.push(both),
            }
        }
    }
    Ok(Node::new(at, Value::List(merged)))
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

/// Removes values with the tag `!reset` that had no earlier value to take away.
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
        // A dependency in a list gets these settings. A network in a list gets none.
        let required = (Key { at, text: "required".to_owned() }, Node::text(at, "true"));
        let settings = if depends { Value::Map(vec![condition, required]) } else { Value::Null };
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
