//! What is on disk: images, and a folder for each container.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ports;
use crate::container::{Attachment, ContainerId, ContainerSpec, Endpoint, HealthCheck};
use crate::error::{Error, ErrorKind, Result};

/// How much of a log's end is read at most, in bytes.
const MAX_LOG_BYTES: u64 = 4 << 20;

/// The folder of a runtime.
pub(super) struct Folder {
    root: PathBuf,
}

/// A container: what `container.json` holds, and where.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Random, hexadecimal: tells this container from an earlier one of its name.
    pub(super) unique: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) network: Option<String>,
    pub(super) aliases: Vec<String>,
    /// Exposed ports in the order of the specification, each with the loopback port that stands for it.
    pub(super) ports: Vec<(u16, u16)>,
    /// Ports that the user chose: taken ones are an error at start, not replaced.
    pub(super) fixed: Vec<u16>,
    pub(super) stop_signal: Option<String>,
    pub(super) health_check: Option<HealthCheck>,
    #[serde(skip)]
    pub(super) path: PathBuf,
}

/// What `launch.json` holds. Values of environment variables among it, so only the owner may read it.
#[derive(Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
}

impl Record {
    pub(super) fn id(&self) -> ContainerId {
        ContainerId(format!("{}.{}", self.unique, self.name))
    }

