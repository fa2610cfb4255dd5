//! The keys that go to the container as they are. Each is checked by its kind, and kept under its name.

use serde_json::{Map, Value as Json, json};

use super::gpus;
use super::keys;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader};
use super::tree::Value;
use crate::container::{Bytes, ContainerOptions};
use crate::error::{Error, ErrorKind};
use crate::value;

/// What kind of value a key takes.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Whole,
    /// A whole number from -1000 to 1000.
    Adjustment,
    Size,
    Cpus,
    /// A list of texts.
    Texts,
    /// A list of texts of which none may stand twice.
    Distinct,
    /// A list of names and numbers, of which none may stand twice.
    Groups,
    Options,
    Cgroup,
    BlockIo,
    /// One text, or a list of them.
    TextOrTexts,
    Pairs,
    Hosts,
    Devices,
    Gpus,
    Ulimits,
    Logging,
}

const KINDS: &[(&str, Kind)] = &[
    ("annotations", Kind::Pairs),
    ("blkio_config", Kind::BlockIo),
    ("cap_add", Kind::Texts),
    ("cap_drop", Kind::Texts),
    ("cgroup", Kind::Cgroup),
    ("cgroup_parent", Kind::Text),
    ("cpu_count", Kind::Whole),
    ("cpu_percent", Kind::Whole),
    ("cpu_period", Kind::Whole),
    ("cpu_quota", Kind::Whole),
    ("cpu_rt_period", Kind::Whole),
    ("cpu_rt_runtime", Kind::Whole),
    ("cpu_shares", Kind::Whole),
    ("cpus", Kind::Cpus),
    ("cpuset", Kind::Text),
    ("device_cgroup_rules", Kind::Distinct),
    ("devices", Kind::Devices),
    ("dns", Kind::TextOrTexts),
    ("dns_opt", Kind::Texts),
    ("dns_search", Kind::TextOrTexts),
    ("domainname", Kind::Text),
    ("extra_hosts", Kind::Hosts),
    ("gpus", Kind::Gpus),
    ("group_add", Kind::Groups),
    ("hostname", Kind::Text),
    ("init", Kind::Flag),
    ("ipc", Kind::Text),
    ("isolation", Kind::Text),
    ("logging", Kind::Logging),
    ("mac_address", Kind::Text),
    ("mem_limit", Kind::Size),
    ("mem_reservation", Kind::Size),
    ("mem_swappiness", Kind::Size),
    ("memswap_limit", Kind::Size),
    ("oom_kill_disable", Kind::Flag),
    ("oom_score_adj", Kind::Adjustment),
    ("pid", Kind::Text),
    ("pids_limit", Kind::Whole),
    ("platform", Kind::Text),
    ("privileged", Kind::Flag),
    ("read_only", Kind::Flag),
    ("runtime", Kind::Text),
    ("security_opt", Kind::Distinct),
    ("shm_size", Kind::Size),
    ("stdin_open", Kind::Flag),
    ("storage_opt", Kind::Options),
    ("sysctls", Kind::Pairs),
    ("tmpfs", Kind::TextOrTexts),
    ("tty", Kind::Flag),
    ("ulimits", Kind::Ulimits),
    ("use_api_socket", Kind::Flag),
    ("user", Kind::Text),
    ("userns_mode", Kind::Text),
    ("uts", Kind::Text),
    ("working_dir", Kind::Text),
];

/// What has been read of these keys.
#[derive(Default)]
pub(super) struct Options(Map<String, Json>);

impl Options {
    /// Reads the key, if it is one of them.
    pub(super) fn read<'t>(&mut self, reader: &mut Reader<'t>, key: &str, cursor: &Cursor<'t>) -> bool {
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == key) else { return false };
        if let Some(read) = kind.read(reader, cursor) {
            self.0.insert(key.to_owned(), read);
        }
        true
    }

    /// Adds `deploy.resources`.
    pub(super) fn resources(&mut self, resources: Json) {
        self.0.insert("resources".to_owned(), resources);
    }

    /// Adds the containers outside the environment whose volumes the component uses.
    pub(super) fn volumes_from(&mut self, containers: Vec<String>) {
        self.0.insert("volumes_from".to_owned(), json!(containers));
    }

    pub(super) fn finish(self) -> ContainerOptions {
        serde_json::from_value(Json::Object(self.0)).expect("each kind gives what its key takes")
    }
}

