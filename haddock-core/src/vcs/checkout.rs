//! Finds the repository of a folder, and reads what is checked out.

use std::path::Path;

use gix::bstr::ByteSlice;
use gix::open::{Options, Permissions};
use gix::sec::Trust;
use gix::sec::trust::{DefaultForLevel, Mapping};

use super::{ci, dirty, remote};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Revision;
use crate::time::Timestamp;

/// What is checked out in the repository that holds `folder`.
///
/// `None` if the folder is in no repository, or in one without a working tree. `GIT_DIR` and the other variables that
/// tell git where a repository is count here too.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if the folder does not exist, or nothing is committed yet.
/// [`NotSupported`](ErrorKind::NotSupported) if the repository cannot be read: it is damaged, a filter that it needs
/// fails, or it has a format such as SHA-256, reftable or a sparse index.
pub fn revision(folder: &Path) -> Result<Option<Revision>> {
    revision_in(folder, &|_| None)
}

/// As [`revision`]. If no branch is checked out, the branch is what CI says in these environment variables: see
/// [the module](super).
///
/// # Errors
/// As [`revision`].
pub fn revision_in(folder: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<Option<Revision>> {
    let Some(repository) = open(folder)? else { return Ok(None) };
    let unreadable = |error| unreadable(folder, &error);
    let head = repository.head().map_err(unreadable)?;
    if head.is_unborn() {
        let message = format!("the repository of `{}` has no commit yet", folder.display());
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("commit once, or name the tag by `--tag`"));
    }
    if repository.index_or_empty().map_err(unreadable)?.is_sparse() {
        let message = format!("the index of the git repository of `{}` is sparse", folder.display());
        let hint = "run `git sparse-checkout reapply --no-sparse-index`, or name the tag by `--tag`";
        return Err(Error::new(ErrorKind::NotSupported, message).with_hint(hint));
    }
    let branch = branch_of(&head, variables);
    let commit = repository.head_commit().map_err(unreadable)?;
    let seconds = commit.time().map_err(unreadable)?.seconds;
    Ok(Some(Revision {
        branch,
        commit: commit.id.to_string(),
        dirty: dirty::is_dirty(&repository).map_err(unreadable)?,
        source: source(&repository),
        committed: u64::try_from(seconds).ok().map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))),
    }))
}

/// The branch of `folder`, as [`revision_in`] says it, but also before the first commit. It does not look at files, so
/// it is fast.
///
/// `None` without a repository, or if no branch is checked out and no variable names one.
///
/// # Errors
/// As [`revision`].
pub fn branch_in(folder: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>> {
    if let Some(named) = ci::named_branch(variables) {
        return Ok(Some(named));
    }
    let Some(repository) = open(folder)? else { return Ok(None) };
    let head = repository.head().map_err(|error| unreadable(folder, &error))?;
    Ok(branch_of(&head, variables))
}

fn branch_of(head: &gix::Head<'_>, variables: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let checked_out = || {
        let name = head.referent_name()?.as_bstr();
        Some(name.strip_prefix(b"refs/heads/")?.to_str_lossy().into_owned())
    };
    ci::named_branch(variables).or_else(checked_out).or_else(|| ci::branch(variables))
}

/// The repository with a working tree that holds the folder.
pub(super) fn open(folder: &Path) -> Result<Option<gix::Repository>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.is_dir() {
        let message = format!("there is no folder `{}`", folder.display());
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("name a folder that exists"));
    }
    // Variables may say where the search ends. If that is elsewhere, the search goes on as in git.
    let search = gix::discover::upwards::Options { match_ceiling_dir_or_error: false, ..Default::default() };
    // Of another user's repository, too, the settings of the machine and of this user count: line ends and filters
    // decide whether a file differs. What the repository itself configures is not trusted.
    let trust = Mapping {
        full: Options::default_for_level(Trust::Full),
        reduced: Options::default_for_level(Trust::Reduced).permissions(Permissions::secure()),
    };
    match gix::ThreadSafeRepository::discover_with_environment_overrides_opts(folder, search, trust) {
        Ok(repository) => Ok(Some(repository.to_thread_local()).filter(|repository| repository.workdir().is_some())),
        Err(error) if error.downcast_any_ref::<gix::discover::upwards::Error>().is_some() => Ok(None),
        Err(error) => Err(unreadable(folder, &error)),
    }
}

pub(super) fn unreadable(folder: &Path, error: &gix::Error) -> Error {
    let causes: Vec<_> = error.iter_errors().map(ToString::to_string).filter(|cause| !cause.is_empty()).collect();
    let message = format!("the git repository of `{}` cannot be read: {}", folder.display(), causes.join(": "));
    Error::new(ErrorKind::NotSupported, message)
        .with_hint("name the tag by `--tag`; if a filter fails, install its program")
}

fn source(repository: &gix::Repository) -> Option<String> {
    let url = repository.config_snapshot().string("remote.origin.url")?;
    Some(remote::without_secrets(&url.to_str_lossy()))
}
