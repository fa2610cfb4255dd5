//! Texts with variables as they stand in the file. People see these in place of the values, which may be secret.
//!
//! A password may stand in a command, a label or a health check as well as under `environment`. So Haddock shows such
//! free texts as they were written, without the values of variables.

use std::collections::BTreeMap;

use super::tree::{Node, Scalar, Value};

/// The keys of a component whose texts are free texts, also those at any depth below.
const OF_COMPONENT: &[&[&str]] = &[
    &["command"],
    &["entrypoint"],
    &["labels"],
    &["annotations"],
    &["sysctls"],
    &["healthcheck", "test"],
    &["build"],
    &["cgroup_parent"],
    &["configs"],
    &["logging"],
    &["container_name"],
    &["devices"],
    &["dns_opt"],
    &["dns_search"],
    &["domainname"],
    &["external_links"],
    &["extra_hosts"],
    &["gpus"],
    &["group_add"],
    &["hostname"],
    &["networks"],
    &["runtime"],
    &["secrets"],
    &["security_opt"],
    &["storage_opt"],
    &["tmpfs"],
    &["user"],
    &["working_dir"],
];
/// The sections of the file in which all texts are free texts.
const DECLARED: &[&str] = &["networks", "volumes", "secrets", "configs"];
/// Lists whose items stay texts even if they have a `=`. In other lists, such an item becomes an entry of a mapping.
const LISTS: &[&str] = &[
    "command",
    "serving",
    "draining",
    "entrypoint",
    "test",
    "cache_from",
    "cache_to",
    "configs",
    "devices",
    "dns_opt",
    "dns_search",
    "external_links",
    "extra_hosts",
    "group_add",
    "secrets",
    "security_opt",
    "tags",
    "tmpfs",
];

/// The path of the ramp, whose gates may hold such texts.
pub(crate) const RAMP_PATH: &str = "x-haddock.release.ramp";

/// The free texts that hold the value of a variable, as they stand in the file. The key is their path in the canonical
/// form: the keys with `.` between them, and `[0]` for an item. If a text becomes a list, such as a command, it has the
/// path of the list.
pub(super) fn written(tree: &Node) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, component) in entries(tree.get("services")) {
        for keys in OF_COMPONENT {
            let node = keys.iter().try_fold(component, |node, key| node.get(key));
            if let Some(node) = node {
                collect(node, &format!("services.{name}.{}", keys.join(".")), &mut found);
            }
        }
    }
    for (name, component) in entries(tree.get("services")) {
        if let Some(Value::List(items)) = component.get("volumes").map(|node| &node.value) {
            items.iter().for_each(|item| mount(name, item, &mut found));
        }
    }
    let release = tree.get("x-haddock").and_then(|settings| settings.get("release"));
    if let Some(hooks) = release.and_then(|release| release.get("hooks")) {
        collect(hooks, "x-haddock.release.hooks", &mut found);
    }
    if let Some(Value::List(stages)) = release.and_then(|release| release.get("ramp")).map(|node| &node.value) {
        for (stage, node) in stages.iter().enumerate() {
            if let Some(gate) = node.get("gate") {
                collect(gate, &format!("{RAMP_PATH}[{stage}].gate"), &mut found);
            }
        }
    }
    for section in DECLARED {
        for (name, declared) in entries(tree.get(section)) {
            collect(declared, &format!("{section}.{name}"), &mut found);
        }
    }
    found
}

/// The path of a mount. It has the target in it, and not the index: in the canonical form the index may differ.
pub(super) fn mount_path(component: &str, target: &str) -> String {
    format!("services.{component}.volumes.{}", target.trim_end_matches('/'))
}

/// A mount as it stands in the file.
fn mount(component: &str, item: &Node, found: &mut BTreeMap<String, String>) {
    if let Value::Map(_) = item.value {
        if let Some(target) = item.get("target").and_then(Node::scalar) {
            collect(item, &mount_path(component, target), found);
        }
        return;
    }
    let Value::Scalar(scalar) = &item.value else { return };
    let Some(text) = shown(scalar) else { return };
    let filled: Vec<&str> = scalar.text.split(':').collect();
    let path = mount_path(component, filled.get(1).unwrap_or(&filled[0]));
    let parts = parts(text);
    // A variable may hold several parts. Then the whole text is shown for each part.
    let part = |index: usize| if parts.len() == filled.len() { parts[index] } else { text };
    let keys: &[&str] = if filled.len() == 1 { &["target"] } else { &["source", "target"] };
    let written = keys.iter().enumerate().map(|(index, key)| (key, part(index))).filter(|(_, part)| part.contains('$'));
    found.extend(written.map(|(key, part)| (format!("{path}.{key}"), part.to_owned())));
}

/// The parts of a text between its `:`. A `:` within the braces of a variable does not count.
fn parts(text: &str) -> Vec<&str> {
    let mut open = 0_usize;
    let split = text.split(|c: char| {
        match c {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        c == ':' && open == 0
    });
    split.collect()
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries = node.and_then(|node| match &node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    entries.into_iter().flatten().map(|(key, node)| (key.text.as_str(), node))
}

fn collect(node: &Node, path: &str, found: &mut BTreeMap<String, String>) {
    let key = path.rsplit('.').next().unwrap_or_default();
    // A name without a value has the value of the variable with the same name.
    let inherits = key == "args";
    match &node.value {
        Value::Scalar(scalar) => found.extend(shown(scalar).map(|text| (path.to_owned(), text.to_owned()))),
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = format!("{path}.{}", key.text);
                match &node.value {
                    // If a merge has split the text, it was written as `name=value`. Only the value is shown.
                    Value::Scalar(scalar) => {
                        let text = shown(scalar).map(|text| match text.split_once('=') {
                            Some((name, value)) if name == key.text => value,
                            _ => text,
                        });
                        found.extend(text.map(|text| (path, text.to_owned())));
                    }
                    Value::Null if inherits => _ = found.insert(path, format!("${{{}}}", key.text)),
                    _ => collect(node, &path, found),
                }
            }
        }
        Value::List(items) => {
            // A list of `name=value` becomes a mapping.
            let pairs = !LISTS.contains(&key);
            for (index, item) in items.iter().enumerate() {
                let Value::Scalar(scalar) = &item.value else {
                    collect(item, &format!("{path}[{index}]"), found);
                    continue;
                };
                match (pairs, scalar.text.split_once('=')) {
                    (false, _) => found.extend(shown(scalar).map(|text| (format!("{path}[{index}]"), text.to_owned()))),
                    (true, Some((name, _))) => {
                        let text = shown(scalar).map(|text| text.split_once('=').map_or(text, |(_, value)| value));
                        found.extend(text.map(|text| (format!("{path}.{name}"), text.to_owned())));
                    }
                    (true, None) if inherits => {
                        found.insert(format!("{path}.{}", scalar.text), format!("${{{}}}", scalar.text));
                    }
                    (true, None) => {
                        found.extend(shown(scalar).map(|text| (format!("{path}[{index}]"), text.to_owned())))
                    }
                }
            }
        }
        Value::Null => {}
    }
}

/// The text as it stands in the file, if it holds the value of a variable.
fn shown(scalar: &Scalar) -> Option<&str> {
    let written = scalar.written.as_ref()?;
    written.filled.as_ref().is_ok_and(|filled| filled.from_variables).then_some(written.text.as_str())
}
