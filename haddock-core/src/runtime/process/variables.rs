//! The environment variables of a container's processes.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::folder::{Launch, Record};
use super::ports;

/// The variables of our own environment that are passed on.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// The environment of the container's processes. Variables of the component win.
pub(super) fn environment(record: &Record, peers: &[Record], launch: &Launch) -> BTreeMap<String, OsString> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
    let mut environment: BTreeMap<String, OsString> = inherited.collect();
    environment.extend(addresses(record, peers).into_iter().map(|(name, value)| (name, value.into())));
    environment.extend(launch.environment.iter().map(|(name, value)| (name.clone(), value.into())));
    environment
}

/// The variables that tell a process its ports and where its links lead.
fn addresses(record: &Record, peers: &[Record]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (index, (port, loopback)) in record.ports.iter().enumerate() {
        if index == 0 {
            variables.insert("PORT".to_owned(), loopback.to_string());
        }
        variables.insert(format!("PORT_{port}"), loopback.to_string());
    }
    for peer in peers {
        for alias in &peer.aliases {
            let alias: String =
                alias.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            for (index, (port, loopback)) in peer.ports.iter().enumerate() {
                let address = ports::at(*loopback).to_string();
                if index == 0 {
                    variables.insert(format!("{alias}_ADDRESS"), address.clone());
                }
                variables.insert(format!("{alias}_ADDRESS_{port}"), address);
                variables.insert(format!("{alias}_PORT_{port}_TCP_ADDR"), "127.0.0.1".to_owned());
                variables.insert(format!("{alias}_PORT_{port}_TCP_PORT"), loopback.to_string());
            }
        }
    }
    variables
}
