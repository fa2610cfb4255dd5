//! `gpus`, and the devices that `deploy.resources` reserves: asked of a driver, not named by path.

use serde_json::{Map, Value as Json, json};

use super::keys;
use super::reader::{Cursor, Reader};
use super::tree::Value;
use crate::error::{Error, ErrorKind};

/// How the engine is asked for all there are.
const ALL: i64 = -1;

/// `all`, or a list of requests.
pub(super) fn gpus<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Json {
    if let Value::Scalar(_) = cursor.node.value {
        let all = |text: &str| {
            (text == "all")
                .then_some(())
                .ok_or_else(|| invalid(text, "`all`", "write `gpus: all`, or a list of requests"))
        };
        return reader.word(cursor, all).map_or(json!([]), |()| json!([{ "count": ALL }]));
    }
    requests(reader, cursor, false)
}

/// The devices that `deploy.resources` reserves: each says what it must be capable of.
pub(super) fn reserved<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Json {
    requests(reader, cursor, true)
}

fn requests<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>, capable: bool) -> Json {
    let mut requests = Vec::new();
    for item in reader.items(cursor).unwrap_or_default() {
        let mut request = Map::new();
        for entry in reader.known_entries(&item, &keys::DEVICE_REQUEST).unwrap_or_default() {
            let at = &entry.value;
            let read = match entry.key.text.as_str() {
                "count" => reader.value(at, count).map(Json::from),
                "driver" => reader.text(at).map(Json::from),
                "options" => Some(json!(reader.pairs(at))),
                _ => Some(json!(reader.texts(at))),
            };
            request.extend(read.map(|read| (entry.key.text.clone(), read)));
        }
        let has = |key| item.node.get(key).is_some();
        if capable && !has("capabilities") {
            reader.wrong(&item, "the reserved device has no `capabilities`", "add `capabilities: [gpu]`");
        }
        match (has("count"), has("device_ids")) {
            (true, true) => reader.wrong(&item, "a request has either `count` or `device_ids`", "remove one of them"),
            (false, false) => _ = request.insert("count".to_owned(), json!(ALL)),
            _ => {}
        }
        requests.push(Json::Object(request));
    }
    Json::Array(requests)
}

fn count(text: &str) -> Result<i64, Error> {
    match (text, text.parse::<i64>()) {
        ("all", _) => Ok(ALL),
        // As Compose writes it itself: less than none is all there are.
        (_, Ok(count)) => Ok(count),
        _ => Err(invalid(text, "a number of devices", "write `all` or a number")),
    }
}

fn invalid(text: &str, what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("`{text}` is not {what}")).with_hint(hint)
}