    pub(super) fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        self.ports.iter().map(|(port, loopback)| (*port, ports::at(*loopback))).collect()
    }

    pub(super) fn launch(&self) -> Result<Launch> {
        read_json(&self.path.join("launch.json"))?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("container `{}` is being removed", self.name)))
    }

    pub(super) fn log(&self, tail: usize) -> Result<Vec<String>> {
        let path = self.path.join("log");
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        let mut bytes = Vec::new();
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        file.seek(SeekFrom::Start(size.saturating_sub(MAX_LOG_BYTES)))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(|error| failed("read", &path, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
        Ok(lines.split_off(lines.len().saturating_sub(tail)))
    }
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self> {
        for part in [root.to_path_buf(), root.join("images"), root.join("containers")] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&part);
            made.map_err(|error| failed("make", &part, &error))?;
        }
        // Processes are started in folders below it, where a relative path would mean another place.
        let root = root.canonicalize().map_err(|error| failed("open", root, &error))?;
        Ok(Self { root })
    }

    /// The command line of an image, by its id.
    pub(super) fn image(&self, id: &str) -> Result<Option<Vec<String>>> {
        match id.strip_prefix("process:") {
            Some(digest) if digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                read_json(&self.root.join("images").join(format!("{digest}.json")))
            }
            _ => Ok(None),
        }
    }

    /// Keeps a command line for ever, and answers with the id that means it.
    pub(super) fn keep_image(&self, command: &[String]) -> Result<String> {
        let mut command = command.to_vec();
        if command[0].contains('/') {
            let program = PathBuf::from(&command[0]);
            let absolute = program.canonicalize().map_err(|error| {
                Error::new(ErrorKind::ImageMissing, format!("there is no program `{}`: {error}", program.display()))
            })?;
            command[0] = absolute.to_string_lossy().into_owned();
        }
        let text = serde_json::to_string(&command).expect("strings can be written as JSON");
        let digest = blake3::hash(text.as_bytes()).to_hex();
        write(&self.root.join("images").join(format!("{digest}.json")), text.as_bytes())?;
        Ok(format!("process:{digest}"))
    }

    /// Makes the container's folder, complete or not at all, or adopts the existing one.
    pub(super) fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let name = &spec.name;
        let sound = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !sound {
            return Err(Error::new(ErrorKind::RuntimeRefused, format!("`{name}` is no name for a container"))
                .with_hint("use letters, digits, `-`, `_` and `.`, a letter or digit first"));
        }
        refuse_what_processes_have_not(spec)?;
        if let Some(existing) = self.by_name(name)? {
            return adopt(&existing, spec);
        }
        let Some(image) = self.image(&spec.image)? else {
            return Err(Error::new(ErrorKind::ImageMissing, format!("there is no image `{}`", spec.image))
                .with_hint("pull the image first, and use the id that the pull gave"));
        };
        let record = self.record(spec)?;
        let command = command(image, spec);
        if command.is_empty() {
            let message =
                format!("container `{name}` has nothing to run: its entry point is empty, and there is no command");
            return Err(Error::new(ErrorKind::RuntimeRefused, message).with_hint("give it a command"));
        }
        let launch = Launch {
            command,
            environment: spec.environment.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())).collect(),
        };

        let new = self.root.join("containers").join(format!(".new-{}", record.unique));
        DirBuilder::new().mode(0o700).create(&new).map_err(|error| failed("make", &new, &error))?;
        let json = |what: serde_json::Result<Vec<u8>>| what.expect("plain data can be written as JSON");
        write(&new.join("container.json"), &json(serde_json::to_vec(&record)))?;
        write(&new.join("launch.json"), &json(serde_json::to_vec(&launch)))?;
        // A rename onto a folder that is not empty fails. So if two create the same name, one wins.
        match fs::rename(&new, self.path(name)) {
            Ok(()) => Ok(record.id()),
            Err(error) => {
                let _ = fs::remove_dir_all(&new);
                match self.by_name(name)? {
                    Some(existing) => adopt(&existing, spec),
                    None => Err(failed("make", &self.path(name), &error)),
                }
            }
        }
    }

    fn record(&self, spec: &ContainerSpec) -> Result<Record> {
        let taken: Vec<u16> = self.all()?.iter().flat_map(|other| other.ports.iter().map(|port| port.1)).collect();
        let mut ports: Vec<(u16, u16)> = Vec::new();
        let wanted = spec.expose.iter().copied().chain(spec.publish.iter().map(|port| port.container));
        for port in wanted {
            if ports.iter().any(|(known, _)| *known == port) {
                continue;
            }
            let fixed = spec.publish.iter().find(|published| published.container == port).and_then(|it| it.host);
            let loopback = match fixed {
                Some(host) => host,
                None => {
                    let used: Vec<u16> = taken.iter().copied().chain(ports.iter().map(|port| port.1)).collect();
                    ports::free(&used)?
                }
            };
            ports.push((port, loopback));
        }
        Ok(Record {
            unique: unique(),
            name: spec.name.clone(),
            labels: spec.all_labels(),
            network: spec.networks.first().map(|attachment| attachment.network.clone()),
            aliases: spec.networks.first().map(|attachment| attachment.aliases.clone()).unwrap_or_default(),
            ports,
            fixed: spec.publish.iter().filter_map(|port| port.host).collect(),
            stop_signal: spec.stop_signal.clone(),
            health_check: spec.health_check.clone(),
            path: PathBuf::new(),
        })
    }

    /// The container, with other loopback ports in place of those that are taken by now. Nobody knows the ports yet,
    /// since what is linked to it starts later. Only for whoever has claimed the start.
    pub(super) fn with_free_ports(&self, record: &Record) -> Result<Record> {
        let is_lost = |loopback: u16| !record.fixed.contains(&loopback) && ports::is_taken(loopback);
        let mut moved = record.clone();
        if !record.ports.iter().any(|port| is_lost(port.1)) {
            return Ok(moved);
        }
        let mut used: Vec<u16> = self.all()?.iter().flat_map(|other| other.ports.iter().map(|port| port.1)).collect();
        for (_, loopback) in moved.ports.iter_mut().filter(|(_, loopback)| is_lost(*loopback)) {
            *loopback = ports::free(&used)?;
            used.push(*loopback);
        }
        let text = serde_json::to_vec(&moved).expect("plain data can be written as JSON");
        write(&moved.path.join("container.json"), &text)?;
        Ok(moved)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join("containers").join(name)
    }

    fn by_name(&self, name: &str) -> Result<Option<Record>> {
        let path = self.path(name);
        let record: Option<Record> = read_json(&path.join("container.json"))?;
        Ok(record.map(|record| Record { path, ..record }))
    }

    pub(super) fn by_id(&self, id: &ContainerId) -> Result<Option<Record>> {
        let Some((_, name)) = id.0.split_once('.') else { return Ok(None) };
        if name.contains('/') || name.starts_with('.') {
            return Ok(None);
        }
        Ok(self.by_name(name)?.filter(|record| record.id() == *id))
    }

    /// Every container, by name.
    pub(super) fn all(&self) -> Result<Vec<Record>> {
        let path = self.root.join("containers");
        let entries = fs::read_dir(&path).map_err(|error| failed("read", &path, &error))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort_unstable();
        names.iter().filter_map(|name| self.by_name(name).transpose()).collect()
    }

    /// The others on the container's network.
    pub(super) fn peers(&self, record: &Record) -> Result<Vec<Record>> {
        let mut all = self.all()?;
        all.retain(|other| other.network.is_some() && other.network == record.network && other.name != record.name);
        Ok(all)
    }

    pub(super) fn remove(&self, record: &Record) -> Result<()> {
        // The name is free at once. If we die here, nobody looks at what is left.
        let gone = self.root.join("containers").join(format!(".gone-{}", record.unique));
        match fs::rename(&record.path, &gone) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("remove", &record.path, &error)),
        }
        fs::remove_dir_all(&gone).map_err(|error| failed("remove", &gone, &error))
    }
}

