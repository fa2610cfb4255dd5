//! What differs between two specifications. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EnvironmentSpec;
use super::compose::{Values, canonical};
use crate::name::ServiceName;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What differs: the keys that lead to it in a compose file, such as `services.web.image`.
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

/// What differs in `new`, by path. Texts with variables are shown as they stand in the file.
#[must_use]
pub fn differences(old: &EnvironmentSpec, new: &EnvironmentSpec) -> Vec<Difference> {
    // The same name for both, so that only the contents are compared.
    let name = ServiceName::new("environment").expect("a valid name");
    let written = |spec: &EnvironmentSpec, values: Values| {
        let mut value = canonical(&name, spec, values);
        if let Value::Object(members) = &mut value {
            members.remove("name");
            members.insert("x-haddock".to_owned(), settings(spec));
        }
        value
    };
    let [old_value, new_value] = [old, new].map(|spec| written(spec, Values::Shown));
    let [old_text, new_text] = [old, new].map(|spec| written(spec, Values::Hidden));
    let side = |value, text| Some(Side { value, text });
    let mut found = Vec::new();
    compare("", side(&old_value, &old_text), side(&new_value, &new_text), &mut found);
    found
}

/// A value that is compared, and the one that may be shown in its place.
#[derive(Clone, Copy)]
struct Side<'v> {
    value: &'v Value,
    text: &'v Value,
}

impl Side<'_> {
    /// The value of a key. If the file has a mapping or list as one text, this text is shown for each of its parts.
    fn get(self, key: &str) -> Option<Self> {
        let text = match self.text {
            Value::Object(members) => members.get(key).unwrap_or(&Value::Null),
            whole => whole,
        };
        self.value.get(key).map(|value| Self { value, text })
    }
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

fn compare(path: &str, old: Option<Side<'_>>, new: Option<Side<'_>>, found: &mut Vec<Difference>) {
    if old.map(|side| side.value) == new.map(|side| side.value) {
        return;
    }
    let keys = |side: Option<Side<'_>>| match side.map(|side| side.value) {
        Some(Value::Object(members)) => Some(members.keys().cloned().collect::<BTreeSet<String>>()),
        None | Some(Value::Null) => Some(BTreeSet::new()),
        Some(_) => None,
    };
    // Two mappings are compared key by key. One that is new or gone, or empty, is split like this only near the top of
    // the file.
    if let (Some(olds), Some(news)) = (keys(old), keys(new))
        && (path.matches('.').count() < 2 || (!olds.is_empty() && !news.is_empty()))
    {
        for key in olds.union(&news) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            compare(&path, old.and_then(|side| side.get(key)), new.and_then(|side| side.get(key)), found);
        }
        return;
    }
    let shown = |side: Option<Side<'_>>| side.filter(|side| !side.value.is_null()).map(|side| text(path, side.text));
    found.push(Difference { path: path.to_owned(), was: shown(old), is: shown(new) });
}

/// A value as it may be shown.
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
    use serde_json::json;

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

    #[test]
    fn what_stands_in_the_file_is_told_in_place_of_the_values() {
        let value = |password: &str| {
            json!({ "services": { "web": {
            "command": ["serve", format!("--password={password}")],
            "labels": { "token": password, "team": "a" },
            "healthcheck": { "test": ["CMD-SHELL", format!("check {password}")] },
        } } })
        };
        let text = json!({ "services": { "web": {
            "command": "serve --password=${PW}",
            "labels": { "token": "${PW}", "team": "a" },
            "healthcheck": "${CHECK}",
        } } });
        let (old, new) = (value("hunter2"), value("hunter3"));
        let mut found = Vec::new();
        compare("", Some(Side { value: &old, text: &text }), Some(Side { value: &new, text: &text }), &mut found);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected = [
            "services.web.command: serve --password=${PW} is now serve --password=${PW}",
            "services.web.healthcheck.test: ${CHECK} is now ${CHECK}",
            "services.web.labels.token: ${PW} is now ${PW}",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn debug_shows_no_text_that_may_hold_a_value() {
        let spec = spec("name: shop\nservices: { web: { image: shop, command: hunter2, labels: { a: hunter2 } } }");
        let container = crate::container::ContainerSpec {
            command: Some(vec!["hunter2".to_owned()]),
            ..crate::container::ContainerSpec::default()
        };
        let component = spec.components.values().next().expect("one");
        let debug = format!("{component:?} {container:?}");
        assert!(debug.contains("shop") && !debug.contains("hunter2"), "{debug}");
    }

    #[cfg(feature = "controller")]
    #[test]
    fn the_value_of_a_variable_is_told_of_no_replica() {
        let of = |password: &str| {
            let text = "name: shop\nservices: { web: { image: shop, command: 'serve ${PW}', labels: ['a=${PW}'], deploy: { replicas: 2 } } }";
            let variables = crate::environment::compose::Variables::from_iter([("PW".to_owned(), password.to_owned())]);
            let options = ResolveOptions { variables, ..ResolveOptions::default() };
            let spec = ComposeFile::parse("compose.yaml", text).expect("YAML").resolve(&options).expect("good").spec;
            spec.expanded().expect("good").spec
        };
        let (old, new) = (of("hunter2"), of("hunter3"));
        let told: Vec<String> = differences(&old, &new).iter().map(ToString::to_string).collect();
        assert!(told.len() >= 4 && told.iter().all(|line| line.contains("${PW}")), "{told:?}");
        assert!(!format!("{told:?} {old:?}").contains("hunter"), "{told:?} {old:?}");
    }
}
