//! What git has checked out, and the tags of its images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use haddock_core::Timestamp;
use haddock_core::image::{Revision, TagTemplate};
use haddock_core::{Result, vcs};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::convert::to_python;
use crate::error::raise;

/// Branch, commit and so on of a folder, as a dict; `None` if it is in no repository.
#[pyfunction]
pub(crate) fn revision(py: Python<'_>, folder: PathBuf, variables: BTreeMap<String, String>) -> PyResult<Py<PyAny>> {
    let read = || vcs::revision_in(&folder, &|name| variables.get(name).cloned());
    let found = py.detach(read).map_err(|error| raise(&error))?;
    to_python(py, &found.as_ref().map(data))
}

/// The branch of a folder, also before the first commit.
#[pyfunction]
pub(crate) fn branch(py: Python<'_>, folder: PathBuf, variables: BTreeMap<String, String>) -> PyResult<Option<String>> {
    let read = || vcs::branch_in(&folder, &|name| variables.get(name).cloned());
    py.detach(read).map_err(|error| raise(&error))
}

/// The tag of the images of a revision.
#[pyfunction]
pub(crate) fn tag(branch: Option<String>, commit: String, dirty: bool, template: &str) -> PyResult<String> {
    let revision = Revision { branch, commit, dirty, ..Revision::default() };
    let made = || -> Result<String> { template.parse::<TagTemplate>()?.tag(&revision) };
    made().map_err(|error| raise(&error))
}

/// Writes the files of a commit into a folder, and returns the paths there of these files.
#[pyfunction]
pub(crate) fn files_at(py: Python<'_>, commit: &str, files: Vec<PathBuf>, folder: PathBuf) -> PyResult<Vec<PathBuf>> {
    py.detach(|| vcs::files_at(commit, &files, &folder)).map_err(|error| raise(&error))
}

fn data(revision: &Revision) -> Value {
    let Revision { branch, commit, dirty, source, committed } = revision;
    let committed = committed.map(Timestamp::as_millis);
    json!({ "branch": branch, "commit": commit, "dirty": dirty, "source": source, "committed": committed })
}