/// Refuses options that isolate a container: a process shares the machine.
fn refuse_what_processes_have_not(spec: &ContainerSpec) -> Result<()> {
    let ContainerSpec {
        name: _,
        image: _,
        entrypoint: _,
        command: _,
        environment: _,
        identity: _,
        labels: _,
        networks,
        network_mode,
        expose: _,
        publish,
        health_check: _, // run by us, from the start on: there is no time to begin more quickly than that
        stop_signal: _,
        mounts,
        files,
        restart: _, // a process that has ended is seen, and what then happens is not the runtime's to decide
        options,
    } = spec;
    // All share the loopback interface. So a network is only a name, and settings of its addresses have no effect.
    let endpoints = networks.iter().map(|Attachment { network: _, aliases: _, links: _, endpoint }| endpoint);
    let addressed =
        |it: &Endpoint| Endpoint { aliases: Vec::new(), priority: None, ..it.clone() } != Endpoint::default();
    let what = match () {
        () if !mounts.is_empty() => "mounts",
        () if !files.is_empty() => "secrets and configs",
        () if network_mode.is_some() => "network modes",
        () if endpoints.clone().any(addressed) => "addresses on networks",
        () if publish.iter().any(|port| !port.protocol.is_tcp()) => "published ports but of TCP",
        // These have no effect: there is no other process number 1, and the machine has its own name.
        () => return options.only(&["init", "hostname"], &"the process runtime"),
    };
    Err(Error::new(ErrorKind::NotSupported, format!("the process runtime has no {what}"))
        .with_hint("use Docker for this component"))
}

fn adopt(existing: &Record, spec: &ContainerSpec) -> Result<ContainerId> {
    if spec.identity.is_carried_by(&existing.labels) {
        return Ok(existing.id());
    }
    Err(Error::new(ErrorKind::NameTaken, format!("a container `{}` exists and is not ours", spec.name))
        .with_hint("remove the container, or choose another name"))
}

/// The first word of an image is its entry point, the others are its command.
fn command(image: Vec<String>, spec: &ContainerSpec) -> Vec<String> {
    match (&spec.entrypoint, &spec.command) {
        (Some(entrypoint), None) if entrypoint.is_empty() => image.into_iter().skip(1).collect(),
        (Some(entrypoint), command) => entrypoint.iter().cloned().chain(command.iter().flatten().cloned()).collect(),
        (None, Some(command)) => image.into_iter().take(1).chain(command.iter().cloned()).collect(),
        (None, None) => image,
    }
}

fn unique() -> String {
    let mut bytes = [0_u8; 6];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what} `{}`: {error}", path.display()))
}

/// Reads a file, `None` if it does not exist.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed("read", path, &error)),
    };
    // Serde's text may quote what it read.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| {
        Error::new(ErrorKind::Io, format!("cannot understand `{}`", path.display()))
            .with_hint("remove the folder that it is in")
    })
}

/// Writes a file whole or not at all; only the owner may read it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension(format!("{}.new", unique()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        failed("write", path, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_that_is_empty_leaves_the_image_s_command() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = |entrypoint: Option<&str>, with: Option<&str>| {
            let (entrypoint, with) = (entrypoint.map(words), with.map(words));
            let spec = ContainerSpec { entrypoint, command: with, ..ContainerSpec::default() };
            command(words("image serve fast"), &spec).join(" ")
        };
        assert_eq!(line(None, None), "image serve fast");
        assert_eq!(line(None, Some("check")), "image check");
        assert_eq!(line(Some("sh"), None), "sh");
        assert_eq!(line(Some(""), None), "serve fast");
        assert_eq!(line(Some(""), Some("check")), "check");
    }
}
