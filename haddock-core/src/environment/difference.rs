//! What two specifications have differently. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EnvironmentSpec;
use super::compose::{Values, canonical};
use crate::name::ServiceName;

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which, by the keys that lead there in a compose file, such as `services.web.image`.
    pub path: String,
    /// What it was; `None`: it was not there. Values of environment variables, and contents, are `***`.
    pub was: Option<String>,
    /// What it is; `None`: it is not there.
    pub is: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.was, &self.is) {
            (Some(was), Some(is)) => write!(f, "{}: {was} is now {is}", self.path),
            (Some(was), None) => write!(f, "{}: {was} is no longer there", self.path),
            (None, Some(is)) => write!(f, "{}: {is} is new", self.path),
            (None, None) => write!(f, "{}", self.path),
        }
    }
}

/// What is different in `new`, by path.
#[must_use]
pub fn differences(old: &EnvironmentSpec, new: &EnvironmentSpec) -> Vec<Difference> {
    // The name is the same for both: only what is within is compared.
    let name = ServiceName::new("environment").expect("a valid name");
    let written = |spec: &EnvironmentSpec| {
        let mut value = canonical(&name, spec, Values::Shown);
        if let Value::Object(members) = &mut value {
            members.remove("name");
            members.insert("x-haddock".to_owned(), settings(spec));
        }
        value
    };
    let mut found = Vec::new();
    compare("", Some(&written(old)), Some(&written(new)), &mut found);
    found
}

fn settings(spec: &EnvironmentSpec) -> Value {
    let plain = |value: serde_json::Result<Value>| value.unwrap_or_default();
    let mut members = match plain(serde_json::to_value(&spec.settings)) {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    members.insert("idle".to_owned(), plain(serde_json::to_value(spec.idle)));
    members.insert("links".to_owned(), plain(serde_json::to_value(&spec.targets)));
    Value::Object(members)
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    let empty = serde_json::Map::new();
    let map = |value: Option<&Value>| match value {
        Some(Value::Object(members)) => Some(members.clone()),
        None | Some(Value::Null) => Some(empty.clone()),
        Some(_) => None,
    };
    // Two mappings, or one that is new or gone: told key by key, but for what is too small to be taken apart.
    if let (Some(olds), Some(news)) = (map(old), map(new))
        && (path.matches('.').count() < 2 || (!olds.is_empty() && !news.is_empty()))
    {
        let keys: std::collections::BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
        for key in keys {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            compare(&path, olds.get(key), news.get(key), found);
        }
        return;
    }
    let shown = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(|value| text(path, value));
    found.push(Difference { path: path.to_owned(), was: shown(old), is: shown(new) });
}

/// A value as it may be seen.
fn text(path: &str, value: &Value) -> String {
    let secret = path.contains(".environment") || path.ends_with(".content");
    match value {
        _ if secret => "***".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, ResolveOptions};

    fn spec(text: &str) -> EnvironmentSpec {
        let file = ComposeFile::parse("compose.yaml", text).expect("YAML");
        file.resolve(&ResolveOptions::default()).expect("good").spec
    }

    #[test]
    fn what_has_changed_is_told_by_its_path_and_no_value_is() {
        let old = spec(
            "name: shop\nservices:\n  web: { image: 'shop:1', expose: [80], environment: { PASSWORD: hunter2, A: b } }\n  db: { image: db }",
        );
        let new = spec(
            "name: shop\nservices:\n  web: { image: 'shop:2', expose: [80], environment: { PASSWORD: hunter3, A: b }, links: [mq] }\n  mq: { image: mq }",
        );
        assert_eq!(differences(&old, &old), []);
        let found: Vec<String> = differences(&old, &new).iter().map(ToString::to_string).collect();
        let text = found.join("\n");
        assert!(
            text.contains("services.web.image: docker.io/library/shop:1")
                || text.contains("services.web.image: shop:1"),
            "{text}"
        );
        assert!(text.contains("services.web.environment.PASSWORD: *** is now ***"), "{text}");
        assert!(text.contains("services.mq") && text.contains("services.db"), "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }
}
