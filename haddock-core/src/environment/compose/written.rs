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
            let pairs = !path.ends_with(".command") && !path.ends_with(".entrypoint") && !path.ends_with(".test");
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