impl Kind {
    fn read<'t>(self, reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Json> {
        match self {
            Self::Text => reader.text(cursor).filter(|text| !text.is_empty()).map(Json::from),
            Self::Flag => reader.boolean(cursor).map(Json::from),
            Self::Whole => whole(reader, cursor).map(Json::from),
            Self::Adjustment => {
                let number = whole(reader, cursor)?;
                if !(-1000..=1000).contains(&number) {
                    let message = format!("`{}` is outside of -1000 to 1000", cursor.name());
                    reader.wrong(cursor, message, "write a number from -1000 to 1000");
                    return None;
                }
                Some(json!(number))
            }
            Self::Size => size(reader, cursor).map(|size| json!(size)),
            Self::Cpus => cpus(reader, cursor),
            Self::Texts => Some(json!(reader.unique_texts(cursor))),
            Self::Distinct => Some(json!(reader.distinct_texts(cursor))),
            Self::Groups => Some(json!(groups(reader, cursor))),
            Self::Options => Some(json!(reader.options_or_empty(cursor))),
            Self::Cgroup => reader
                .word(cursor, |text| match text {
                    "host" | "private" => Ok(text.to_owned()),
                    _ => Err(invalid(format!("`{text}` is not a control group"), "write `host` or `private`")),
                })
                .map(Json::from),
            Self::TextOrTexts => match cursor.node.value {
                Value::Scalar(_) => reader.text(cursor).filter(|text| !text.is_empty()).map(|text| json!([text])),
                _ => {
                    let texts = reader.unique_texts(cursor);
                    Some(json!(texts.iter().filter(|text| !text.is_empty()).collect::<Vec<_>>()))
                }
            },
            Self::Pairs => Some(json!(reader.pairs(cursor))),
            Self::Hosts => Some(json!(hosts(reader, cursor))),
            Self::BlockIo => block_io(reader, cursor),
            Self::Devices => Some(devices(reader, cursor)),
            Self::Gpus => Some(gpus::gpus(reader, cursor)),
            Self::Ulimits => Some(ulimits(reader, cursor)),
            Self::Logging => logging(reader, cursor),
        }
    }
}

fn invalid(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, message).with_hint(hint)
}

