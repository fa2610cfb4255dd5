//! Masks the values of variables in what an engine or a program says of an environment. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compose::{RAMP_PATH, Values, canonical, values_in};
use super::{Asks, EnvironmentSpec};
use crate::error::Error;
use crate::mask::{MIN_MASKED_LENGTH, replaced};
use crate::name::ServiceName;

/// Names are not masked: everybody sees them on the engine, and without them nobody knows what an error is about.
const UNMASKED_KEYS: [&str; 2] = ["container_name", "name"];

impl EnvironmentSpec {
    /// The error, with texts of the file in place of those that hold values of variables.
    pub(crate) fn masked(&self, error: Error) -> Error {
        if self.written.is_empty() {
            return error;
        }
        let mask = Mask::of(self);
        error.retold(|text| mask.apply(text))
    }
}

/// Values of variables, and what is shown in their place. The longest come first.
struct Mask(Vec<(String, String)>);

impl Mask {
    fn of(spec: &EnvironmentSpec) -> Self {
        let name = ServiceName::new("environment").expect("a valid name");
        let mut mask = Self(Vec::new());
        let [shown, hidden] = [Values::Shown, Values::Hidden].map(|values| canonical(&name, spec, values));
        mask.compare("", &shown, &hidden);
        for (hook, command) in &spec.hooks {
            let words: Vec<&str> = command.command.iter().map(|word| word.expose()).collect();
            mask.words(&words, &spec.written, &format!("x-haddock.release.hooks.{}", hook.name()));
        }
        for (stage, gate) in &spec.gates {
            if let Asks::Command(words) = &gate.asks {
                let words: Vec<&str> = words.iter().map(|word| word.expose()).collect();
                mask.words(&words, &spec.written, &format!("{RAMP_PATH}[{stage}].gate"));
            }
        }
        // If several texts have the same value, the one with the least around the variable counts.
        mask.0.sort_by(|(a, of_a), (b, of_b)| (b.len(), a, of_a.len()).cmp(&(a.len(), b, of_b.len())));
        mask.0.dedup_by(|(a, _), (b, _)| a == b);
        mask
    }

    fn compare(&mut self, key: &str, shown: &Value, hidden: &Value) {
        match (shown, hidden) {
            (Value::Object(shown), Value::Object(hidden)) => {
                for (key, shown) in shown {
                    self.compare(key, shown, hidden.get(key).unwrap_or(&Value::Null));
                }
            }
            (Value::Array(shown), Value::Array(hidden)) => {
                shown.iter().zip(hidden).for_each(|(shown, hidden)| self.compare(key, shown, hidden));
            }
            // One text in the file has become several.
            (Value::Object(parts), Value::String(_)) => parts.values().for_each(|part| self.compare(key, part, hidden)),
            (Value::Array(parts), Value::String(_)) => parts.iter().for_each(|part| self.compare(key, part, hidden)),
            (Value::String(value), Value::String(text)) if !UNMASKED_KEYS.contains(&key) => {
                self.add(&value.replace("$$", "$"), text);
            }
            _ => {}
        }
    }

    fn words(&mut self, words: &[&str], written: &BTreeMap<String, String>, path: &str) {
        for path in [path.to_owned(), format!("{path}.command")] {
            for (index, word) in words.iter().enumerate() {
                let text = written.get(&format!("{path}[{index}]")).or_else(|| written.get(&path));
                text.into_iter().for_each(|text| self.add(word, text));
            }
        }
    }

    /// The values of the variables in a text: a message may quote only these.
    fn add(&mut self, value: &str, text: &str) {
        if value == text || !text.contains('$') || text.contains(value) {
            return;
        }
        let values = values_in(text, value).into_iter();
        self.0.extend(values.filter(|(value, _)| value.len() >= MIN_MASKED_LENGTH));
        let before = text.find('$').filter(|end| value.starts_with(&text[..*end])).unwrap_or(0);
        let end = text.rfind('}').map_or(text.len(), |end| end + 1);
        let after = Some(&text[end..]).filter(|after| value.len() >= before + after.len() && value.ends_with(*after));
        let (inner, inner_text) = (&value[before..value.len() - after.map_or(0, str::len)], &text[before..end]);
        for (value, text) in [(value, text), (inner, inner_text)] {
            if value.len() >= MIN_MASKED_LENGTH {
                self.0.push((value.to_owned(), text.to_owned()));
            }
        }
    }

    fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (value, written)| replaced(&text, value, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, ResolveOptions, Variables};
    use crate::error::ErrorKind;

    #[test]
    fn what_is_said_has_no_value_of_a_variable() {
        let text = "name: shop
services:
  web:
    image: shop
    command: '${PW} --serve'
    entrypoint: [sh, -c, 'login ${PW}']
    user: $PW
    hostname: ${NODE}
    container_name: shop-${NODE}
    devices: ['/dev/${PW}:/dev/a']
    volumes: ['/data/${PW}:/a', 'books:/b']
volumes: { books: { driver_opts: { device: '//host/${PW}' } } }
x-haddock: { entry: web:80, release: { hooks: { serving: 'tell ${PW}' },\n  ramp: [{ share: 1%, gate: { command: 'for x in $$ALL; do try ${PIN} in ${CITY}; done' } }, 100%] } }
";
        let variables =
            Variables::from_iter([("PW", "hunter2!"), ("NODE", "node1"), ("PIN", "4711"), ("CITY", "Kiel")]);
        let options = ResolveOptions { variables, ..ResolveOptions::default() };
        let spec = ComposeFile::parse("compose.yaml", text).expect("YAML").resolve(&options).expect("good").spec;
        for (said, told) in [
            ("exec: \"hunter2!\": not found", "exec: \"$PW\": not found"),
            ("unable to find user hunter2!: none", "unable to find user $PW: none"),
            ("no device \"/dev/hunter2!\"", "no device \"/dev/${PW}:/dev/a\""),
            ("nothing of that", "nothing of that"),
            ("tried 4711 for nothing", "tried ${PIN} for nothing"),
            ("container `shop-node1` and node12", "container `shop-${NODE}` and node12"),
        ] {
            let error = spec.masked(Error::new(ErrorKind::RuntimeRefused, said).with_log_tail(vec![said.to_owned()]));
            assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
            assert_eq!((error.message(), error.log_tail()), (told, &[told.to_owned()][..]));
        }
    }
}
