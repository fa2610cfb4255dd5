//! `ports` and `expose`.

use std::net::{IpAddr, Ipv4Addr};

use super::keys;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader};
use super::tree::Value;
use crate::container::{Protocol, PublishedPort};
use crate::error::{Error, ErrorKind};

const PORT_FORMS: &str = "write `\"8080\"`, `\"8080:80\"` or `\"127.0.0.1:8080:80\"`";

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidValue, message)
}

/// Reads a port, from 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, Error> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(invalid(format!("`{text}` is not a port"))
            .with_hint("a port is a number from 1 to 65535")
            .stricter_than_compose(REFUSED_BY_ENGINE)),
    }
}

/// Reads a port or a range of ports: the first and the last.
fn range(text: &str) -> Result<(u16, u16), Error> {
    let Some((first, last)) = text.split_once('-') else { return port(text).map(|port| (port, port)) };
    match (port(first), port(last)) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        _ => Err(invalid(format!("`{text}` is not a range of ports"))
            .with_hint("write it as `8000-8010`")
            .stricter_than_compose(REFUSED_BY_ENGINE)),
    }
}

/// Whether this means any free port of the host.
fn is_any(host: &str) -> bool {
    matches!(host, "" | "0")
}

/// Reads container ports with an optional protocol.
fn inside(text: &str) -> Result<(u16, u16, Protocol), Error> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, protocol.to_ascii_lowercase().parse()?),
        None => (text, Protocol::Tcp),
    };
    let (first, last) = range(ports)?;
    Ok((first, last, protocol))
}

/// An address of the host. An empty text means any address.
fn any_or_address(text: &str) -> Result<Option<IpAddr>, Error> {
    if text.is_empty() { Ok(None) } else { host_address(text).map(Some) }
}

fn host_address(text: &str) -> Result<IpAddr, Error> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| {
        invalid(format!("`{bare}` is not an IP address"))
            .with_hint("write an address of this host, such as `127.0.0.1`")
    })
}

/// Reads the short form `[[address:][host]:]container[/protocol]`. A range of container ports gives a port for each.
fn published(text: &str) -> Result<Vec<PublishedPort>, Error> {
    let (before, container) = match text.rsplit_once(':') {
        Some((before, container)) => (Some(before), container),
        None => (None, text),
    };
    let (first, last, protocol) = inside(container).map_err(|error| error.with_hint(PORT_FORMS))?;
    let port = |container| PublishedPort { container, protocol, ..PublishedPort::default() };
    let Some(before) = before else { return Ok((first..=last).map(port).collect()) };
    // An IPv6 address has colons itself, and is in brackets.
    let (host_address, host) = match before.rsplit_once(':') {
        Some((address, host)) => (any_or_address(address)?, host),
        None => (None, before),
    };
    let port = |container, host, host_last| PublishedPort { host_address, host, host_last, ..port(container) };
    if is_any(host) {
        return Ok((first..=last).map(|container| port(container, None, None)).collect());
    }
    let (host_first, host_last) = range(host)?;
    if first == last && host_first < host_last {
        return Ok(vec![port(first, Some(host_first), Some(host_last))]);
    }
    if last - first != host_last - host_first {
        return Err(invalid(format!("the ranges of `{text}` are not of one length")).with_hint(PORT_FORMS));
    }
    Ok((first..=last).zip(host_first..=host_last).map(|(container, host)| port(container, Some(host), None)).collect())
}

/// The TCP ports of `expose`. Ports of other protocols can be reached anyway, and Haddock gives them no address.
pub(super) fn read_expose<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<u16> {
    let items = reader.items(cursor).unwrap_or_default();
    let mut ports = Vec::new();
    for (first, last, protocol) in items.iter().filter_map(|item| {
        reader.not_fraction(item)?;
        reader.numeric(item, inside)
    }) {
        if protocol.is_tcp() {
            ports.extend(first..=last);
        }
    }
    ports
}

/// Reports what is wrong with a port in its short form.
pub(super) fn check_short(reader: &mut Reader<'_>, cursor: &Cursor<'_>) {
    if reader.not_fraction(cursor).is_some() {
        reader.numeric(cursor, published);
    }
}

pub(super) fn read_ports<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<PublishedPort> {
    let items = reader.items(cursor).unwrap_or_default();
    let mut ports: Vec<PublishedPort> = Vec::new();
    for item in &items {
        let read = match item.node.value {
            Value::Map(_) => read_long(reader, item).map(|port| vec![port]),
            _ => reader.not_fraction(item).and_then(|()| reader.numeric(item, published)),
        };
        for port in read.unwrap_or_default() {
            // As in Compose, no address means `0.0.0.0`.
            let address = |port: &PublishedPort| port.host_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let claim = |port: &PublishedPort| (port.host, port.host_last, address(port), port.protocol);
            match ports.iter_mut().find(|other| claim(other) == claim(&port)) {
                // The same port again, perhaps in another form: the later one counts.
                Some(before) if before.container == port.container => *before = port,
                Some(_) if port.host.is_some() && port.host_last.is_none() => {
                    let host = port.host.unwrap_or_default();
                    let message = format!("port {host} of the host is published twice");
                    reader.stricter(item, message, "remove one of them", REFUSED_BY_ENGINE);
                }
                _ => ports.push(port),
            }
        }
    }
    ports
}

fn read_long<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Option<PublishedPort> {
    let (mut target, mut published) = (None, PublishedPort::default());
    let errors = reader.error_count();
    for entry in reader.known_entries(cursor, &keys::PORT)? {
        let value = &entry.value;
        match entry.key.text.as_str() {
            "target" => target = reader.numeric(value, port),
            "published" => {
                let read = |text: &str| if is_any(text) { Ok(None) } else { range(text).map(Some) };
                let read = reader.not_fraction(value).and_then(|()| reader.numeric(value, read));
                if let Some((first, last)) = read.flatten() {
                    published.host = Some(first);
                    published.host_last = Some(last).filter(|last| *last > first);
                }
            }
            "host_ip" => {
                let read = |text: &str| match text.starts_with('[') {
                    true => {
                        Err(invalid(format!("`{text}` is in brackets")).with_hint("write the address without them"))
                    }
                    false => host_address(text),
                };
                published.host_address = reader.word(value, read);
            }
            "protocol" => {
                let read = |text: &str| match text {
                    "" => Ok(Protocol::default()),
                    text => text.to_ascii_lowercase().parse(),
                };
                published.protocol = reader.word(value, read).unwrap_or_default();
            }
            // The other keys are for people and for swarms.
            "name" | "app_protocol" | "mode" => _ = reader.text(value),
            other => keys::unread(other),
        }
    }
    if target.is_none() && reader.error_count() == errors {
        reader.wrong(cursor, "the port has no `target`", "set `target` to the port inside of the container");
    }
    published.container = target?;
    Some(published)
}
