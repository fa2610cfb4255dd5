//! `build`: read here, and kept for the part that builds images.

use serde_json::{Map, Value as Json, json};

use super::injected::read_uses;
use super::keys;
use super::mounts::{clean, host_path};
use super::options::{hosts, size, ulimits};
use super::reader::{Cursor, Reader};
use super::tree::Value;
use crate::environment::Build;

pub(super) fn read_build<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Build> {
    if let Value::Scalar(_) = cursor.node.value {
        let context = reader.text(cursor)?;
        let context = if context.is_empty() { None } else { Some(read_context(reader, cursor, &context)?) };
        return Some(Build { context, dockerfile: Some("Dockerfile".to_owned()), ..Build::default() });
    }
    let mut build = Map::new();
    let (mut names_dockerfile, mut has_context) = (false, false);
    for entry in reader.known_entries(cursor, &keys::BUILD)? {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        names_dockerfile |= key.starts_with("dockerfile");
        let read: Option<Json> = match key {
            "context" => {
                has_context = true;
                let context = reader.text(at)?;
                if context.is_empty() { None } else { read_context(reader, at, &context).map(Json::from) }
            }
            "args" => Some(json!(read_args(reader, at))),
            "labels" => Some(json!(reader.pairs(at))),
            "additional_contexts" => {
                let mut contexts = Map::new();
                for (name, context) in reader.pairs(at) {
                    contexts.insert(name, json!(read_context(reader, at, &context)?));
                }
                Some(Json::Object(contexts))
            }
            "tags" => Some(json!(reader.unique_texts(at))),
            "cache_from" | "cache_to" | "entitlements" | "platforms" => Some(json!(reader.texts(at))),
            "no_cache_filter" => match at.node.value {
                Value::Scalar(_) => reader.text(at).map(|stage| json!([stage])),
                _ => Some(json!(reader.texts(at))),
            },
            "ssh" => {
                let keys = reader.pairs(at);
                if keys.values().any(|path| !path.is_empty()) {
                    reader.unsupported(at, "a key of `ssh` in a file is", "add it to your agent, and write `default`");
                }
                Some(json!(keys.into_keys().collect::<Vec<_>>()))
            }
            "provenance" | "sbom" => reader.any_text(at).filter(|text| !text.is_empty()).map(Json::from),
            "extra_hosts" => Some(json!(hosts(reader, at))),
            "no_cache" | "privileged" | "pull" => reader.boolean(at).map(Json::from),
            "secrets" => Some(json!(read_uses(reader, at, None).into_iter().map(|(file, _)| file).collect::<Vec<_>>())),
            "shm_size" => size(reader, at).map(|size| json!(size)),
            "ulimits" => Some(ulimits(reader, at)),
            _ => reader.text(at).filter(|text| !text.is_empty()).map(Json::from),
        };
        if let Some(read) = read {
            build.insert(key.to_owned(), read);
        }
    }
    if ["dockerfile", "dockerfile_inline"].iter().all(|key| build.contains_key(*key)) {
        let message = "the build has a `dockerfile` and a `dockerfile_inline`";
        reader.unfit(cursor, message, "remove one of them");
    }
    if !has_context {
        build.insert("context".to_owned(), json!(clean(reader.project(cursor))));
    }
    if !names_dockerfile {
        build.insert("dockerfile".to_owned(), json!("Dockerfile"));
    }
    Some(serde_json::from_value(Json::Object(build)).expect("each kind gives what its key takes"))
}

/// A context. A path of a folder is made absolute. Any other context, such as a URL, stays as it is written.
fn read_context(reader: &mut Reader<'_>, cursor: &Cursor<'_>, context: &str) -> Option<String> {
    let elsewhere = context.contains("://")
        || ["git@", "github.com/", "service:", "target:"].iter().any(|lead| context.starts_with(lead));
    if elsewhere { Some(context.to_owned()) } else { host_path(reader, cursor, context) }
}

/// Arguments. One without a value gets the value of the variable with the same name. If there is none, it is left out.
fn read_args<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Map<String, Json> {
    let environment = super::pairs::read_environment(reader, cursor);
    environment.into_iter().map(|(name, value)| (name, json!(value.expose()))).collect()
}
