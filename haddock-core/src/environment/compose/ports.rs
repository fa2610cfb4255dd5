//! `ports` and `expose`.

use std::net::IpAddr;

use super::keys;
use super::reader::{Cursor, Reader};
use super::tree::Value;
use crate::container::PublishedPort;
use crate::error::{Error, ErrorKind};

const PORT_FORMS: &str = "write `\"8080\"`, `\"8080:80\"` or `\"127.0.0.1:8080:80\"`";

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidValue, message)
}

/// Reads a TCP port with an optional `/tcp`.
fn container_port(text: &str) -> Result<u16, Error> {
    let (number, protocol) = match text.split_once('/') {
        Some((number, protocol)) => (number, protocol),
        None => (text, "tcp"),
    };
    match protocol {
        "tcp" => port(number),
        "udp" | "sctp" => Err(other_protocol(protocol)),
        _ => Err(invalid(format!("`{protocol}` is not a protocol")).with_hint("write `tcp`, or nothing")),
    }
}

fn other_protocol(protocol: &str) -> Error {
    Error::new(ErrorKind::NotSupported, format!("ports of protocol `{protocol}` are not supported yet"))
        .with_hint("remove it; ports are TCP")
}

/// Reads a port, from 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, Error> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ if is_range(text) => {
            Err(Error::new(ErrorKind::NotSupported, format!("the range of ports `{text}` is not supported yet"))
                .with_hint("write one entry for each port"))
        }
        _ => Err(invalid(format!("`{text}` is not a port")).with_hint("a port is a number from 1 to 65535")),
    }
}

fn is_range(text: &str) -> bool {
    text.split_once('-').is_some_and(|(from, to)| from.parse::<u16>().is_ok() && to.parse::<u16>().is_ok())
}

fn host_address(text: &str) -> Result<IpAddr, Error> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| {
        invalid(format!("`{bare}` is not an IP address"))
            .with_hint("write an address of this host, such as `127.0.0.1`")
    })
}

/// Reads the short form `[[address:][host]:]container[/protocol]`.
fn published(text: &str) -> Result<PublishedPort, Error> {
    let (before, container) = match text.rsplit_once(':') {
        Some((before, container)) => (Some(before), container),
        None => (None, text),
    };
    let container = container_port(container).map_err(|error| match error.hint() {
        Some(_) if error.kind() == ErrorKind::NotSupported => error,
        _ => error.with_hint(PORT_FORMS),
    })?;
    let Some(before) = before else {
        return Ok(PublishedPort { container, host_address: None, host: None });
    };
    // An IPv6 address has colons itself, and is in brackets.
    let (address, host) = match before.rsplit_once(':') {
        Some((address, host)) => (Some(host_address(address)?), host),
        None => (None, before),
    };
    let host = match host {
        "" if address.is_some() => None,
        "" => {
            return Err(invalid(format!("no port of the host stands before the `:` of `{text}`")).with_hint(PORT_FORMS));
        }
        host => Some(port(host)?),
    };
    Ok(PublishedPort { container, host_address: address, host })
}

pub(super) fn read_expose<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<u16> {
    let items = reader.items(cursor).unwrap_or_default();
    items.iter().filter_map(|item| reader.value(item, container_port)).collect()
}

pub(super) fn read_ports<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<PublishedPort> {
    let items = reader.items(cursor).unwrap_or_default();
    let mut ports: Vec<PublishedPort> = Vec::new();
    for item in &items {
        let port = match item.node.value {
            Value::Map(_) => read_long(reader, item),
            _ => reader.value(item, published),
        };
        let Some(port) = port else { continue };
        let same = |other: &PublishedPort| {
            other.host.is_some() && (other.host, other.host_address) == (port.host, port.host_address)
        };
        if ports.iter().any(same) {
            let host = port.host.unwrap_or_default();
            reader.wrong(item, format!("port {host} of the host is published twice"), "remove one of them");
        }
        ports.push(port);
    }
    ports
}

fn read_long<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<PublishedPort> {
    let (mut target, mut host_ip, mut host) = (None, None, None);
    let errors = reader.error_count();
    for entry in reader.known_entries(cursor, &keys::PORT)? {
        let value = &entry.value;
        match entry.key.text.as_str() {
            "target" => target = reader.value(value, port),
            "published" => host = reader.value(value, port),
            "host_ip" => host_ip = reader.value(value, host_address),
            _ => {
                reader.value(value, |text| match text {
                    "tcp" => Ok(()),
                    "udp" | "sctp" => Err(other_protocol(text)),
                    _ => Err(invalid(format!("`{text}` is not a protocol")).with_hint("write `tcp`, or nothing")),
                });
            }
        }
    }
    if target.is_none() && reader.error_count() == errors {
        reader.wrong(cursor, "the port has no `target`", "set `target` to the port inside of the container");
    }
    Some(PublishedPort { container: target?, host_address: host_ip, host })
}