pub(super) fn whole(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<i64> {
    reader.numeric(cursor, |text| {
        text.parse::<i64>().map_err(|_| invalid(format!("`{text}` is not a whole number"), "write a whole number"))
    })
}

/// A size; `-1` means no limit.
pub(super) fn size(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<Bytes> {
    reader.not_fraction(cursor)?;
    reader.numeric(cursor, |text| match text {
        "-1" => Ok(Bytes(-1)),
        // As in Docker, there may be a space before the unit.
        _ if text.starts_with(' ') => Err(invalid("the size begins with a space".to_owned(), "remove it")),
        _ => value::size(&text.strip_prefix('+').unwrap_or(text).replacen(' ', "", 1))
            .map(|size| Bytes(i64::try_from(size.as_u64()).unwrap_or(i64::MAX))),
    })
}

/// A number of processors, such as `0.5`.
pub(super) fn cpus(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<Json> {
    reader.numeric(cursor, |text| match text.parse::<f64>() {
        Ok(number) if number.is_finite() && (0.0..=1e6).contains(&number) => Ok(json!(number)),
        read => {
            let error =
                invalid(format!("`{text}` is not a number of processors"), "write a number such as `0.5` or `2`");
            Err(if read.is_ok() { error.stricter_than_compose(REFUSED_BY_ENGINE) } else { error })
        }
    })
}

/// A list of `host:address` or `host=address`; or a mapping, in which a host may have a list of addresses.
pub(super) fn hosts<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    let mut add = |host: &str, address: &str| {
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        let entry = format!("{host}={bare}");
        if !hosts.contains(&entry) {
            hosts.push(entry);
        }
    };
    let Some(is_list) = reader.is_list(cursor) else { return hosts };
    if is_list {
        for item in reader.items(cursor).unwrap_or_default() {
            let read = |text: &str| {
                let pair = text.split_once('=').or_else(|| text.split_once(':'));
                let pair = pair.filter(|(host, address)| !host.is_empty() && !address.is_empty());
                pair.map(|(host, address)| (host.to_owned(), address.to_owned()))
                    .ok_or_else(|| invalid(format!("`{text}` is not a host and its address"), "write `host=address`"))
            };
            if let Some((host, address)) = reader.word(&item, read) {
                add(&host, &address);
            }
        }
        return hosts;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        match &entry.value.node.value {
            Value::List(_) => reader.texts(&entry.value).iter().for_each(|address| add(&entry.key.text, address)),
            _ => {
                if let Some(address) = reader.text(&entry.value) {
                    add(&entry.key.text, &address);
                }
            }
        }
    }
    hosts.sort();
    hosts
}

/// `source[:target[:permissions]]`, or a mapping.
fn devices<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Json {
    let mut devices: Vec<Json> = Vec::new();
    // Of two devices with one target, the later one counts.
    let mut add = |device: Json| match devices.iter_mut().find(|other| other["target"] == device["target"]) {
        Some(before) => *before = device,
        None => devices.push(device),
    };
    for item in reader.items(cursor).unwrap_or_default() {
        let device = match item.node.value {
            Value::Map(_) => {
                let mut device = Map::new();
                for entry in reader.known_entries(&item, &keys::DEVICE).unwrap_or_default() {
                    if let Some(text) = reader.text(&entry.value) {
                        device.insert(entry.key.text.clone(), json!(text));
                    }
                }
                if !device.contains_key("source") {
                    reader.wrong(&item, "the device has no `source`", "set `source` to its path on the host");
                    continue;
                }
                if !device.contains_key("target") {
                    reader.wrong(&item, "the device has no `target`", "set `target` to its path inside");
                    continue;
                }
                Some(Json::Object(device))
            }
            _ => reader.word(&item, |text| {
                let parts: Vec<&str> = text.split(':').collect();
                // A name under the Container Device Interface is `vendor/class=name`.
                match parts.as_slice() {
                    [""] => {
                        let error = invalid("a device is empty".to_owned(), "set the variable, or remove it");
                        Err(error.stricter_than_compose("the device"))
                    }
                    [source] => Ok(json!({ "source": source, "target": source, "permissions": "rwm" })),
                    [source, target] if !is_permissions(target) => {
                        Ok(json!({ "source": source, "target": target, "permissions": "rwm" }))
                    }
                    [source, permissions] => {
                        let message = format!("`{text}` lacks the path inside");
                        let error = invalid(message, &format!("write `{source}:{source}:{permissions}`"));
                        Err(error.stricter_than_compose("the path inside: Compose puts it at the permissions"))
                    }
                    [source, target, permissions] if is_permissions(permissions) => {
                        Ok(json!({ "source": source, "target": target, "permissions": permissions }))
                    }
                    _ => Err(invalid(format!("`{text}` is not a device"), "write `/dev/host:/dev/inside:rwm`")
                        .stricter_than_compose(REFUSED_BY_ENGINE)),
                }
            }),
        };
        device.into_iter().for_each(&mut add);
    }
    Json::Array(devices)
}

fn is_permissions(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c))
}

/// `blkio_config`.
fn block_io<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Json> {
    let weight = |reader: &mut Reader<'t>, at: &Cursor<'t>| {
        reader.unquoted(at)?;
        reader.numeric(at, |text| match text.parse::<u16>() {
            Ok(weight) => Ok(weight),
            Err(_) => Err(invalid(format!("`{text}` is not a weight"), "write a number from 10 to 1000")),
        })
    };
    let mut block = Map::new();
    for entry in reader.known_entries(cursor, &keys::BLKIO)? {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        if key == "weight" {
            block.insert(key.to_owned(), json!(weight(reader, at)));
            continue;
        }
        let known = if key == "weight_device" { &keys::BLKIO_WEIGHT } else { &keys::BLKIO_RATE };
        let mut devices = Vec::new();
        for item in reader.items(at).unwrap_or_default() {
            let mut device = Map::new();
            for part in reader.known_entries(&item, known).unwrap_or_default() {
                let read = match part.key.text.as_str() {
                    "path" => reader.text(&part.value).map(|path| ("Path", json!(path))),
                    "weight" => weight(reader, &part.value).map(|weight| ("Weight", json!(weight))),
                    "rate" => size(reader, &part.value).map(|rate| ("Rate", json!(rate))),
                    other => keys::unread(other),
                };
                device.extend(read.map(|(name, value)| (name.to_owned(), value)));
            }
            match device.len() {
                2 => devices.push(Json::Object(device)),
                _ => reader.wrong(&item, "the device lacks one of its two values", "set both, or remove it"),
            }
        }
        block.insert(key.to_owned(), Json::Array(devices));
    }
    Some(Json::Object(block))
}

