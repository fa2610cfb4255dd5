//! Names with values: `environment`, `env_file` and `labels`.

use std::collections::BTreeMap;
use std::path::Path;

use super::dotenv::Format;
use super::keys;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader};
use super::tree::Value;
use crate::container::Sensitive;
use crate::error::ErrorKind;

/// A mapping, or a list of `NAME=value`. A name without a value gets the caller's value. If there is none, it is left
/// out.
pub(super) fn read_environment<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> BTreeMap<String, Sensitive> {
    let mut variables = BTreeMap::new();
    let mut insert = |reader: &mut Reader<'t>, at: &Cursor<'t>, name: &str, value: Option<String>| {
        if name.ends_with(' ') {
            reader.wrong(at, "the name of a variable ends with a space", "write `NAME: value` or `- NAME=value`");
            return;
        }
        if name.is_empty() || name.contains(['=', '\0']) {
            let hint = "write `NAME: value` or `- NAME=value`";
            reader.stricter(at, "this is no name for a variable", hint, REFUSED_BY_ENGINE);
            return;
        }
        if let Some(value) = value.or_else(|| reader.variable(at, name).map(str::to_owned)) {
            variables.insert(name.to_owned(), Sensitive::new(value));
        }
    };
    let Some(is_list) = reader.is_list(cursor) else { return BTreeMap::new() };
    if is_list {
        for item in reader.items(cursor).unwrap_or_default() {
            let Some(text) = reader.pair(&item) else { continue };
            match text.split_once('=') {
                Some((name, value)) => insert(reader, &item, name, Some(value.to_owned())),
                None => insert(reader, &item, &text, None),
            }
        }
        return variables;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        let name = &entry.key.text;
        note_dollar(reader, &entry.value, name);
        if entry.value.is_null() {
            insert(reader, &entry.value, name, None);
        } else if let Some(value) = reader.any_text(&entry.value) {
            insert(reader, &entry.value, name, Some(value));
        }
    }
    variables
}

/// If a key has a `$`, notes that no variable is filled in there.
fn note_dollar(reader: &mut Reader<'_>, cursor: &Cursor<'_>, key: &str) {
    if key.contains('$') {
        reader.note(cursor, "in a key no variable is filled in: write `- name=value` for that");
    }
}

/// A path, or a list of paths or of `{path, required, format}`; later files win.
pub(super) fn read_env_files<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
    own: &BTreeMap<String, Sensitive>,
) -> BTreeMap<String, Sensitive> {
    let mut variables: BTreeMap<String, Sensitive> = BTreeMap::new();
    let items = match cursor.node.value {
        Value::List(_) => reader.items(cursor).unwrap_or_default(),
        Value::Map(_) => {
            reader.mistyped(cursor, "a path or a list", "write a `-` before its first key");
            return variables;
        }
        _ => vec![cursor.clone()],
    };
    for item in items {
        let (mut path, mut required, mut format) = (None, true, Format::Dotenv);
        if let Value::Map(_) = item.node.value {
            for entry in reader.known_entries(&item, &keys::ENV_FILE).unwrap_or_default() {
                match entry.key.text.as_str() {
                    "path" => path = reader.text(&entry.value),
                    "format" => format = reader.word(&entry.value, str::parse).unwrap_or(format),
                    "required" => required = reader.boolean(&entry.value).unwrap_or(true),
                    other => keys::unread(other),
                }
            }
            if item.node.get("path").is_none() {
                reader.wrong(&item, "the entry of `env_file` has no `path`", "set `path` to the file of variables");
            }
        } else {
            path = reader.text(&item);
        }
        let Some(path) = path else { continue };
        let mine = |name: &str| own.get(name).map(|value| value.expose().to_owned());
        let inner = |name: &str| variables.get(name).map(|value| value.expose().to_owned());
        match reader.variables_file(&item, Path::new(&path), format, &mine, &inner) {
            Ok(Some(file)) => variables.extend(file.iter().map(|(name, value)| (name.to_owned(), value.clone()))),
            Ok(None) if !required => {}
            Ok(None) => {
                let message = format!("file `{}` of variables does not exist", shown(&item));
                let hint = "correct the path, which starts at the compose file's directory, or set `required: false`";
                reader.fail(&item, ErrorKind::NotFound, message, hint);
            }
            Err(error) => reader.fail_with(&item, error),
        }
    }
    variables
}

/// The labels of a file, or of several; later files win.
pub(super) fn read_label_files<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let items = match cursor.node.value {
        Value::Scalar(_) => vec![cursor.clone()],
        _ => reader.items(cursor).unwrap_or_default(),
    };
    for item in items {
        let Some(path) = reader.text(&item) else { continue };
        match reader.labels_file(&item, Path::new(&path)) {
            Ok(Some(file)) => {
                labels.extend(file.iter().map(|(name, value)| (name.to_owned(), value.expose().to_owned())));
            }
            Ok(None) => {
                let message = format!("file `{}` of labels does not exist", item.written());
                let hint = "correct the path, which starts at the compose file's directory";
                reader.fail(&item, ErrorKind::NotFound, message, hint);
            }
            Err(error) => reader.fail_with(&item, error),
        }
    }
    if let Some(name) = labels.keys().find(|name| name.starts_with("haddock.")) {
        let message = format!("label `{name}` of a file begins with `haddock.`, which is kept for Haddock's own");
        reader.wrong(cursor, message, "give it another name");
    }
    labels
}

/// A scalar, or the `path` of a mapping, as it stands in the file.
fn shown(cursor: &Cursor<'_>) -> String {
    let path = cursor.node.get("path").map(|node| Cursor { node, path: String::new() });
    path.as_ref().unwrap_or(cursor).written().to_owned()
}

pub(super) fn read_labels<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut insert = |reader: &mut Reader<'t>, at: &Cursor<'t>, name: &str, value: String| {
        if name.starts_with("haddock.") {
            reader.wrong(at, "a label begins with `haddock.`, which is kept for Haddock's own", "give it another name");
        } else if name.is_empty() {
            reader.wrong(at, "a label has no name", "write `name: value` or `- name=value`");
        } else {
            labels.insert(name.to_owned(), value);
        }
    };
    let Some(is_list) = reader.is_list(cursor) else { return BTreeMap::new() };
    if is_list {
        for item in reader.items(cursor).unwrap_or_default() {
            let Some(text) = reader.pair(&item) else { continue };
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            insert(reader, &item, name, value.to_owned());
        }
        return labels;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        note_dollar(reader, &entry.value, &entry.key.text);
        let value = if entry.value.is_null() { Some(String::new()) } else { reader.any_text(&entry.value) };
        if let Some(value) = value {
            insert(reader, &entry.value, &entry.key.text, value);
        }
    }
    labels
}
