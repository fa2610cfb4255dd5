//! How texts with variables stand in the file, for what is shown to people: the value may be a secret.
//!
//! A password may stand in a command, a label or the check of a database as well as under `environment`. So in such free
//! texts the value of a variable is not shown: the text is shown as it was written.

use std::collections::BTreeMap;

use super::tree::{Node, Scalar, Value};

/// The keys of a component whose texts are free; those below them, too.
const OF_COMPONENT: &[&[&str]] = &[
    &["command"],
    &["entrypoint"],
    &["labels"],
    &["annotations"],
    &["sysctls"],
    &["healthcheck", "test"],
    &["build", "args"],
    &["build", "labels"],
    &["logging", "options"],
    &["container_name"],
    &["devices"],
    &["domainname"],
    &["extra_hosts"],
    &["hostname"],
    &["storage_opt"],
    &["user"],
    &["working_dir"],
];
/// The keys of a network or volume whose texts are.
const OF_DECLARED: &[&str] = &["driver_opts", "labels"];

/// The free texts in which the value of a variable is, as they stand in the file, by their path in the canonical form: the
/// keys with `.` between, and `[0]` for an item. What is written as one text has one path, also if it becomes a list.
pub(super) fn written(tree: &Node) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, component) in entries(tree.get("services")) {
        for keys in OF_COMPONENT {
            let node = keys.iter().try_fold(component, |node, key| node.get(key));
            if let Some(node) = node {
                collect(node, &format!("services.{name}.{}", keys.join(".")), keys.last() == Some(&"args"), &mut found);
            }
        }
    }
    for (name, component) in entries(tree.get("services")) {
        if let Some(Value::List(items)) = component.get("volumes").map(|node| &node.value) {
            found.extend(items.iter().filter_map(|item| source(name, item)));
        }
    }
    for section in ["networks", "volumes"] {
        for (name, declared) in entries(tree.get(section)) {
            for key in OF_DECLARED {
                if let Some(node) = declared.get(key) {
                    collect(node, &format!("{section}.{name}.{key}"), false, &mut found);
                }
            }
        }
    }
    found
}

/// The path in the canonical form of the source of a mount, by its target: its place in the list may be another there.
pub(super) fn source_path(component: &str, target: &str) -> String {
    format!("services.{component}.volumes.{}.source", target.trim_end_matches('/'))
}

/// The source of a mount as it stands in the file.
fn source(component: &str, item: &Node) -> Option<(String, String)> {
    if let Value::Map(_) = item.value {
        let Value::Scalar(source) = &item.get("source")?.value else { return None };
        let target = item.get("target").and_then(Node::scalar)?;
        return Some((source_path(component, target), shown(source)?.to_owned()));
    }
    let Value::Scalar(scalar) = &item.value else { return None };
    let text = shown(scalar)?;
    let target = scalar.text.split(':').nth(1)?;
    // What stands before the target, unless that has variables of its own.
    let source = text.find(&format!(":{target}")).map_or(text, |end| &text[..end]);
    Some((source_path(component, target), source.to_owned()))
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries = node.and_then(|node| match &node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    entries.into_iter().flatten().map(|(key, node)| (key.text.as_str(), node))
}

/// `inherits`: a name without a value takes that of the variable of its name.
fn collect(node: &Node, path: &str, inherits: bool, found: &mut BTreeMap<String, String>) {
    match &node.value {
        Value::Scalar(scalar) => found.extend(shown(scalar).map(|text| (path.to_owned(), text.to_owned()))),
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = format!("{path}.{}", key.text);
                match &node.value {
                    // What a merge has split is `name=value` still, as it is written.
                    Value::Scalar(scalar) => {
                        let text = shown(scalar).map(|text| match text.split_once('=') {
                            Some((name, value)) if name == key.text => value,
                            _ => text,
                        });
                        found.extend(text.map(|text| (path, text.to_owned())));
                    }
                    Value::Null if inherits => _ = found.insert(path, format!("${{{}}}", key.text)),
                    _ => collect(node, &path, false, found),
                }
            }
        }
        Value::List(items) => {
            // A list of `name=value` becomes a mapping.
            let pairs = ![".command", ".devices", ".extra_hosts"].iter().any(|key| path.ends_with(key))
                && !path.ends_with(".entrypoint")
                && !path.ends_with(".test");
            for (index, item) in items.iter().enumerate() {
                let Value::Scalar(scalar) = &item.value else { continue };
                match (pairs, scalar.text.split_once('=')) {
                    (false, _) => found.extend(shown(scalar).map(|text| (format!("{path}[{index}]"), text.to_owned()))),
                    (true, Some((name, _))) => {
                        let text = shown(scalar).map(|text| text.split_once('=').map_or(text, |(_, value)| value));
                        found.extend(text.map(|text| (format!("{path}.{name}"), text.to_owned())));
                    }
                    (true, None) if inherits => {
                        found.insert(format!("{path}.{}", scalar.text), format!("${{{}}}", scalar.text));
                    }
                    (true, None) => {}
                }
            }
        }
        Value::Null => {}
    }
}

/// The text as it stands in the file, if the value of a variable is in it.
fn shown(scalar: &Scalar) -> Option<&str> {
    let written = scalar.written.as_ref()?;
    written.filled.as_ref().is_ok_and(|filled| filled.from_variables).then_some(written.text.as_str())
}
