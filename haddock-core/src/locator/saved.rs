//! What outlives a restart of a locator: for each service its newest number, its table and its closed marks, in a file of
//! its own.
//!
//! A file is written beside its place, synced and renamed; then the directory is synced. So there is the old or the new
//! file, whenever the power fails.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::watermarks::Watermarks;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, RoutingTable};

/// The format of the files. A newer one cannot be read.
const FILE_FORMAT: u32 = 1;

/// What is kept of a service. `own` is what only this kind of locator keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::locator) struct Saved<D> {
    format: u32,
    pub(in crate::locator) service: ServiceName,
    pub(in crate::locator) newest: FencingToken,
    pub(in crate::locator) table: Option<RoutingTable>,
    pub(in crate::locator) closed: BTreeSet<InstanceId>,
    #[serde(default, skip_serializing_if = "Watermarks::is_empty")]
    pub(in crate::locator) watermarks: Watermarks,
    #[serde(flatten)]
    pub(in crate::locator) own: D,
}

impl<D: Default> Saved<D> {
    pub(in crate::locator) fn new(
        service: ServiceName,
        newest: FencingToken,
        table: Option<RoutingTable>,
        closed: BTreeSet<InstanceId>,
        watermarks: Watermarks,
    ) -> Self {
        Self { format: FILE_FORMAT, service, newest, table, closed, watermarks, own: D::default() }
    }
}

/// Where a service is kept.
pub(in crate::locator) fn file(dir: &Path, service: &ServiceName) -> PathBuf {
    dir.join(format!("service-{service}.json"))
}

/// Makes the directory for its owner alone, if it is missing.
pub(in crate::locator) fn make_dir(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| failed("create state directory", dir, &error))
}

/// Every service that has a file.
pub(in crate::locator) fn services(dir: &Path) -> Result<Vec<ServiceName>> {
    let entries = fs::read_dir(dir).map_err(|error| failed("read state directory", dir, &error))?;
    let mut services = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed("read state directory", dir, &error))?;
        let name = entry.file_name();
        let service = name.to_str().and_then(|name| name.strip_prefix("service-")?.strip_suffix(".json"));
        services.extend(service.and_then(|service| ServiceName::new(service).ok()));
    }
    services.sort();
    Ok(services)
}

/// What is kept of a service, if anything.
pub(in crate::locator) fn load<D: DeserializeOwned>(dir: &Path, service: &ServiceName) -> Result<Option<Saved<D>>> {
    let path = file(dir, service);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, &error)),
    };
    let saved: Saved<D> = serde_json::from_slice(&text).map_err(|error| {
        Error::new(ErrorKind::Io, format!("`{}` cannot be understood: {error}", path.display()))
            .with_hint("restore it: without it, what the locator promised to be closed could be opened again")
    })?;
    if saved.format > FILE_FORMAT || saved.service != *service {
        let message = format!("`{}` is of format {} for `{}`", path.display(), saved.format, saved.service);
        return Err(Error::new(ErrorKind::Io, message).with_hint("it was written by a newer Haddock, or moved"));
    }
    Ok(Some(saved))
}

/// Keeps it. When this has returned, it is on disk.
pub(in crate::locator) fn save<D: Serialize>(dir: &Path, saved: &Saved<D>) -> Result<()> {
    let text = serde_json::to_vec(saved)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot write down the state: {error}")))?;
    write(dir, &file(dir, &saved.service), &text)
}

/// Writes a file of the directory as a whole.
pub(in crate::locator) fn write(dir: &Path, path: &Path, text: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let written = private(&beside, true)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| File::open(dir)?.sync_all());
    written.map_err(|error| {
        // A half-written file would take up room, and room is what is missing.
        let _ = fs::remove_file(&beside);
        failed("write", path, &error).with_hint(
            "until it can be, no table is taken up and no instance is reported as closed; what is in force stays so",
        )
    })
}

/// Opens a file to write it. If it is missing, it is made for its owner alone.
pub(in crate::locator) fn private(path: &Path, empty: bool) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(empty).mode(0o600).open(path)
}

pub(in crate::locator) fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what} `{}`: {error}", path.display()))
}
