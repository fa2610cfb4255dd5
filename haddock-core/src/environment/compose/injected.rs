//! Secrets and configs: those that the file declares, and those that components use.

use std::collections::BTreeMap;

use super::keys;
use super::mounts::{host_path, mode};
use super::reader::{Cursor, Reader};
use super::tree::Value;
use crate::container::Sensitive;
use crate::environment::{DeclaredFile, FileSource, FileUse};

/// The secrets or configs of a component, each with its place in the file. Of two with one target, the later one
/// counts.
pub(super) fn read_uses<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
    folder: Option<&str>,
) -> Vec<(FileUse, Cursor<'t>)> {
    let mut uses: Vec<(FileUse, Cursor<'t>)> = Vec::new();
    for item in reader.items(cursor).unwrap_or_default() {
        let mut file = FileUse::default();
        match item.node.value {
            Value::Map(_) => {
                for entry in reader.known_entries(&item, &keys::FILE_USE).unwrap_or_default() {
                    let at = &entry.value;
                    match entry.key.text.as_str() {
                        "source" => file.source = reader.text(at).unwrap_or_default(),
                        "target" => file.target = reader.text(at),
                        "uid" => file.uid = reader.text(at),
                        "gid" => file.gid = reader.text(at),
                        "mode" => file.mode = reader.value(at, mode).map(|mode| format!("0{mode:o}")),
                        other => keys::unread(other),
                    }
                }
                if file.source.is_empty() {
                    reader.wrong(&item, "the entry has no `source`", "set `source` to a name that the file declares");
                    continue;
                }
            }
            _ => file.source = reader.text(&item).unwrap_or_default(),
        }
        if file.target.is_none() {
            file.target = folder.map(|folder| format!("{folder}{}", file.source));
        }
        let place = |file: &FileUse| file.target.clone().unwrap_or_else(|| format!("/{}", file.source));
        match uses.iter().position(|(other, _)| place(other) == place(&file)) {
            Some(before) => uses[before] = (file, item),
            None => uses.push((file, item)),
        }
    }
    uses
}

/// The entries under `secrets:` or `configs:`. `None` is an external one, which only a swarm keeps.
pub(super) fn read_declared<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
    may_hold: bool,
) -> BTreeMap<String, Option<DeclaredFile>> {
    let mut files = BTreeMap::new();
    if cursor.is_null() {
        return files;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        let name = entry.key.text.clone();
        let external = entry.value.child("external");
        // In older files, `external` is a mapping with the name.
        let is_external = |external: Cursor<'t>| {
            matches!(external.node.value, Value::Map(_)) || reader.boolean(&external) != Some(false)
        };
        if external.is_some_and(is_external) {
            files.insert(name, None);
            continue;
        }
        if let Some(file) = read_file(reader, &entry.value, may_hold) {
            files.insert(name, Some(file));
        }
    }
    files
}

/// Reads one entry. `may_hold`: whether its content may stand in the compose file.
fn read_file<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>, may_hold: bool) -> Option<DeclaredFile> {
    let (mut name, mut source, mut content) = (None, None, None);
    let mut sources = 0;
    for entry in reader.known_entries(cursor, &keys::DECLARED_FILE)? {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        match key {
            "name" => {
                name = reader.text(at);
                continue;
            }
            // This was read before.
            "external" => continue,
            "labels" | "template_driver" => {
                match key {
                    "labels" => _ = reader.pairs(at),
                    _ => _ = reader.text(at),
                }
                reader.note(at, format!("`{key}` has no effect: it is for swarms"));
                continue;
            }
            "file" => {
                let path = reader.text(at)?;
                source = host_path(reader, at, &path).map(FileSource::File);
            }
            "environment" => {
                let variable = reader.text(at)?;
                if variable.is_empty() {
                    reader.wrong(at, "no variable is named", "write the name of an environment variable");
                    return None;
                }
                content = reader.variable(at, &variable).map(Sensitive::new);
                source = Some(FileSource::Environment(variable));
            }
            "content" => {
                if !may_hold {
                    reader.wrong(at, "a secret has no `content`", "set its `file` or its `environment`");
                    return None;
                }
                content = reader.text(at).map(Sensitive::new);
                source = Some(FileSource::Content);
            }
            other => keys::unread(other),
        }
        sources += 1;
    }
    if sources != 1 {
        reader.wrong(cursor, "it has no source, or more than one", "set one of `file`, `environment` and `content`");
        return None;
    }
    Some(DeclaredFile { name, source: source?, content })
}
