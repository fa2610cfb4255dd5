//! `networks` of a component, and those that the file declares.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::keys;
use super::mounts::{external, named};
use super::options::whole;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader};
use super::tree::Value;
use crate::container::Endpoint;
use crate::environment::{DeclaredNetwork, Ipam, IpamConfig};
use crate::error::{Error, ErrorKind};

/// The networks that a component joins, each with its place in the file.
pub(super) fn read_endpoints<'t>(
    reader: &mut Reader<'t>,
    cursor: &Cursor<'t>,
) -> BTreeMap<String, (Endpoint, Cursor<'t>)> {
    let mut endpoints = BTreeMap::new();
    if cursor.is_null() {
        return endpoints;
    }
    let Some(is_list) = reader.is_list(cursor) else { return endpoints };
    if is_list {
        for item in reader.items(cursor).unwrap_or_default() {
            let Some(name) = reader.text(&item) else { continue };
            if endpoints.contains_key(&name) {
                reader.wrong(&item, format!("`{}` stands here a second time", item.written()), "keep one of them");
            }
            endpoints.insert(name, (Endpoint::default(), item));
        }
        return endpoints;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        let endpoint = match entry.value.is_null() {
            true => Some(Endpoint::default()),
            false => read_endpoint(reader, &entry.value),
        };
        if let Some(endpoint) = endpoint {
            endpoints.insert(entry.key.text.clone(), (endpoint, entry.value));
        }
    }
    endpoints
}

fn read_endpoint<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<Endpoint> {
    let mut endpoint = Map::new();
    for entry in reader.known_entries(cursor, &keys::ENDPOINT)? {
        let (key, at) = (entry.key.text.as_str(), &entry.value);
        let read: Option<Json> = match key {
            "aliases" | "link_local_ips" => Some(json!(reader.unique_texts(at))),
            "driver_opts" => Some(json!(reader.options(at))),
            "gw_priority" | "priority" => reader.unquoted(at).and_then(|()| whole(reader, at)).map(Json::from),
            "ipv4_address" => address::<std::net::Ipv4Addr>(reader, at).map(|it| json!(it)),
            "ipv6_address" => address::<std::net::Ipv6Addr>(reader, at).map(|it| json!(it)),
            _ => reader.text(at).map(Json::from),
        };
        if let Some(read) = read {
            endpoint.insert(key.to_owned(), read);
        }
    }
    Some(serde_json::from_value(Json::Object(endpoint)).expect("each kind gives what its key takes"))
}

fn address<T: std::str::FromStr>(reader: &mut Reader<'_>, cursor: &Cursor<'_>) -> Option<T> {
    reader.word(cursor, |text| {
        text.parse().map_err(|_| {
            Error::new(ErrorKind::InvalidValue, format!("`{text}` is not an address of the kind that this key needs"))
                .with_hint("write an address such as `172.28.0.5`")
                .stricter_than_compose(REFUSED_BY_ENGINE)
        })
    })
}

/// The entries under `networks:`.
pub(super) fn read_declared<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> BTreeMap<String, DeclaredNetwork> {
    let mut networks = BTreeMap::new();
    if cursor.is_null() {
        return networks;
    }
    for entry in reader.declarations(cursor) {
        let mut network = DeclaredNetwork::default();
        if !entry.value.is_null() {
            for part in reader.known_entries(&entry.value, &keys::DECLARED_NETWORK).unwrap_or_default() {
                let at = &part.value;
                match part.key.text.as_str() {
                    "name" => network.name = reader.text(at).filter(|name| !name.is_empty()),
                    "external" => network.external = external(reader, at, &entry.value, &mut network.name),
                    "driver" => network.driver = reader.text(at).filter(|driver| !driver.is_empty()),
                    "driver_opts" => network.driver_opts = reader.options(at),
                    "internal" => network.internal = reader.boolean(at).unwrap_or(false),
                    "attachable" => network.attachable = reader.boolean(at).unwrap_or(false),
                    "enable_ipv4" => network.enable_ipv4 = reader.boolean(at),
                    "enable_ipv6" => network.enable_ipv6 = reader.boolean(at),
                    "labels" => network.labels = reader.pairs(at),
                    "ipam" => network.ipam = read_ipam(reader, at),
                    other => keys::unread(other),
                }
            }
        }
        named(reader, &entry.value, network.external, &mut network.name, &entry.key.text);
        networks.insert(entry.key.text.clone(), network);
    }
    networks
}

fn read_ipam<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Ipam {
    let mut ipam = Ipam::default();
    for entry in reader.known_entries(cursor, &keys::IPAM).unwrap_or_default() {
        match entry.key.text.as_str() {
            "driver" => ipam.driver = reader.text(&entry.value),
            "options" => ipam.options = reader.pairs(&entry.value),
            _ => {
                let items = match entry.value.node.value {
                    Value::List(_) => reader.items(&entry.value).unwrap_or_default(),
                    _ => vec![entry.value],
                };
                ipam.config = items.iter().map(|item| read_subnet(reader, item)).collect();
            }
        }
    }
    ipam
}

fn read_subnet<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> IpamConfig {
    let mut config = IpamConfig::default();
    for entry in reader.known_entries(cursor, &keys::IPAM_CONFIG).unwrap_or_default() {
        let at = &entry.value;
        match entry.key.text.as_str() {
            "subnet" => config.subnet = address(reader, at),
            "gateway" => config.gateway = address(reader, at),
            "ip_range" => config.ip_range = address(reader, at),
            "aux_addresses" => {
                for host in reader.entries(at).unwrap_or_default() {
                    if let Some(address) = address(reader, &host.value) {
                        config.aux_addresses.insert(host.key.text.clone(), address);
                    }
                }
            }
            other => keys::unread(other),
        }
    }
    config
}
