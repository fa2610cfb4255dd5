//! `gpus`, and the devices that `deploy.resources` reserves. Both ask a driver for devices, and name no path.

use serde_json::{Map, Value as Json, json};

use super::keys;
use super::reader::{Cursor, Reader};
use super::tree::Value;
use crate::error::{Error, ErrorKind};

/// The count that asks the engine for all devices.
const ALL_DEVICES: i64 = -1;

/// `all`, or a list of requests.
pub(super) fn gpus<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Json {
    if let Value::Scalar(_) = cursor.node.value {
        let all = |text: &str| {
            (text == "all")
                .then_some(())
                .ok_or_else(|| invalid(text, "`all`", "write `gpus: all`, or a list of requests"))
        };
        return reader.word(cursor, all).map_or(json!([]), |()| json!([{ "count": ALL_DEVICES }]));
    }
    requests(reader, cursor, false)
}

/// The devices that `deploy.resources` reserves. Each has to name its `capabilities`.
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
                "capabilities" | "device_ids" => Some(json!(reader.texts(at))),
                other => keys::unread(other),
            };
            request.extend(read.map(|read| (entry.key.text.clone(), read)));
        }
        let has = |key| item.node.get(key).is_some();
        if capable && !has("capabilities") {
            reader.wrong(&item, "the reserved device has no `capabilities`", "add `capabilities: [gpu]`");
        }
        match (has("count"), has("device_ids")) {
            (true, true) => reader.wrong(&item, "a request has either `count` or `device_ids`", "remove one of them"),
            (false, false) => _ = request.insert("count".to_owned(), json!(ALL_DEVICES)),
            _ => {}
        }
        requests.push(Json::Object(request));
    }
    Json::Array(requests)
}

fn count(text: &str) -> Result<i64, Error> {
    match (text, text.parse::<i64>()) {
        ("all", _) => Ok(ALL_DEVICES),
        // A number below zero means all devices. Compose itself writes it so.
        (_, Ok(count)) => Ok(count),
        _ => Err(invalid(text, "a number of devices", "write `all` or a number")),
    }
}

fn invalid(text: &str, what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("`{text}` is not {what}")).with_hint(hint)
}