pub(super) fn ulimits<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Json {
    let mut limits = Map::new();
    for entry in reader.entries(cursor).unwrap_or_default() {
        let limit = match entry.value.node.value {
            Value::Map(_) => {
                let mut pair = Map::new();
                for part in reader.known_entries(&entry.value, &keys::ULIMIT).unwrap_or_default() {
                    if let Some(number) = reader.not_fraction(&part.value).and_then(|()| whole(reader, &part.value)) {
                        pair.insert(part.key.text.clone(), json!(number));
                    }
                }
                if pair.len() < 2 {
                    reader.wrong(&entry.value, "a limit has both `soft` and `hard`", "set both, or write one number");
                    continue;
                }
                Some(Json::Object(pair))
            }
            _ => reader.not_fraction(&entry.value).and_then(|()| whole(reader, &entry.value)).map(Json::from),
        };
        if let Some(limit) = limit {
            limits.insert(entry.key.text.clone(), limit);
        }
    }
    Json::Object(limits)
}

fn logging<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Json> {
    let mut logging = Map::new();
    for entry in reader.known_entries(cursor, &keys::LOGGING)? {
        match entry.key.text.as_str() {
            "driver" => {
                _ = logging
                    .insert("driver".to_owned(), json!(reader.text(&entry.value).filter(|driver| !driver.is_empty())))
            }
            "options" => _ = logging.insert("options".to_owned(), json!(reader.options_or_empty(&entry.value))),
            other => keys::unread(other),
        }
    }
    Some(Json::Object(logging))
}

/// `deploy.resources`.
pub(super) fn resources<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Json {
    let mut resources = Map::new();
    for entry in reader.known_entries(cursor, &keys::RESOURCES).unwrap_or_default() {
        let known = if entry.key.text == "limits" { &keys::LIMITS } else { &keys::RESERVATIONS };
        let mut parts = Map::new();
        for part in reader.known_entries(&entry.value, known).unwrap_or_default() {
            let read = match part.key.text.as_str() {
                "cpus" => cpus(reader, &part.value),
                "memory" => reader.quoted(&part.value).and_then(|()| size(reader, &part.value)).map(|size| json!(size)),
                "devices" => Some(gpus::reserved(reader, &part.value)),
                "pids" => whole(reader, &part.value).map(Json::from),
                other => keys::unread(other),
            };
            if let Some(read) = read {
                parts.insert(part.key.text.clone(), read);
            }
        }
        resources.insert(entry.key.text.clone(), Json::Object(parts));
    }
    Json::Object(resources)
}

/// Groups, by name or number. A group that stands there as a number and as a text counts once. Twice in the same form
/// is an error.
fn groups<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<String> {
    let is_bare = |item: &Cursor<'t>| matches!(&item.node.value, Value::Scalar(scalar) if scalar.bare);
    let mut groups: Vec<(String, Vec<bool>)> = Vec::new();
    for (index, item) in reader.items(cursor).unwrap_or_default().into_iter().enumerate() {
        let Some(group) = reader.any_text(&item) else { continue };
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, kinds)) if kinds.contains(&is_bare(&item)) => {
                let message = format!("entry {} of `{}` repeats an earlier one", index + 1, cursor.name());
                reader.wrong(cursor, message, "keep one of them");
            }
            Some((_, kinds)) => kinds.push(is_bare(&item)),
            None => groups.push((group, vec![is_bare(&item)])),
        }
    }
    groups.into_iter().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_this_table_is_one_of_a_component() {
        for (key, _) in KINDS {
            assert!(keys::SERVICE.supported.contains(key), "{key}");
            let names = serde_json::from_value::<ContainerOptions>(json!({ *key: Json::Null }));
            let unknown = names.err().map(|error| error.to_string()).filter(|error| error.contains("unknown field"));
            assert_eq!(unknown, None, "{key}");
        }
    }
}
